"""What a program calls: the same as the commands, inside a service's own event loop.

============ ==========================================================================
``calls``    one call each: a client for that call; and validation, which asks nobody
``client``   what belongs to the targets once, for as long as a service lives
``settings`` keyword arguments, and how they become options
``input``    records of any kind
``adopted``  the caller's own SES client
============ ==========================================================================

It prints nothing, installs no signal handler, holds no global state, and leaves no task and no connection behind,
however it ends.
"""
