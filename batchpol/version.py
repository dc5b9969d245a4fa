"""The version, in one place: the package metadata, the command and the journal's header read it here."""

__version__ = "0.1.0"
