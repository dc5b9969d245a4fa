"""What people and log shippers see of a command.

============= ============================================================
``live``      a run as people follow it, ``exporting`` an export
``progress``  the picture of the lanes
``question``  what is asked before the first write
``ending``    what is said when it is over
``events``    the same run as JSON; ``log`` writes one event
``terminal``  lines, errors, exit codes of errors
============= ============================================================
"""
