"""What the reader itself can find wrong with a record, a rule each; everything else is ``validate``'s."""

from __future__ import annotations

from typing import Final

from batchpol.model import Rule, Severity

MAX_LINE: Final = 1 << 20
"""Longest line, quoted record or policy file, in bytes (1 MiB); SES takes a document of 4 KB."""

_PLAIN_ROW = 'example.com,tenant-1,"{""Version"": ""2012-10-17"", …}"'

COLUMNS = Rule(
    "record-columns",
    Severity.ERROR,
    "A row has more or fewer cells than the header",
    "RFC 4180, section 2: each line should contain the same number of fields",
    "With a cell too many or too few it is not known which cell belongs to which column, so nothing of the row is "
    "sent. The usual cause is a JSON document that is not quoted: its commas then separate cells.",
    'example.com,tenant-1,{"Version": "2012-10-17", …}',
    _PLAIN_ROW,
    always=True,
)
QUOTE = Rule(
    "record-quote",
    Severity.ERROR,
    "Quotes of a row are not closed, or text follows a closing quote",
    "RFC 4180, section 2: a quote inside a quoted field is doubled",
    "A quoted cell ends at the next single quote mark; inside it quotes are doubled. Where that does not come out, "
    "the row's line is rejected and reading goes on at the line after it, so that one missing quote does not "
    "swallow the rows that follow.",
    'example.com,tenant-1,"{"Version": "2012-10-17", …}"',
    _PLAIN_ROW,
    always=True,
)
ENCODING = Rule(
    "record-encoding",
    Severity.ERROR,
    "A line is not UTF-8 text",
    "RFC 8259, section 8.1 (JSON is UTF-8); batchpol reads CSV the same way",
    "Bytes that are not UTF-8 were written in another encoding, and guessing it would change names; a NUL byte is "
    "left by damage or by UTF-16.",
    "M<0xFC>ller GmbH (Windows-1252)",
    "M<0xC3 0xBC>ller GmbH (UTF-8)",
    always=True,
)
TOO_LONG = Rule(
    "record-too-long",
    Severity.ERROR,
    "A line is longer than 1 MiB",
    "batchpol: memory stays flat whatever the input holds; SES takes a document of 4 KB",
    "A line of that length is damage, or a file without line ends. It is skipped without being kept.",
    "a line of 1,048,577 bytes",
    "a record of a few kilobytes",
    always=True,
)
JSON = Rule(
    "record-json",
    Severity.ERROR,
    "A line is not one JSON object",
    "JSON Lines (jsonlines.org): each line is a valid JSON value; RFC 8259",
    "In JSON Lines each line holds one whole object: no commas between lines, no object over several lines, no "
    "comments, no trailing commas.",
    '{"identity": "example.com", "policy_name": "tenant-1", "policy": {…},}',
    '{"identity": "example.com", "policy_name": "tenant-1", "policy": {…}}',
    always=True,
)
FIELD = Rule(
    "record-field",
    Severity.ERROR,
    "A field is missing or has the wrong type",
    "SES API Reference, PutIdentityPolicy: Identity, PolicyName and Policy are required strings",
    "Every record needs identity and policy_name as text; policy is an object or text, account and region are text. "
    "A number is not taken for a name, since what was typed (leading zeros, exponents) is lost.",
    '{"identity": "example.com", "policy_name": 7, "policy": {…}}',
    '{"identity": "example.com", "policy_name": "7", "policy": {…}}',
    always=True,
)
REPEATED = Rule(
    "record-repeated-field",
    Severity.ERROR,
    "A field is given twice",
    "RFC 8259, section 4: names within an object should be unique; what a reader does with others is unpredictable",
    "Two values for one field (the same key twice, or two spellings of it) leave open which one is meant.",
    '{"identity": "example.com", "name": "a", "policy_name": "b", "policy": {…}}',
    '{"identity": "example.com", "policy_name": "b", "policy": {…}}',
    always=True,
)
CUT_OFF = Rule(
    "record-cut-off",
    Severity.ERROR,
    "The input ends early",
    "RFC 1952: a gzip member ends with its checksum and length",
    "The compressed file is truncated or damaged, or unpacks to more than the limit. What was read before that "
    "point stands; what would have followed is unknown.",
    "half of a download of tenants.csv.gz",
    "the whole of it",
    always=True,
)
POLICY_FILE = Rule(
    "policy-file",
    Severity.ERROR,
    "A policy file cannot be read",
    "AWS CLI convention file://; batchpol",
    "The file that file:// names is absent, not readable, not a regular file, over 1 MiB, or not UTF-8 text.",
    "file://policies/no-such-file.json",
    "file://policies/marketing.json",
    always=True,
)
POLICY_FILE_OUTSIDE = Rule(
    "policy-file-outside",
    Severity.ERROR,
    "A policy file outside the input's folder",
    "batchpol: an input file from somebody else must not be able to send this machine's files to AWS",
    "file:// is resolved beside the input and must stay in its folder: absolute paths, .. and symbolic links that "
    "lead out of it are refused.",
    "file:///etc/passwd",
    "file://policies/marketing.json",
    always=True,
)

TEMPLATE_NAME = Rule(
    "template-name",
    Severity.ERROR,
    "A placeholder of the template is no column of the record",
    "batchpol",
    "{{name}} in a template stands for the column of that name. Where a record has no such column nobody knows what "
    "to write, so it is not sent. In a table this is found at the header, and nothing is sent at all.",
    '{"identity": "example.com"} with `policy_name="tenant-{{tenant_id}}"`',
    '{"identity": "example.com", "tenant_id": "17"} with `policy_name="tenant-{{tenant_id}}"`',
    always=True,
)
TEMPLATE_UNKNOWN = Rule(
    "template-unknown",
    Severity.ERROR,
    "The template needs an account or Region that nobody named",
    "batchpol",
    "{{account}}, {{region}}, {{partition}} and {{identity_arn}} come from the record's ARN or columns, else from the "
    "run. apply knows them from its credentials; validate and render have to be told.",
    "batchpol render domains.csv `policy_template=policy.json`",
    "batchpol render domains.csv `policy_template=policy.json` `account=111122223333` `region=us-east-1`",
    always=True,
)
TEMPLATE_EMPTY = Rule(
    "template-empty",
    Severity.WARNING,
    "A placeholder of the template is empty in this record",
    "batchpol",
    "The record has the column and nothing in it, so the text around the placeholder closes up.",
    '{"identity": "example.com", "tenant_id": ""} with `policy_name="tenant-{{tenant_id}}"`',
    '{"identity": "example.com", "tenant_id": "17"} with `policy_name="tenant-{{tenant_id}}"`',
)

RULES: Final = (
    COLUMNS,
    QUOTE,
    ENCODING,
    TOO_LONG,
    JSON,
    FIELD,
    REPEATED,
    CUT_OFF,
    POLICY_FILE,
    POLICY_FILE_OUTSIDE,
    TEMPLATE_NAME,
    TEMPLATE_UNKNOWN,
    TEMPLATE_EMPTY,
)
"""Every rule of the reader, in the order in which it reads."""
