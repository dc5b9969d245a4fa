"""Clients that people have, as they are installed: boto3, the AWS CLI, and Ansible's collection.

They are taken from the environment that ``BATCHPOL_CLIENTS`` names; ``.ci/run`` makes one with the newest of each.
Without it boto3 and the CLI are the ones that the tests have, and Ansible's test says what it misses.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchpol.testing import Sandbox
from tests.sandbox.documents import policy_for

CLIENTS = Path(os.environ.get("BATCHPOL_CLIENTS", Path(sys.executable).parent.parent))
COLLECTION = CLIENTS / "ansible_collections" / "community" / "aws"
"""From the sdist of the package ansible, which has the collection's own tests, too; the wheel has not."""

Run = Callable[..., str]

pytestmark = pytest.mark.skipif(not (CLIENTS / "bin" / "aws").exists(), reason=f"no AWS CLI in {CLIENTS}")


@pytest.fixture
def run(ses_sandbox: Sandbox, tmp_path: Path) -> Run:
    """Runs a program of the clients' environment; gives its output."""

    def program(name: str, *arguments: str, **variables: str) -> str:
        settings = {**os.environ, "AWS_PAGER": "", **variables}
        command = [str(CLIENTS / "bin" / name), *arguments]
        ended = subprocess.run(command, env=settings, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        return ended.stdout

    return program


def test_the_aws_command_writes_by_one_api_and_reads_by_the_other(run: Run, tmp_path: Path) -> None:
    document = tmp_path / "policy.json"
    document.write_text(policy_for("jo@example.com"))

    def aws(service: str, operation: str, *arguments: str) -> Any:
        return json.loads(run("aws", service, operation, *arguments) or "null")

    policy = "--policy-name", "send", "--policy", f"file://{document}"
    aws("ses", "put-identity-policy", "--identity", "jo@example.com", *policy)
    read = aws("sesv2", "get-email-identity-policies", "--email-identity", "jo@example.com")
    assert json.loads(read["Policies"]["send"]) == json.loads(document.read_text())
    (listed,) = aws("sesv2", "list-email-identities")["EmailIdentities"]
    assert (listed["IdentityName"], listed["VerificationStatus"]) == ("jo@example.com", "SUCCESS")
    aws("sesv2", "delete-email-identity-policy", "--email-identity", "jo@example.com", "--policy-name", "send")
    assert aws("ses", "list-identity-policies", "--identity", "jo@example.com")["PolicyNames"] == []


BOTO3 = """
import boto3, json, sys
ses, sesv2, sts = (boto3.client(name) for name in ("ses", "sesv2", "sts"))
document = sys.argv[1]
assert sts.get_caller_identity()["Account"] == "123456789012"
ses.verify_domain_identity(Domain="example.com")
sesv2.create_email_identity_policy(EmailIdentity="example.com", PolicyName="a", Policy=document)
ses.put_identity_policy(Identity="example.com", PolicyName="b", Policy=document)
read = ses.get_identity_policies(Identity="example.com", PolicyNames=["a", "b"])["Policies"]
assert read == sesv2.get_email_identity_policies(EmailIdentity="example.com")["Policies"]
assert {name: json.loads(text) for name, text in read.items()} == dict.fromkeys("ab", json.loads(document))
pages = ses.get_paginator("list_identities").paginate(PaginationConfig={"PageSize": 1})
assert [page["Identities"] for page in pages] == [["example.com"]]
assert [it["IdentityName"] for it in sesv2.list_email_identities()["EmailIdentities"]] == ["example.com"]
try:
    ses.put_identity_policy(Identity="example.com", PolicyName="c", Policy="{}")
except ses.exceptions.InvalidPolicyException:
    print(boto3.__version__)
"""


def test_boto3_writes_by_either_api_and_reads_by_the_other(run: Run) -> None:
    assert re.match(r"1\.\d+", run("python", "-c", BOTO3, policy_for("example.com")))


@pytest.mark.skipif(not (COLLECTION / "tests").is_dir(), reason=f"no Ansible collection community.aws in {CLIENTS}")
def test_ansibles_own_target_of_its_module_for_identity_policies(run: Run, ses_sandbox: Sandbox) -> None:
    # The module's tests find the collection by where the playbook lies.
    playbook = COLLECTION / "tests" / "integration" / "batchpol.yml"
    keys = {"aws_access_key": "AKIASANDBOXSANDBOXSB", "aws_secret_key": "sandbox", "aws_region": "us-east-1"}
    play = {"hosts": "localhost", "gather_facts": False, "roles": ["ses_identity_policy"]}
    play["vars"] = keys | {"resource_prefix": "batchpol", "ansible_python_interpreter": str(CLIENTS / "bin" / "python")}
    playbook.write_text(json.dumps([play]))
    ended = run(
        "ansible-playbook", "--inventory", "localhost,", "--connection", "local", str(playbook),
        ANSIBLE_COLLECTIONS_PATH=str(CLIENTS), ANSIBLE_ROLES_PATH=str(playbook.parent / "targets"),
        ANSIBLE_HOME=str(CLIENTS / "ansible"), LC_ALL="C.UTF-8",
    )  # fmt: skip
    summary = ended.strip().splitlines()[-1]
    assert re.search(r"ok=[1-9]\d+ .*unreachable=0 +failed=0", summary), summary
    # Each of its tests takes its identity away in the end.
    deleted = [it for it in ses_sandbox.arrivals if it.operation == "DeleteIdentity"]
    print(f"{summary}; tests that ran to their end: {len(deleted)}")
    assert len(deleted) == 8
