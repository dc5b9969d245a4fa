"""From records to records, offline: filled in, moved, taken back.

============= ==================================================================================
``alone``     a policy or a template by itself, as a record
``template``  policies and names made from the columns of a record
``retarget``  records moved to another account or Region
``rewrite``   one input to another
``undo``      what a journal's runs replaced, as an input
``lines``     records as JSON Lines, as ``source`` reads them
============= ==================================================================================
"""
