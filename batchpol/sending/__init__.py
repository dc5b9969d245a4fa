"""From a change to its outcome: what is read and compared, what waits, what is sent, what came of it.

In the order of a change's way; below them what these share.

============= ==================================================================================
``windows``   looks up which identities are verified, many at once
``feeder``    reads and compares what is next
``queue``     the changes of a lane in order, between what reads them and what sends them
``lane``      the worker of one target: wait near the gate, intent, gate and send, outcome
``readback``  reading back what was written
``outcomes``  which fate a change has, written down and told
------------- ----------------------------------------------------------------------------------
``conduct``   what a lane does besides writing, and how patient it is
``contact``   how one target is asked: credentials renewed, outages, the pace
``gate``      what every attempt to a target passes, once a second
``pace``      when the next one may pass a gate, by what came back of those before
``gates``     those of one target, an operation each, joined where it shows that these have one quota
``reads``     reading what is there, through the gates
``ownership`` what is known of the identities of a target
``halt``      whether anything new is begun
``stopping``  a run that can be asked to end, and tasks that end by one error
``commit``    entries of many lanes, one write and one fsync
``observer``  what somebody may want to know of all that
------------- ----------------------------------------------------------------------------------
``targets``   what belongs to the targets of a run, each once
``caller``    whose credentials these are, and where they are used
============= ==================================================================================

The targets stand here and not in ``batch``, since an export has the same, and since they may outlive both.
"""
