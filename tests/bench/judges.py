"""What others call public: ``python -m tests.bench.judges [--with INTERPRETER …]`` prints the manual's table.

Each grant is an Allow of ``ses:SendEmail`` that every AWS account or service may use but for its Condition. Beside
``risk-public`` it is judged by what else there is: prowler, policyuniverse and Cloud Custodian (``pip install`` of
``prowler``, ``policyuniverse``, ``c7n``, best into an environment each), and by an IAM simulator (``npm install
@cloud-copilot/iam-simulate``), which is asked whether a stranger's request passes whose sender, recipients and
headers are whatever the Condition wants. Name the interpreters of these environments; ``node`` is taken with its
NODE_PATH.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any, NamedTuple

from batchpol.policy import check_policy


class Grant(NamedTuple):
    """Who may, under which Condition, and whether that is everybody."""

    principal: Any
    condition: dict[str, Any] | None
    is_public: bool


def _if(operator: str, key: str, value: Any, *, public: bool, principal: Any = "*") -> Grant:
    return Grant(principal, {operator: {key: value}}, public)


ORG, ACCOUNT, POOL = (
    "o-a1b2c3d4e5",
    "444455556666",
    "arn:aws:cognito-idp:us-east-1:444455556666:userpool/us-east-1_a1B2",
)
GRANTS = [
    Grant("*", None, True),
    Grant("*", {}, True),
    Grant({"AWS": "*"}, None, True),
    Grant({"AWS": [ACCOUNT, "*"]}, None, True),
    Grant({"AWS": ACCOUNT}, None, False),
    _if("StringEquals", "ses:FromAddress", "billing@example.com", public=True),
    _if("StringLike", "ses:FromAddress", "*@example.com", public=True),
    _if("StringEquals", "ses:FromDisplayName", "Billing", public=True),
    _if("ForAllValues:StringLike", "ses:Recipients", "*@example.com", public=True),
    _if("Bool", "aws:SecureTransport", "true", public=True),
    _if("DateLessThan", "aws:CurrentTime", "2030-01-01T00:00:00Z", public=True),
    _if("StringLike", "aws:UserAgent", "Mailer*", public=True),
    _if("StringEquals", "aws:RequestedRegion", "us-east-1", public=True),
    _if("StringEquals", "aws:PrincipalType", "AssumedRole", public=True),
    _if("StringEquals", "aws:SourceAccount", ACCOUNT, public=False),
    _if("StringLike", "aws:SourceAccount", "*", public=True),
    _if("StringEqualsIfExists", "aws:SourceAccount", ACCOUNT, public=True),
    _if("StringNotEquals", "aws:SourceAccount", ACCOUNT, public=True),
    _if("Null", "aws:SourceAccount", "true", public=True),
    _if("ForAllValues:StringEquals", "aws:SourceAccount", ACCOUNT, public=True),
    _if("StringEquals", "aws:PrincipalAccount", ACCOUNT, public=False),
    _if("StringEquals", "aws:PrincipalOrgID", ORG, public=False),
    _if("StringLike", "aws:PrincipalOrgID", "o-*", public=True),
    _if("StringEqualsIfExists", "aws:PrincipalOrgID", ORG, public=True),
    _if("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", f"{ORG}/*", public=False),
    _if("ForAllValues:StringLike", "aws:PrincipalOrgPaths", f"{ORG}/*", public=True),
    _if("ArnLike", "aws:SourceArn", POOL, public=False),
    _if("ArnLike", "aws:SourceArn", "arn:aws:cognito-idp:*:*:userpool/*", public=True),
    _if("ArnLike", "aws:SourceArn", ["arn:aws:s3:::bucket", "*"], public=True),
    _if("ArnEquals", "aws:PrincipalArn", f"arn:aws:iam::{ACCOUNT}:role/mail", public=False),
    _if("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/mail", public=True),
    _if("ArnNotEquals", "aws:PrincipalArn", f"arn:aws:iam::{ACCOUNT}:role/mail", public=True),
    _if("StringEquals", "aws:SourceVpc", "vpc-0123456789abcdef0", public=False),
    _if("StringEquals", "aws:SourceVpce", "vpce-0123456789abcdef0", public=False),
    _if("IpAddress", "aws:SourceIp", "203.0.113.0/24", public=False),
    _if("IpAddress", "aws:SourceIp", "0.0.0.0/0", public=True),
    _if("IpAddress", "aws:SourceIp", ["0.0.0.0/1", "128.0.0.0/1"], public=True),
    _if("NotIpAddress", "aws:SourceIp", "203.0.113.0/24", public=True),
    Grant(
        "*",
        {"StringEquals": {"aws:PrincipalOrgID": ORG, "ses:FromAddress": "billing@example.com"}},
        False,
    ),
    Grant(
        "*",
        {"StringEquals": {"ses:FromAddress": "billing@example.com"}, "Bool": {"aws:SecureTransport": "true"}},
        True,
    ),
]

_EACH = "import json, sys\nprint(json.dumps([bool(judge(policy)) for policy in json.load(sys.stdin)]))"
JUDGES = {
    "prowler": "from prowler.providers.aws.services.iam.lib.policy import is_policy_public\n"
    "def judge(policy): return is_policy_public(policy, '111122223333')\n" + _EACH,
    "policyuniverse": "from policyuniverse.policy import Policy\n"
    "def judge(policy): return Policy(policy).is_internet_accessible()\n" + _EACH,
    "Cloud Custodian": "import logging\nfrom c7n.filters.iamaccess import PolicyChecker\nlogging.disable()\n"
    f"ours = {{'everyone_only': True, 'allowed_accounts': ['{ACCOUNT}'], 'allowed_orgid': ['{ORG}']}}\n"
    "checker = PolicyChecker(ours)\n"
    "def judge(policy): return checker.check(policy)\n" + _EACH,
    "IAM simulator": """
const {runSimulation} = require('@cloud-copilot/iam-simulate');
const stranger = {'aws:SecureTransport': 'true', 'aws:CurrentTime': '2026-06-01T00:00:00Z',
  'aws:SourceIp': '198.51.100.7', 'aws:PrincipalAccount': '999999999999',
  'aws:PrincipalArn': 'arn:aws:iam::999999999999:role/mail',
  'aws:PrincipalOrgID': 'o-strangers1', 'aws:PrincipalOrgPaths': ['o-strangers1/r-zz99/'],
  'aws:PrincipalType': 'AssumedRole', 'aws:RequestedRegion': 'us-east-1', 'aws:UserAgent': 'Mailer/1',
  'ses:FromAddress': 'billing@example.com', 'ses:FromDisplayName': 'Billing', 'ses:Recipients': ['a@example.com']};
const may = {Version: '2012-10-17', Statement: [{Effect: 'Allow', Action: '*', Resource: '*'}]};
(async () => {
  const found = [];
  for (const policy of JSON.parse(require('fs').readFileSync(0))) {
    const resource = {resource: policy.Statement[0].Resource, accountId: '111122223333'};
    const principal = stranger['aws:PrincipalArn'];
    const request = {principal, action: 'ses:SendEmail', resource, contextVariables: stranger};
    const ended = await runSimulation({request, identityPolicies: [{name: 'may', policy: may}],
      serviceControlPolicies: [], resourceControlPolicies: [], resourcePolicy: policy}, {});
    if (ended.resultType === 'error') throw new Error(JSON.stringify(ended.errors));
    found.push(ended.overallResult === 'Allowed');
  }
  console.log(JSON.stringify(found));
})();
""",
}
"""By name the text of a program that reads policies and writes whether each is public."""


def policy_of(grant: Grant) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": grant.principal,
        "Action": "ses:SendEmail",
        "Resource": "arn:aws:ses:us-east-1:111122223333:identity/example.com",
    }
    if grant.condition is not None:
        statement["Condition"] = grant.condition
    return {"Version": "2012-10-17", "Statement": [statement]}


def is_public(grant: Grant) -> bool:
    """What batchpol says."""
    found = check_policy(policy_of(grant), lambda resource: ())
    return "risk-public" in {it.code for it in found}


def judged(program: str, interpreters: list[str]) -> list[bool] | None:
    """What a judge says of all grants, in the first interpreter that has it; None if none has."""
    policies = json.dumps([policy_of(grant) for grant in GRANTS])
    for interpreter in interpreters:
        if ("require(" in program) == ("node" in interpreter.rpartition("/")[2]):
            option = "-e" if "require(" in program else "-c"
            ended = subprocess.run([interpreter, option, program], input=policies, capture_output=True, text=True)
            if ended.returncode == 0:
                return [bool(one) for one in json.loads(ended.stdout.splitlines()[-1])]
            print(f"{interpreter}: {ended.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return None


def said(grant: Grant) -> str:
    """A grant as the table has it, in its first cells."""
    who = json.dumps(grant.principal)
    tests = [
        f"`{operator} {key} {json.dumps(value)}`"
        for operator, keys in (grant.condition or {}).items()
        for key, value in keys.items()
    ]
    return f"| `{who}` | {' and '.join(tests) or ('none' if grant.condition is None else 'an empty one')} |"


def table(verdicts: dict[str, list[bool] | None]) -> str:
    """Markdown: a row a grant, a column a judge."""
    names = {name: found for name, found in verdicts.items() if found is not None}
    lines = [f"| Principal | Condition | {' | '.join(names)} |", "| --- " * (len(names) + 2) + "|"]
    for number, grant in enumerate(GRANTS):
        lines.append(f"{said(grant)} {' | '.join('public' if found[number] else '' for found in names.values())} |")
    return "\n".join(lines).replace("|  |", "| |").replace("|  |", "| |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with", dest="interpreters", nargs="*", default=[], metavar="INTERPRETER")
    interpreters = [sys.executable, "node", *parser.parse_args().interpreters]
    ours: dict[str, list[bool] | None] = {"risk-public": [is_public(grant) for grant in GRANTS]}
    print(table(ours | {name: judged(program, interpreters) for name, program in JUDGES.items()}))


if __name__ == "__main__":
    main()
