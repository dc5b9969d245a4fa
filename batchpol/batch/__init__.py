"""One batch, from its records to its report.

============= ==================================================================================
``batch``     the straight line: who we are, first pass, lanes, end, report
``options``   every choice of a run
``observer``  what a caller may want to know of it
``intake``    the first pass: every record checked and written down before anything is sent
``preflight`` what is looked up in SES before the question is asked
``check``     validation alone, offline
============= ==================================================================================
"""
