"""Reading the input: CSV, TSV and JSON Lines, plain or gzip, from a file or standard input.

Knows file formats, encodings, compression and line numbers; nothing of what a valid policy is. What is wrong with
one record becomes that record's problem and the rest go on; what makes the whole input unusable is an
:class:`~batchpol.model.errors.InputError`, raised when it is opened.

============== ===================================================================================
``rules``      what the reader can find wrong with a record
``fields``     the names of fields and columns
``stream``     bytes to bounded lines of text: digest, gzip, damage
``header``     a table's first lines
``table``      lines to records: CSV and TSV
``jsonlines``  lines to records: JSON Lines
``policyfile`` ``file://`` policies beside the input
``mapping``    records from a program
``opening``    which of them a path wants, and what is no input at all
============== ===================================================================================
"""

from __future__ import annotations

from batchpol.source.fields import Names
from batchpol.source.jsonlines import ORIGIN
from batchpol.source.mapping import as_record
from batchpol.source.opening import FORMATS, Source, is_input_name, open_source
from batchpol.source.rules import RULES

__all__ = ["FORMATS", "ORIGIN", "RULES", "Names", "Source", "as_record", "is_input_name", "open_source"]
