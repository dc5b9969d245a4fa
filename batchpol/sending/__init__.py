"""From a change to its outcome: the gate, what waits before it, what is sent, what came of it.

============= ==================================================================================
``conduct``   what a lane does besides writing, and how patient it is
``targets``   what belongs to the targets of a run, each once: it is here because a batch and an export have it alike
``caller``    whose credentials these are, in which Region, at which endpoint
``gate``      what every attempt to a target passes, once a second
``queue``     the changes of a lane in order, between what reads them and what sends them
``lane``      the worker of one target: wait near the gate, intent, gate and send, outcome
``reads``     reading what is there, through the gates
``readback``  reading back what was written
``commit``    entries of many lanes, one write and one fsync
============= ==================================================================================
"""
