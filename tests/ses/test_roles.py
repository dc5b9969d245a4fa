"""Credentials of many accounts: assumed, refreshed in time, renewed by somebody else, and never shown."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
from aiobotocore.session import AioSession

from batchpol.model import Target
from batchpol.model.errors import AccessRefused, SesError, Unreachable
from batchpol.model.settings import Connection
from batchpol.ses import Aws, Ses
from batchpol.testing import FAULTS, Sandbox
from tests.ses.conftest import ACCOUNT, DOCUMENT, IDENTITY, KEY, SECRET, SESSION, TARGET, save

ROLE = "arn:aws:iam::{account}:role/path/Writer"
ACCOUNTS = [f"{number:012}" for number in range(12)]

Embedded = Callable[..., Connection]


async def put(ses: Ses, target: Target = TARGET) -> str:
    document = DOCUMENT.replace(ACCOUNT, target.account).replace("us-east-1", target.region)
    return await ses.put(IDENTITY, "name", document, None)


async def failure(call: object) -> SesError:
    with pytest.raises(SesError) as caught:
        await call  # type: ignore[misc]
    return caught.value


# --- assuming


async def test_each_account_has_its_own_role_and_credentials(sandbox: Sandbox, embedded: Embedded) -> None:
    async with Aws(embedded(role_arn=ROLE), SESSION) as aws:
        targets = [Target(account, "eu-west-1") for account in ACCOUNTS]
        async with anyio.create_task_group() as tasks:
            for target in targets:
                tasks.start_soon(put, await aws.ses(target), target)
        for account in ACCOUNTS:
            caller = await aws.caller("eu-west-1", account)
            assert caller.account == account
            assert caller.arn == f"arn:aws:sts::{account}:assumed-role/Writer/batchpol"
    puts = [arrival for arrival in sandbox.arrivals if arrival.operation == "PutIdentityPolicy"]
    assert sorted(arrival.account for arrival in puts) == ACCOUNTS
    assert {arrival.region for arrival in puts} == {"eu-west-1"}
    assert len({arrival.access_key for arrival in puts}) == len(ACCOUNTS)
    assert len(sandbox.arrivals) == 2 * len(ACCOUNTS), "each role is assumed once, and asked for nothing else"


async def test_the_external_id_is_handed_on(sandbox: Sandbox, embedded: Embedded) -> None:
    sandbox.change(external_id="shared-secret")
    async with Aws(embedded(role_arn=ROLE, external_id="shared-secret"), SESSION) as aws:
        assert (await aws.caller("us-east-1", ACCOUNT)).account == ACCOUNT
    async with Aws(embedded(role_arn=ROLE, external_id="another"), SESSION) as aws:
        error = await failure(aws.caller("us-east-1", ACCOUNT))
    assert (type(error), error.code) == (AccessRefused, "AccessDenied")
    assert "sts:AssumeRole" in str(error)


async def test_a_role_without_the_account_in_it_is_told_by_its_caller(embedded: Embedded) -> None:
    async with Aws(embedded(role_arn="arn:aws:iam::111122223333:role/Writer"), SESSION) as aws:
        assert (await aws.caller("us-east-1", ACCOUNT)).account == "111122223333"


async def test_who_the_run_itself_is_needs_no_role(sandbox: Sandbox, embedded: Embedded) -> None:
    async with Aws(embedded(role_arn=ROLE), SESSION) as aws:
        assert (await aws.caller("us-east-1")).arn == f"arn:aws:iam::{ACCOUNT}:user/sandbox"
    assert [arrival.operation for arrival in sandbox.arrivals] == ["GetCallerIdentity"]


async def test_all_roles_together_cost_one_client_a_service(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    create_client = AioSession.create_client

    def counted(self: AioSession, service: str, **options: object) -> object:
        made.append(service)
        return create_client(self, service, **options)

    monkeypatch.setattr(AioSession, "create_client", counted)
    async with Aws(embedded(role_arn=ROLE), SESSION) as aws, anyio.create_task_group() as tasks:
        for account in ACCOUNTS:
            tasks.start_soon(aws.caller, "us-east-1", account)
            tasks.start_soon(aws.ses, Target(account, "us-east-1"))
    assert sorted(made) == ["ses", "sts"]


# --- refreshing


async def test_credentials_that_live_longer_are_kept(sandbox: Sandbox, embedded: Embedded) -> None:
    async with Aws(embedded(role_arn=ROLE), SESSION) as aws:
        ses = await aws.ses(TARGET)
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(ses.ready)
        for _ in range(3):
            await ses.ready()
            await put(ses)
    assert [arrival.operation for arrival in sandbox.arrivals] == ["AssumeRole"] + ["PutIdentityPolicy"] * 3


@pytest.mark.parametrize("code", ["expired_token", "invalid_client_token", "access_denied", "clock_skew"])
async def test_a_role_that_cannot_be_assumed_stops_the_lane_and_no_record_is_blamed(
    code: str, sandbox: Sandbox, embedded: Embedded
) -> None:
    sandbox.change(faults={f"{code}@AssumeRole": 1.0})
    async with Aws(embedded(role_arn=ROLE), SESSION) as aws:
        ses = await aws.ses(TARGET)
        for call in (ses.ready(), put(ses), aws.caller("us-east-1", ACCOUNT)):
            error = await failure(call)
            assert (type(error), error.code) == (AccessRefused, FAULTS[code].code)
            assert error.hint
        assert await aws.renew(TARGET, ses) is None


async def test_credentials_that_are_expired_when_they_come_stop_the_lane(sandbox: Sandbox, embedded: Embedded) -> None:
    sandbox.change(credential_seconds=-60)
    async with Aws(embedded(role_arn=ROLE), SESSION) as aws:
        error = await failure((await aws.ses(TARGET)).ready())
    assert isinstance(error, AccessRefused)
    assert "still expired" in str(error)


@pytest.mark.parametrize("fault", [name for name, it in FAULTS.items() if it.status in (0, 500, 503)] + ["throttle"])
async def test_while_sts_is_down_nothing_is_sent_and_the_lane_may_try_again(
    fault: str, sandbox: Sandbox, embedded: Embedded, no_backoff: None
) -> None:
    sandbox.change(faults={f"{fault}@AssumeRole": 1.0}, stall_seconds=0.01)
    async with Aws(embedded(role_arn=ROLE), SESSION) as aws:
        ses = await aws.ses(TARGET)
        for call in (ses.ready(), put(ses)):
            assert isinstance(await failure(call), Unreachable)
        sandbox.change(faults={})
        await ses.ready()
        await put(ses)
    assert sum(arrival.operation == "PutIdentityPolicy" for arrival in sandbox.arrivals) == 1


# --- renewing what something else renews


@pytest.fixture
def renewed(credentials_file: Path) -> Callable[[str], None]:
    """Writes the credentials file with another access key in it, as whatever renews it does."""

    def write(key: str) -> None:
        save(credentials_file, f"[default]\naws_access_key_id={key}\naws_secret_access_key={SECRET}\n")

    return write


FIRST, SECOND = "AKIAFIRSTFIRSTFIRST0", "AKIASECONDSECONDSEC0"


async def test_a_credentials_file_that_changed_is_read_again(
    sandbox: Sandbox, renewed: Callable[[str], None], credentials_file: Path
) -> None:
    renewed(FIRST)
    sandbox.change(faults_at={"expired_token@PutIdentityPolicy": {1}})
    async with Aws(Connection(endpoint_url=sandbox.url)) as aws:
        used = await aws.ses(TARGET)
        assert (await failure(put(used))).code == "ExpiredToken"
        assert await aws.renew(TARGET, used) is None, "the file is still the same"
        save(credentials_file, "garbage [[")
        assert await aws.renew(TARGET, used) is None
        renewed(SECOND)
        fresh = await aws.renew(TARGET, used)
        assert fresh is not None
        await put(fresh)
        assert (await aws.caller("us-east-1")).account == ACCOUNT
        assert await aws.renew(TARGET, fresh) is None, "these are the newest"
        late = await aws.renew(TARGET, used)
        assert late is not None, "an attempt that left with the old ones goes on with those that another one got"
        await put(late)
    keys = [(arrival.operation, arrival.access_key) for arrival in sandbox.arrivals]
    assert keys == [
        ("PutIdentityPolicy", FIRST),
        ("PutIdentityPolicy", SECOND),
        ("GetCallerIdentity", SECOND),
        ("PutIdentityPolicy", SECOND),
    ]


async def test_renewing_keeps_the_open_connection(sandbox: Sandbox, renewed: Callable[[str], None]) -> None:
    renewed(FIRST)
    async with Aws(Connection(endpoint_url=sandbox.url)) as aws:
        used = await aws.ses(TARGET)
        renewed(SECOND)
        fresh = await aws.renew(TARGET, used)
        assert fresh is not None and fresh.client is used.client


async def test_roles_are_assumed_with_the_renewed_credentials(sandbox: Sandbox, renewed: Callable[[str], None]) -> None:
    renewed(FIRST)
    targets = [Target(account, "us-east-1") for account in ACCOUNTS[:5]]
    async with Aws(Connection(endpoint_url=sandbox.url, role_arn=ROLE)) as aws:
        sandbox.change(faults={"expired_token@AssumeRole": 1.0})
        lanes = {target: await aws.ses(target) for target in targets}
        for ses in lanes.values():
            assert (await failure(ses.ready())).code == "ExpiredToken"
        renewed(SECOND)
        sandbox.change(faults={})
        sandbox.arrivals.clear()
        fresh: dict[Target, Ses | None] = {}

        async def renew(target: Target, used: Ses) -> None:
            fresh[target] = await aws.renew(target, used)

        async with anyio.create_task_group() as tasks:
            for target, ses in lanes.items():
                tasks.start_soon(renew, target, ses)
        for target, ses in fresh.items():
            assert ses is not None
            await put(ses, target)
    assumed = [arrival.access_key for arrival in sandbox.arrivals if arrival.operation == "AssumeRole"]
    assert assumed == [SECOND] * len(targets)


async def test_a_role_is_assumed_afresh_when_its_own_credentials_are_refused(
    sandbox: Sandbox, renewed: Callable[[str], None]
) -> None:
    renewed(FIRST)
    sandbox.change(faults_at={"expired_token@PutIdentityPolicy": {1}})
    async with Aws(Connection(endpoint_url=sandbox.url, role_arn=ROLE)) as aws:
        used = await aws.ses(TARGET)
        assert (await failure(put(used))).code == "ExpiredToken"
        renewed(SECOND)
        fresh = await aws.renew(TARGET, used)
        assert fresh is not None
        await put(fresh)
    refused, taken = (it.access_key for it in sandbox.arrivals if it.operation == "PutIdentityPolicy")
    assert refused != taken


async def test_a_session_that_was_ended_early_is_left_for_a_new_one(sandbox: Sandbox, embedded: Embedded) -> None:
    async with Aws(embedded(role_arn=ROLE), SESSION) as aws:
        used = await aws.ses(TARGET)
        other = await aws.ses(Target(ACCOUNT, "eu-west-1"))
        await put(used)
        sandbox.change(expired=[sandbox.arrivals[-1].access_key])
        assert (await failure(put(used))).code == "ExpiredToken"
        fresh, late = await aws.renew(TARGET, used), await aws.renew(Target(ACCOUNT, "eu-west-1"), other)
        assert fresh is not None and late is not None
        await put(fresh)
        assert [it.operation for it in sandbox.arrivals].count("AssumeRole") == 2


async def test_a_role_whose_new_sessions_are_refused_at_once_is_not_assumed_again_and_again(
    sandbox: Sandbox, embedded: Embedded
) -> None:
    async with Aws(embedded(role_arn=ROLE), SESSION) as aws:
        used = await aws.ses(TARGET)
        await put(used)
        sandbox.change(faults={"expired_token@PutIdentityPolicy": 1.0})
        assert (await failure(put(used))).code == "ExpiredToken"
        fresh = await aws.renew(TARGET, used)
        assert fresh is not None
        assert (await failure(put(fresh))).code == "ExpiredToken"
        assert await aws.renew(TARGET, fresh) is None


async def test_a_profile_that_is_gone_when_renewing_gives_no_newer_credentials(
    sandbox: Sandbox, credentials_file: Path
) -> None:
    save(credentials_file, f"[p]\naws_access_key_id={FIRST}\naws_secret_access_key={SECRET}\n")
    async with Aws(Connection(endpoint_url=sandbox.url, profile="p")) as aws:
        used = await aws.ses(TARGET)
        save(credentials_file, "")
        assert await aws.renew(TARGET, used) is None


# --- nothing secret is shown


async def test_no_error_shows_keys_or_tokens(sandbox: Sandbox, embedded: Embedded, no_backoff: None) -> None:
    """Not even with its traceback: a broken-off answer to AssumeRole holds what it handed out."""
    sandbox.change(credential_seconds=30, stall_seconds=0.01)
    shown = ""
    for fault, known in FAULTS.items():
        async with Aws(embedded(role_arn=ROLE), SESSION) as aws:
            ses = await aws.ses(TARGET)
            for operation, call in (("AssumeRole", ses.ready), ("PutIdentityPolicy", partial(put, ses))):
                if operation not in known.operations:
                    continue
                sandbox.change(faults={f"{fault}@{operation}": 1.0})
                error = await failure(call())
                shown += "".join(traceback.format_exception(error)) + error.hint + repr(error)
    tokens = {arrival.access_key for arrival in sandbox.arrivals} - {""}
    assert len(tokens) > 10
    assert shown.count("Traceback") > len(FAULTS)
    for secret in (*tokens, KEY, SECRET, "SecretAccessKey", "batchpol-sandbox."):
        assert secret not in shown
