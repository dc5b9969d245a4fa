"""SES and STS through aiobotocore: the one border to AWS.

The only package that imports aiobotocore and botocore: untyped values and foreign exceptions stop here. botocore's
own retries are off for SES (``total_max_attempts=1``), so that one call is one attempt; trying again is the lane's
business and goes through the gate. Sources: ``PutIdentityPolicy`` and its neighbours in the SES v1 API Reference.

- :mod:`batchpol.ses.translation`: what botocore raises and AWS answers, as errors of ours.
- :mod:`batchpol.ses.answers`: which answers are SES's own, to the letter.
- :mod:`batchpol.ses.calls`: SES of one target, one attempt a call, and where the gate takes part.
- :mod:`batchpol.ses.configuration`: what is wrong with an AWS configuration, by profile and setting.
- :mod:`batchpol.ses.credentials`: what signs, asked for again in time.
- :mod:`batchpol.ses.exchange`: one exchange with SES put together from botocore's parts, at half a client's cost.
- :mod:`batchpol.ses.internals`: what we use of aiobotocore without its promise.
- :mod:`batchpol.ses.aws`: sessions, clients, credentials and roles of one run.
- :mod:`batchpol.ses.redaction`: no credentials in anybody's log.
"""

import logging

from batchpol.ses import redaction
from batchpol.ses.aws import Aws, Caller, elsewhere, in_the_clear
from batchpol.ses.calls import IDENTITIES_AT_ONCE, Attempt, Ses, adopt
from batchpol.ses.credentials import UTC_NOW
from batchpol.ses.translation import EXPIRED, translate

__all__ = [
    "EXPIRED",
    "IDENTITIES_AT_ONCE",
    "UTC_NOW",
    "Attempt",
    "Aws",
    "Caller",
    "Ses",
    "adopt",
    "elsewhere",
    "in_the_clear",
    "translate",
]

# What botocore does for its own logger and aiobotocore does not: without it, where a program has not set up logging,
# every refresh of credentials that fails prints its traceback on standard error.
logging.getLogger("aiobotocore").addHandler(logging.NullHandler())

redaction.install()
