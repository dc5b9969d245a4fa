"""An export: every identity policy of one or more targets, as JSON Lines that ``apply`` takes back.

============ =====================================================================================
``export``   the straight line: who we are, the targets at once, the rows in order
``options``  every choice of an export
``observer`` what somebody may want to know of it
``partial``  what was read so far, beside the output, so that the same command goes on
``reading``  all targets at once, each of which may stop alone; rows delivered in order
``target``   one target: its identities listed, then their names and documents, each through its gate
``ending``   what was read is counted, and put in its place or kept
============ =====================================================================================
"""

from batchpol.exporting.export import Export
from batchpol.exporting.observer import Exported, ExportObserver
from batchpol.exporting.options import ExportOptions
from batchpol.exporting.partial import Partial, PartialHeader
from batchpol.exporting.target import TargetReader, Watch

__all__ = ["Export", "ExportObserver", "ExportOptions", "Exported", "Partial", "PartialHeader", "TargetReader", "Watch"]
