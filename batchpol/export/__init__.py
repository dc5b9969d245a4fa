"""An export: every identity policy of one or more targets, as JSON Lines that ``apply`` takes back.

========== =====================================================================================
``partial``   what was read so far, beside the output, so that the same command goes on
``target`` one target: its identities listed, then their names and documents, each through its gate
``whole``  one export: who we are, the targets at once, the rows in order, stop
========== =====================================================================================
"""

from batchpol.export.export import Export, Observer, Options, Result, Scope
from batchpol.export.partial import Header, Partial
from batchpol.export.target import TargetReader, Watch

__all__ = ["Export", "Header", "Observer", "Options", "Partial", "Result", "Scope", "TargetReader", "Watch"]
