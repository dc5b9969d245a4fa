"""What a batch must come to, as a small and slow description, held against real runs on a virtual clock.

============ ==================================================================================
``world``    an SES that tells stale tales: what holds, what a read shows, who wrote what when
``runs``     a real run against it, killed wherever asked
``truth``    what each row, before-image and undo must be, given what the world saw
``history``  random histories: inputs, runs, kills, others' writes, waits, undos
============ ==================================================================================

``python -m tests.truth --histories 10000`` plays as many; the suite plays 200.
"""
