"""One batch, from its records to its report.

============= ==================================================================================
``batch``     the straight line: who we are, first pass, question, lanes, report
``options``   every choice of a run
``observer``  what a caller may want to know of it
``resuming``  what earlier runs left: the journal opened, set aside, gone on with
``intake``    the first pass: every record checked and written down before anything is sent
``preflight`` what is found out before anything is sent
``lanes``     all lanes at once, each of which may stop alone
``ending``    why a run ends, written down; the reports and the result
``worker``    what a worker heeds of the folder that it shares
``driven``    the same batch as tasks for workers elsewhere, and what all of it comes to
``check``     validation alone, offline
============= ==================================================================================

The run's targets (connections, gates, ownership) are one object, opened by whoever runs the batch:
:class:`batchpol.sending.targets.Targets`, which stands there since an export has the same.
"""
