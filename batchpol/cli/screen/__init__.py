"""What people and log shippers see of a command.

============= ============================================================
``live``      a run as people follow it, ``planning`` a plan, ``exporting`` an export
``standing``  how a run stands; ``progress`` draws its lanes
``question``  what is asked before the first write
``undoing``   what an undo takes back
``ending``    what is said when it is over
``status``    what a journal says of a run
``commands``  the command to type next
``events``    a run as JSON; ``log`` writes one event
``page``      a page of the manual
``terminal``  lines, errors, exit codes of errors
============= ============================================================
"""
