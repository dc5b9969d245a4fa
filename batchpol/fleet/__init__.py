"""Many workers on one batch, whatever engine starts them.

=========== ==================================================================================
``engines`` which shard this process has, as the engine's environment says
``dask``    a task for each shard on a scheduler's workers, and again where a worker is lost
=========== ==================================================================================

What a worker heeds of the others is in ``batch.worker``, and what they left in ``journal.folder``.
"""
