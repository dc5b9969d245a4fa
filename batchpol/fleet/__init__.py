"""Many workers on one batch, whatever engine starts them.

=========== ==================================================================================
``engines`` which shard this process has, as the engine's environment says
=========== ==================================================================================

What a worker heeds of the others is in ``batch.sharing``, and what they left in ``journal.folder``.
"""
