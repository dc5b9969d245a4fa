"""Where the Region, the endpoint, the profile and the credentials come from, and what is never read."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import botocore
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from batchpol.model.errors import AccessRefused, BatchpolError, SesError, Unreachable, UsageError
from batchpol.model.settings import Connection
from batchpol.ses import Aws, Caller
from batchpol.ses.aws import AWS_HOSTS
from batchpol.testing import Sandbox
from tests.ses.conftest import ACCOUNT, DOCUMENT, IDENTITY, KEY, SECRET, TARGET, save

Environment = pytest.MonkeyPatch


@pytest.fixture
def credentials(environment: Environment) -> Environment:
    """An environment with an access key."""
    environment.setenv("AWS_ACCESS_KEY_ID", KEY)
    environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return environment


# --- Region


def test_the_region_is_the_nearest_one_named(environment: Environment, config_file: Path) -> None:
    save(config_file, "[default]\nregion = eu-west-1\n[profile other]\nregion = eu-west-2\n")
    environment.setenv("AWS_PROFILE", "other")
    assert Aws(Connection()).region() == "eu-west-2"
    assert Aws(Connection(profile="default")).region() == "eu-west-1"
    environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert Aws(Connection()).region() == "eu-central-1"
    environment.setenv("AWS_REGION", "ap-south-1")
    assert Aws(Connection()).region() == "ap-south-1"
    assert Aws(Connection(regions=("us-west-2",))).region() == "us-west-2"
    environment.setenv("AWS_REGION", "")
    assert Aws(Connection()).region() == "eu-central-1"


def test_there_may_be_no_region(environment: Environment) -> None:
    assert Aws(Connection()).region() == ""


def test_an_embedded_ses_takes_no_region_from_the_environment(environment: Environment, config_file: Path) -> None:
    save(config_file, "[default]\nregion = eu-west-1\n")
    environment.setenv("AWS_REGION", "eu-central-1")
    environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert Aws(Connection(access_key=KEY, secret_key=SECRET)).region() == ""


# --- an embedded SES: nothing of AWS's environment counts

HOSTILE = {
    "AWS_PROFILE": "not-there",
    "AWS_DEFAULT_PROFILE": "not-there",
    "AWS_ACCESS_KEY_ID": "AKIAOFSOMEBODYELSE00",
    "AWS_SECRET_ACCESS_KEY": "of-somebody-else",
    "AWS_SESSION_TOKEN": "of-somebody-else",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ENDPOINT_URL_SES": "http://127.0.0.1:1",
    "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "garbage",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_STS_REGIONAL_ENDPOINTS": "garbage",
    "AWS_RETRY_MODE": "garbage",
    "AWS_MAX_ATTEMPTS": "garbage",
    "AWS_DEFAULTS_MODE": "garbage",
    "AWS_CA_BUNDLE": "/not/there.pem",
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "garbage",
    "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "garbage",
    "AWS_AUTH_SCHEME_PREFERENCE": "garbage",
    "AWS_BEARER_TOKEN_SES": "of-somebody-else",
    "AWS_DATA_PATH": "/not/there",
    "AWS_SDK_UA_APP_ID": "of-somebody-else",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
    "REQUESTS_CA_BUNDLE": "",
}


@pytest.mark.parametrize("role_arn", [None, "arn:aws:iam::{account}:role/Writer"])
async def test_an_embedded_ses_reads_nothing_of_awss(
    role_arn: str | None,
    environment: Environment,
    config_file: Path,
    credentials_file: Path,
    sandbox: Sandbox,
    embedded: Callable[..., Connection],
) -> None:
    save(config_file, b"\xff\xfe garbage [[")
    save(credentials_file, b"\xff\xfe garbage [[")
    for name, value in HOSTILE.items():
        environment.setenv(name, value)
    async with Aws(embedded(role_arn=role_arn)) as aws:
        caller = await aws.caller("us-east-1", ACCOUNT)
        ses = await aws.ses(TARGET)
        await ses.ready()
        await ses.put(IDENTITY, "name", DOCUMENT, None)
        assert (await aws.renew(TARGET, ses) is None) == (role_arn is None), "a role that worked is assumed again"
    assert caller.account == ACCOUNT
    keys = {
        arrival.access_key for arrival in sandbox.arrivals if arrival.operation in ("GetCallerIdentity", "AssumeRole")
    }
    assert keys == {KEY}
    assert {arrival.region for arrival in sandbox.arrivals} == {"us-east-1"}


async def test_an_adaptive_retry_mode_of_the_environment_does_not_wait_behind_the_gate(
    credentials: Environment, sandbox: Sandbox
) -> None:
    credentials.setenv("AWS_RETRY_MODE", "adaptive")
    credentials.setenv("AWS_MAX_ATTEMPTS", "9")
    async with Aws(Connection(endpoint_url=sandbox.url)) as aws:
        ses = await aws.ses(TARGET)
        assert ses.client.meta.config.retries == {"mode": "standard", "total_max_attempts": 1}


# --- endpoints


async def where(aws: Aws) -> tuple[str, str]:
    """The endpoints of SES and STS, as the clients have them."""
    ses = await aws.ses(TARGET)
    assert ses.exchange is not None and ses.exchange.url == ses.client.meta.endpoint_url + "/"
    return ses.client.meta.endpoint_url, (await aws._client("sts", "us-east-1")).meta.endpoint_url


SES, STS = "https://email.us-east-1.amazonaws.com", "https://sts.us-east-1.amazonaws.com"
VPC = "https://vpce-0123-abc.email.us-east-1.vpce.amazonaws.com"


@pytest.mark.parametrize(
    ("given", "variables", "expected"),
    [
        (None, {}, (SES, STS)),
        ("http://localhost:4566", {}, ("http://localhost:4566", "http://localhost:4566")),
        (VPC, {}, (VPC, STS)),
        (None, {"AWS_ENDPOINT_URL_SES": "http://a:1"}, ("http://a:1", STS)),
        (None, {"AWS_ENDPOINT_URL_STS": "http://b:1"}, (SES, "http://b:1")),
        (None, {"AWS_ENDPOINT_URL": "http://c:1"}, ("http://c:1", "http://c:1")),
        (
            None,
            {"AWS_ENDPOINT_URL": "http://c:1", "AWS_ENDPOINT_URL_STS": "http://b:1"},
            ("http://c:1", "http://b:1"),
        ),
        ("http://localhost:4566", {"AWS_ENDPOINT_URL_STS": "http://b:1"}, ("http://localhost:4566", "http://b:1")),
        ("http://localhost:4566", {"AWS_ENDPOINT_URL": "http://c:1"}, ("http://localhost:4566",) * 2),
        (VPC, {"AWS_ENDPOINT_URL_STS": "http://b:1"}, (VPC, "http://b:1")),
        (None, {"AWS_ENDPOINT_URL": "http://c:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, (SES, STS)),
    ],
)
async def test_endpoints(
    given: str | None, variables: dict[str, str], expected: tuple[str, str], credentials: Environment
) -> None:
    for name, value in variables.items():
        credentials.setenv(name, value)
    async with Aws(Connection(endpoint_url=given)) as aws:
        assert await where(aws) == expected
        assert await aws.endpoint("us-east-1") == (given or ("" if expected[0] == SES else expected[0]))


async def test_a_profile_may_name_an_endpoint(credentials: Environment, config_file: Path) -> None:
    save(config_file, "[profile a]\nendpoint_url = http://a:1\n[profile b]\nuse_fips_endpoint = true\n")
    for profile, expected in (("a", "http://a:1"), ("b", "")):
        credentials.setenv("AWS_PROFILE", profile)
        async with Aws(Connection()) as aws:
            assert await aws.endpoint("us-east-1") == expected


def test_awss_own_hosts_are_those_of_botocores_partitions() -> None:
    """An endpoint of SES inside AWS is not asked for STS, in whatever partition."""
    file = Path(botocore.__file__).parent / "data" / "partitions.json"
    outputs = [partition["outputs"] for partition in json.loads(file.read_bytes())["partitions"]]
    for suffix in {it for output in outputs for it in (output["dnsSuffix"], output["dualStackDnsSuffix"])}:
        assert f"vpce-1.email.some-region-1.{suffix}".endswith(AWS_HOSTS), suffix
        assert not f"{suffix}.example.com".endswith(AWS_HOSTS)


@pytest.mark.parametrize("url", ["localhost:4566", "foo", "http://", "http://a b/"])
async def test_an_endpoint_that_is_none_stops_before_anything_is_sent(url: str, credentials: Environment) -> None:
    async with Aws(Connection(endpoint_url=url)) as aws:
        for opening in (aws.ses(TARGET), aws.caller("us-east-1")):
            with pytest.raises(AccessRefused, match="nvalid endpoint") as caught:
                await opening
            assert caught.value.code == "Configuration"


# --- profiles and credentials


def test_a_profile_that_is_not_there(environment: Environment, config_file: Path) -> None:
    save(config_file, "[profile one]\nregion = eu-west-1\n[profile two]\n")
    with pytest.raises(UsageError, match=r"\(three\)") as caught:
        Aws(Connection(profile="three"))
    assert "one, two" in caught.value.hint
    environment.setenv("AWS_PROFILE", "four")
    with pytest.raises(UsageError, match=r"\(four\)"):
        Aws(Connection())
    with pytest.raises(UsageError, match=r"\(four\)"):
        Aws(Connection(), AioSession(profile="four"))
    config_file.unlink()
    with pytest.raises(UsageError) as caught:
        Aws(Connection(profile="three"))
    assert caught.value.hint == "make it: aws configure --profile three"


def test_a_configuration_file_that_is_none(config_file: Path) -> None:
    save(config_file, b"\xff\xfe garbage [[")
    with pytest.raises(UsageError, match="cannot be read") as caught:
        Aws(Connection())
    assert str(config_file) in str(caught.value)
    assert "AWS_CONFIG_FILE" in caught.value.hint


async def test_no_credentials_at_all_is_one_clear_sentence(environment: Environment, sandbox: Sandbox) -> None:
    for role_arn in (None, f"arn:aws:iam::{ACCOUNT}:role/Writer"):
        async with Aws(Connection(endpoint_url=sandbox.url, role_arn=role_arn)) as aws:
            for opening in (aws.caller("us-east-1", ACCOUNT), aws.ses(TARGET)):
                with pytest.raises(AccessRefused) as caught:
                    await opening
                assert str(caught.value) == "no usable credentials: Unable to locate credentials (profile default)"
                assert caught.value.code == "NoCredentials"
                assert "`profile`" in caught.value.hint
    assert len(sandbox.arrivals) == 0


BROKEN = {
    "half a key": "[default]\naws_access_key_id = AKIAX\n",
    "no such program": "[default]\ncredential_process = /not/there\n",
    "a program that says nothing": "[default]\ncredential_process = true\n",
    "a program that fails": "[default]\ncredential_process = false\n",
    "a source that is not there": "[default]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = none\n",
    "a source that is itself": "[default]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = a\n"
    "[profile a]\nrole_arn = arn:aws:iam::1:role/b\nsource_profile = default\n",
    "a token file that is not there": "[default]\nrole_arn = arn:aws:iam::1:role/a\n"
    "web_identity_token_file = /not/there\n",
    "half an SSO profile": "[default]\nsso_start_url = https://x\nsso_account_id = 1\n",
    "an SSO session not logged in": "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n"
    "[sso-session s]\nsso_start_url = https://x\nsso_region = us-east-1\n",
    "an SSO session that is not there": "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("role_arn", [None, f"arn:aws:iam::{ACCOUNT}:role/Writer"], ids=["plain", "role"])
async def test_broken_credentials_stop_before_anything_is_sent(
    text: str, role_arn: str | None, environment: Environment, config_file: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Whatever botocore, json or the file system make of them, and whenever: always an AccessRefused."""
    save(config_file, text)
    environment.setenv("HOME", str(tmp_path))
    async with Aws(Connection(endpoint_url=sandbox.url, role_arn=role_arn)) as aws:
        with pytest.raises(AccessRefused) as caught:
            await aws.caller("us-east-1", ACCOUNT)
        assert caught.value.code in ("NoCredentials", "Configuration")
        with pytest.raises(AccessRefused):
            ses = await aws.ses(TARGET)
            await ses.ready()
        with pytest.raises(AccessRefused):
            await (await aws.ses(TARGET)).put(IDENTITY, "name", DOCUMENT, None)
    assert len(sandbox.arrivals) == 0


async def test_who_one_is(credentials: Environment, sandbox: Sandbox) -> None:
    async with Aws(Connection(endpoint_url=sandbox.url)) as aws:
        assert await aws.caller("us-east-1") == Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/sandbox")
        sandbox.change(faults={"invalid_client_token@GetCallerIdentity": 1.0})
        with pytest.raises(AccessRefused) as caught:
            await aws.caller("us-east-1")
        assert "access key" in caught.value.hint


async def test_sts_is_tried_again_by_botocore_as_no_gate_guards_it(
    credentials: Environment, sandbox: Sandbox, no_backoff: None
) -> None:
    sandbox.change(faults_at={"unavailable@GetCallerIdentity": {1}})
    async with Aws(Connection(endpoint_url=sandbox.url)) as aws:
        assert (await aws.caller("us-east-1")).account == ACCOUNT
        assert len(sandbox.arrivals) == 2
        await sandbox.go_away()
        with pytest.raises(Unreachable):
            await aws.caller("us-east-1")


async def test_the_callers_own_session_is_used_with_its_credentials(credentials: Environment, sandbox: Sandbox) -> None:
    """And with no other: those of the environment are not "newer" ones."""
    session = AioSession()
    session.set_credentials("AKIAOFTHECALLER00000", SECRET)
    for role_arn in (None, "arn:aws:iam::{account}:role/Writer"):
        sandbox.arrivals.clear()
        async with Aws(Connection(endpoint_url=sandbox.url, role_arn=role_arn), session) as aws:
            ses = await aws.ses(TARGET)
            await aws.caller("us-east-1", ACCOUNT)
            await ses.put(IDENTITY, "name", DOCUMENT, None)
            assert (await aws.renew(TARGET, ses) is None) == (role_arn is None)
        used = [arrival.access_key for arrival in sandbox.arrivals]
        assert used[0] == "AKIAOFTHECALLER00000"
        assert used[-1].startswith("ASIA" if role_arn else "AKIAOFTHECALLER")


async def test_the_proxies_of_the_callers_own_session_are_kept(credentials: Environment, sandbox: Sandbox) -> None:
    session = AioSession()
    session.set_default_client_config(AioConfig(proxies={"http": "http://127.0.0.1:1"}))
    async with Aws(Connection(endpoint_url=sandbox.url), session) as aws:
        with pytest.raises(Unreachable, match="proxy"):
            await (await aws.ses(TARGET)).put(IDENTITY, "name", DOCUMENT, None)
    assert len(sandbox.arrivals) == 0


async def test_nothing_is_printed_where_logging_is_not_set_up(
    environment: Environment, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """aiobotocore logs a traceback for each refresh that fails, and Python prints what no handler takes."""
    save(config_file, BROKEN["an SSO session not logged in"])
    environment.setenv("HOME", str(tmp_path))
    environment.setattr(logging.getLogger(), "handlers", [])
    async with Aws(Connection()) as aws:
        with pytest.raises(AccessRefused, match="SSO"):
            await aws.caller("us-east-1")
    assert capsys.readouterr() == ("", "")


def test_keys_are_not_in_what_a_connection_prints() -> None:
    shown = repr(Connection(access_key=KEY, secret_key=SECRET))
    assert KEY not in shown and SECRET not in shown


async def test_all_that_leaves_the_border_is_ours(credentials: Environment) -> None:
    """A Region that is none, an option that botocore refuses: nothing foreign gets out."""
    async with Aws(Connection()) as aws:
        for region in ("", "no region!", "-"):
            with pytest.raises(SesError) as caught:
                await aws.caller(region)
            assert isinstance(caught.value, BatchpolError)
