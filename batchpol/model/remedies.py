"""What to do about each code that a report can have, in a sentence: of findings, of SES's answers, and of our own.

One table, since terminal, page and JSON show the same. A finding's own hint knows the value, and says more where there
is one. A test holds the table against every rule and every code that leaves this package.
"""

from __future__ import annotations

from batchpol.model import MAX_POLICIES, Status

_ACCOUNT = "Write the account's 12 digits, and format the column as text where a spreadsheet keeps it."
_COMPARE = "Compare it with IAM's JSON policy reference, and write what is meant there."
_JSON = "Write the document with a JSON tool, or check it with one, and put it in again."
_CREDENTIALS = "Log in again, or give other credentials, and run the same command again."
_AGAIN = "Run the same command again: SES did not answer, and sending it once more is safe."
_SLOWER = "Run the same command again when nobody else uses the account's quota, or with a lower rate."
_ALLOWED = "Give the caller the permissions that `batchpol help permissions` lists, and run the same command again."
_KEYS = "Check the access key or the profile, and whether the Region is enabled in the account."
_CLOCK = "Set this machine's clock, and run the same command again."
_WHO = "See who answers at this endpoint: a variable AWS_ENDPOINT_URL or the profile may name something else."
_TEMPLATE = "Add the column that the template names to the list, or mend the name in the template."
_SURELY = "Look whether it is meant; if it is, leave it, or let `ignore` name this code."

_FINDINGS = {
    "action-case": "Nothing needs to be done: SES takes actions in any case.",
    "action-empty": "Name at least one action, such as ses:SendEmail.",
    "action-type": "Write Action as one string or as a list of strings.",
    "action-unknown": "Correct the spelling, or take the other service's action out.",
    "action-unlisted": "Check the action's name; SES documents ses:SendEmail and its siblings for such policies.",
    "action-useless": "Name an action of SES's, such as ses:SendEmail.",
    "batch-conflict": "Keep one of the two records, or give them two policy names.",
    "batch-duplicate": "Nothing needs to be done: it is sent once. Take one of the records out if that irritates.",
    "batch-limit": "Put several statements into one policy, or delete policies of the identity: it can have "
    f"{MAX_POLICIES}.",
    "batch-limit-likely": "Say with `account` and `region` where the records go, and it is known for certain.",
    "condition-address-operator": "Compare addresses with IpAddress or NotIpAddress.",
    "condition-arn": "Write a whole ARN, or compare with StringLike.",
    "condition-binary": "Write the value in base64.",
    "condition-blanks": "Take the blanks out: a value is compared with every character of it.",
    "condition-boolean": 'Write "true" or "false".',
    "condition-cidr": "Write an IP address or a range such as 203.0.113.0/24.",
    "condition-date": "Write a date such as 2026-12-31T23:59:59Z.",
    "condition-empty": "Give the operator a key and the key a value, or take it out.",
    "condition-form": "Write the value in the form that the key has in a request.",
    "condition-key": "Correct the spelling of the condition key.",
    "condition-key-absent": "Take the condition out, or use a key that the action brings: this one is never there.",
    "condition-key-case": "Nothing needs to be done: keys are compared in any case.",
    "condition-key-prefix": "Write the prefix aws: in lower case.",
    "condition-key-unlisted": "Check the key's name; if it is right, nothing needs to be done.",
    "condition-literal-wildcard": "Compare with StringLike or ArnLike if the * is to stand for anything.",
    "condition-number": "Write a number.",
    "condition-operator": "Use one of IAM's condition operators, such as StringEquals.",
    "condition-operator-case": "Write the operator as IAM does, such as StringEquals.",
    "condition-placeholder": "Fill the placeholder in: as it is, the value equals nothing.",
    "condition-regex": "Use * and ? with StringLike: IAM knows no regular expressions.",
    "condition-set-missing": "Put ForAnyValue: or ForAllValues: before the operator.",
    "condition-set-needless": "Leave ForAllValues: or ForAnyValue: out: the key has one value.",
    "condition-type": "Write Condition as an object: operator, key, values.",
    "condition-value-type": "Write the value as text, a number, true or false.",
    "condition-variable": 'Add "Version": "2012-10-17", without which a variable is plain text.',
    "condition-window": "Let the window open before it closes.",
    "effect-value": "Write Allow or Deny.",
    "identity-account": _ACCOUNT,
    "identity-address": "Write the address as name@domain.",
    "identity-address-long": "Use an address with at most 64 characters before the @.",
    "identity-address-punycode": "Write the part before the @ in ASCII as the identity has it.",
    "identity-address-quoted": "Check that SES has the identity in just this spelling.",
    "identity-arn": "Write arn:aws:ses:REGION:ACCOUNT:identity/NAME, or the bare name.",
    "identity-blanks": "Nothing needs to be done: it is sent without the blanks.",
    "identity-domain": "Correct the domain name.",
    "identity-domain-limit": "Check the domain: DNS allows 253 characters.",
    "identity-domain-long": "Use a shorter domain: a label has 63 characters at most.",
    "identity-missing": "Fill in the identity: an address, a domain or its ARN.",
    "identity-not-ascii": "Write the domain in Punycode (xn--…), as SES has it.",
    "identity-partition": "Write aws, aws-cn or aws-us-gov.",
    "identity-partition-unlisted": "Check the partition; if SES is there, nothing needs to be done.",
    "identity-punycode": "Check the label: what begins with xn-- is to be Punycode.",
    "identity-region": "Correct the Region, which looks like us-east-1.",
    "identity-region-unlisted": "Correct the Region if it is misspelt; a new one needs nothing.",
    "identity-syntax": "Write an address, a domain or the ARN of an SES identity.",
    "identity-trailing-dot": "Take the dot at the end off.",
    "identity-underscore": "Check that SES has the identity with the underscore.",
    "identity-unusual": "Check that this is the identity's whole name.",
    "identity-unverified": "Verify the identity in this account and Region, then run the same command again.",
    **dict.fromkeys(
        ("json-blank", "json-bom", "json-comma", "json-comment", "json-control-character", "json-escape", "json-number",
         "json-quotes", "json-surrogate", "json-syntax", "json-trailing-text", "json-truncated", "json-word"),
        _JSON,
    ),
    "json-depth": "Write the document with fewer levels: a policy needs about six.",
    "json-duplicate-key": "Keep one of the two: parsers disagree which of them counts.",
    "json-encoding": "Save the document as UTF-8.",
    "json-not-object": "Write the policy as one object: {…}.",
    "name-characters": "Use A-Z, a-z, 0-9, _ and - alone in the policy's name.",
    "name-long": "Shorten the policy's name to 64 characters.",
    "name-missing": "Fill the policy's name in, or give one for all with `policy_name`.",
    "policy-element": "Take the element out, or correct its spelling.",
    "policy-file": "Correct the path of the policy's file, or its permissions.",
    "policy-file-outside": "Put the policy's file into the folder of the list, or below it.",
    "policy-huge": "Shorten the document: SES takes 4,096 bytes.",
    "policy-ignored": "Nothing needs to be done: a delete needs no document.",
    "policy-minified": "Nothing needs to be done: it is sent without its blanks.",
    "policy-missing": "Fill the document in, name its file (file://…), or give a template with `policy_template`.",
    "policy-statement": "Add a Statement.",
    "policy-string": "Write Version, Id and Sid as strings.",
    "policy-too-long": "Split it into several policies, or name principals and actions more briefly.",
    "policy-version": 'Write "2012-10-17".',
    "principal-account": _ACCOUNT,
    "principal-arn": "Write an account id, or the ARN of a user, a role or an account's root.",
    "principal-empty": "Name who may: an account, user, role or service.",
    "principal-id": "Write the ARN instead: an id like this stands for a principal that was deleted.",
    "principal-key": "Use AWS or Service as the kind of principal.",
    "principal-key-unlisted": "Check the kind of principal: SES documents AWS and Service.",
    "principal-number": "Write the account id in quotes.",
    "principal-service": "Write a service's host name, such as cognito-idp.amazonaws.com.",
    "principal-service-unusual": "Check the service's host name.",
    "principal-type": 'Write "*" or an object such as {"AWS": "111122223333"}.',
    "principal-wildcard": "Name the principals one by one: a part of an ARN cannot be a wildcard here.",
    "record-action": "Write put or delete, or leave the cell empty.",
    "record-columns": "Give the row as many cells as the header has; quote cells that hold commas.",
    "record-cut-off": "Get the whole file: it ends in the midst of a record.",
    "record-encoding": "Save the file as UTF-8.",
    "record-field": "Give the record this field, with the right type.",
    "record-findings": "Mend the first hundred; the others show when it is checked again.",
    "record-if-match": "Leave if_match empty, or as `batchpol undo` writes it.",
    "record-json": "Write one JSON object a line.",
    "record-quote": "Close the quotes, and double those within a quoted cell.",
    "record-repeated-field": "Give the field once.",
    "record-too-long": "Shorten the line to 1 MiB.",
    "resource-arn": "Write the identity's own ARN.",
    "resource-case": "Nothing needs to be done: domains are compared in any case.",
    "resource-empty": "Write the identity's own ARN.",
    "resource-mismatch": "Write the ARN of the identity that the policy is put on, in its own account and Region.",
    "resource-repeated": "Nothing needs to be done: once would do.",
    "resource-several": "Write the identity's own ARN alone: each identity has policies of its own.",
    "resource-type": "Write Resource as one string.",
    "resource-wildcard": "Write the identity's own ARN in full.",
    "retarget-if-match": "Take if_match out of the records before they are moved.",
    "retarget-place": "Write the identity's own ARN as Resource, then move the record.",
    **dict.fromkeys(("risk-all-actions", "risk-management", "risk-public", "risk-service"), _SURELY),
    "statement-both": "Keep one of the two.",
    "statement-element": "Take the element out, or correct its spelling.",
    "statement-missing": "Add the element to the statement.",
    **dict.fromkeys(("statement-not-action", "statement-not-principal"), _SURELY),
    "statement-not-resource": "Write Resource with the identity's own ARN.",
    "statement-sid": "Give each statement a Sid of its own, or none.",
    "statement-type": "Write each statement as an object.",
    "target-conflict": "Let the columns say what the identity's ARN says, or leave them empty.",
    "target-other": "Name that account and Region for the run, or take the record out of the list.",
    "target-unknown": "Give the record its Region and account, by columns or by the identity's ARN.",
    "template-empty": "Fill the column in.",
    "template-name": _TEMPLATE,
    "template-unknown": "Name the account and Region, by the run's settings or in the record.",
}  # fmt: skip

_SES = {
    "InvalidPolicy": "Look at the principal first: SES must see it. Mend the document and apply it again; where IAM "
    "made the principal a moment ago, run the same command again with `retry_failed`.",
    "InvalidParameterValue": "Mend what SES names: the identity must be verified in this account and Region, and has "
    f"at most {MAX_POLICIES} policies.",
    "ValidationError": "Mend the value that SES names.",
    **dict.fromkeys(
        ("BandwidthLimitExceeded", "EC2ThrottledException", "PriorRequestNotComplete",
         "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled",
         "RequestThrottledException", "SlowDown", "ThrottledException", "Throttling", "ThrottlingException",
         "TooManyRequestsException", "TransactionInProgressException"),
        _SLOWER,
    ),
    **dict.fromkeys(("AccessDenied", "AccessDeniedException", "NotAuthorized"), _ALLOWED),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "MissingAuthenticationToken"), _CREDENTIALS
    ),
    **dict.fromkeys(
        ("AuthFailure", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId", "OptInRequired",
         "RegionDisabledException", "UnrecognizedClientException"),
        _KEYS,
    ),
    "RequestTimeTooSkewed": _CLOCK,
    "SignatureDoesNotMatch": "Check the secret key and this machine's clock, and run the same command again.",
    **dict.fromkeys(
        ("InvalidAction", "InvalidActionException", "MethodNotAllowed", "NotImplemented", "NotImplementedException",
         "OperationNotSupportedException", "UnknownOperation", "UnknownOperationException", "UnsupportedOperation",
         "UnsupportedOperationException"),
        _WHO,
    ),
    **dict.fromkeys(
        ("IDPCommunicationError", "InternalError", "InternalFailure", "RequestTimeout", "RequestTimeoutException",
         "ServiceUnavailable"),
        _AGAIN,
    ),
}  # fmt: skip

_OURS = {
    "Absent": "Leave `only_existing` out if the policy is to be created.",
    "BadIfMatch": "Leave if_match empty, or as `batchpol undo` writes it.",
    "Closed": "Give the record to a client that is open.",
    "Recalled": "Nothing needs to be done: its caller took it back.",
    "Stopped": "Run the same command again.",
    "Changed": "Look at what somebody made of it (batchpol plan), and make a new plan or undo if it is still wanted.",
    "Configuration": "Mend the AWS configuration that the message names, and run the same command again.",
    "Exists": "Leave `no_clobber` out if the policy is to be replaced.",
    "NoCredentials": "Log in, or name a profile, and run the same command again.",
    "NoAnswerRecorded": "Run the same command again: it may have taken effect, and sending it once more is safe.",
    "NotAsAsked": "Look who else writes this policy, and run the same command again.",
    "Overslept": "Run the same command again: the machine slept, and nothing was sent.",
    "PruneWithheld": "Mend what was refused of the same identity; what is to be pruned follows then.",
    "TLSRefused": "Check the endpoint, or name your certificate authorities in AWS_CA_BUNDLE.",
    "TooManyPolicies": "Delete policies of the identity first, or put several statements into one: it can have "
    f"{MAX_POLICIES}.",
    "WrongAccount": "Give credentials of the records' account, or a role in it with `role_arn`.",
    "WrongRegion": "Give each account and Region a client and a call of its own.",
    **dict.fromkeys(("ConnectFailed", "ConnectionClosed", "Timeout", "UnreadableAnswer"), _AGAIN),
}  # fmt: skip

REMEDIES: dict[str, str] = _FINDINGS | _SES | _OURS
"""By code."""

_BY_STATUS = {
    Status.REJECTED: "Mend the record as the message says.",
    Status.FAILED: "See SES's words: mend the record, or run the same command again with `retry_failed`.",
    Status.UNKNOWN: _AGAIN,
    Status.NOT_ATTEMPTED: "Run the same command again.",
}


def remedy_of(status: Status, code: str) -> str:
    """What to do about records of this status and code; for a code that is not known, what goes for the status."""
    if code.startswith("HTTP5"):
        return _AGAIN
    if code.startswith("HTTP"):
        return _WHO
    return REMEDIES.get(code) or _BY_STATUS.get(status, "")
