"""One batch, from its records to its report.

============= ==================================================================================
``batch``     the straight line: who we are, first pass, lanes, end, report
``intake``    the first pass: every record checked and written down before anything is sent
``preflight`` what is looked up in SES before the question is asked
``check``     validation alone, offline
============= ==================================================================================
"""
