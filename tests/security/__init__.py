"""What batchpol promises of security, sentence by sentence; the tests themselves, or where they stand.

- Journal and report 0600, written beside and renamed, no link followed: :mod:`tests.security.test_files`.
- Credentials in no output at any log level: :mod:`tests.security.test_secrets`; what AWS quotes of a request
  ``tests/ses/test_translation.py``, errors and their tracebacks ``tests/ses/test_roles.py``, the command line in the
  journal ``tests/cli/test_command_line.py``.
- Control characters escaped on the terminal: :mod:`tests.security.test_terminal` (what SES answers), and what the
  input says ``tests/e2e/test_terminal.py``, ``tests/cli/test_report_and_status.py``,
  ``tests/policy/test_difference.py``, ``tests/report/test_summary.py``.
- Formula cells neutralised in CSV: :mod:`tests.security.test_terminal` (through the command), every column
  ``tests/report/test_report.py``.
- TLS verified, whatever the configuration says: ``tests/ses/test_tls.py``, through a whole run
  ``tests/faults/test_tls_refused.py``; nothing signed goes anywhere else: :mod:`tests.security.test_network`.
- ``file://`` policies stay in the input's folder: :mod:`tests.security.test_policy_files`, and
  ``tests/source/test_policyfile.py``.
- gzip bombs bounded: :mod:`tests.security.test_bombs`, and ``tests/source/test_opening.py``; bombs of JSON
  ``tests/validation/test_hostile.py``, ``tests/policy/test_reader.py``.
- The sandbox on loopback only: :mod:`tests.security.test_network`, ``tests/sandbox/test_server.py``.
"""
