"""Every fault that a run must survive, and the test of that name.

- Throttling storms: ``test_a_storm_of_throttling…``; 500 and 503, resets and closings before and after the write took
  effect, stalls past the time-out, malformed XML, truncated bodies, wrong content types, a portal's page: the fault's
  name in ``test_a_fault_that_passes…`` and ``test_a_fault_that_stays…``, all together in ``test_everything_at_once``.
- DNS failure: ``test_a_name_that_does_not_resolve``; a server gone and back, or gone for good: ``test_a_server_that…``.
- TLS refused: :mod:`tests.faults.test_tls_refused`.
- Credentials that expire in mid-run and are refreshed, or for good: ``test_credentials_that_expire…``,
  ``test_a_role_that_lives_shorter…``; clock skew: ``test_what_no_record_is_to_blame_for…``.
- ``InvalidPolicy`` for a principal that appears later, or never: ``test_a_principal_that…``.
- The same from a proxy nobody here wrote: :mod:`tests.faults.test_microburst`.
"""
