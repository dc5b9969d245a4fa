"""aiobotocore's names without a promise: looked at once, in one place, and left alone where they are not as known."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiobotocore.client import AioBaseClient
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.exceptions import DataNotFoundError

import batchpol.ses
from batchpol.model.settings import Connection
from batchpol.sending.caller import find_out
from batchpol.ses import Aws, internals
from batchpol.testing import Sandbox
from tests.ses.conftest import ACCOUNT, DOCUMENT, IDENTITY, SECRET, TARGET, save
from tests.ses.test_attempts import gate

FILES = sorted(Path(batchpol.ses.__file__).parent.glob("*.py"))


@pytest.fixture
def looked_at_anew() -> Iterator[None]:
    internals.strange.cache_clear()
    yield
    internals.strange.cache_clear()


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch, looked_at_anew: None) -> None:
    """An aiobotocore in which nothing is where it was, as far as can be seen from here."""
    monkeypatch.setattr(internals, "_CALLED", [(kind, name, ("other",)) for kind, name, _ in internals._CALLED])
    monkeypatch.setattr(internals, "_HELD", [(kind, f"{name}_renamed") for kind, name in internals._HELD])


def test_the_installed_one_is_as_known(looked_at_anew: None) -> None:
    assert internals.strange() == set()
    assert internals.notes() == []


def test_a_method_that_is_gone_or_takes_something_else_is_strange(
    looked_at_anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(AIOHTTPSession, "_build_ssl_contexts")
    monkeypatch.setattr(AIOHTTPSession, "_get_session", lambda self, request: None)
    monkeypatch.setattr(AioBaseClient, "_resolve_endpoint_ruleset", lambda self, operation: None)
    assert internals.strange() == internals.OF_HTTP | {"AioBaseClient._resolve_endpoint_ruleset"}


def test_an_attribute_that_is_not_set_is_strange(looked_at_anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(self: object) -> None:
        """Sets nothing."""

    monkeypatch.setattr(internals, "_HELD", ((type("Other", (), {"__init__": begin}), "_endpoint"),))
    assert internals.strange() == {"Other._endpoint"}


def test_what_is_private_to_others_is_named_in_one_place() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text("utf-8"))
        names = [it for it in ast.walk(tree) if isinstance(it, ast.Attribute) and it.attr.startswith("_")]
        others = {it.attr for it in names if not (isinstance(it.value, ast.Name) and it.value.id in ("self", "cls"))}
        others = {name for name in others if not name.startswith("__")}
        assert not others or path.name == "internals.py", f"{path} reaches into somebody's {others}"


@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1"])
def test_services_are_known_by_name_and_their_models_are_those_that_botocore_finds(kind: str) -> None:
    theirs, ours = AioSession().get_component("data_loader"), AioSession()
    internals.know_services_by_name(ours)
    loader = ours.get_component("data_loader")
    assert set(loader.list_available_services(kind)) >= set(theirs.list_available_services(kind))
    for service in ("ses", "sesv2", "sts", "sso", "sso-oidc"):
        assert loader.load_service_model(service, kind) == theirs.load_service_model(service, kind)
    with pytest.raises(DataNotFoundError):
        loader.load_service_model("no-such-service", kind)


async def test_requests_go_the_clients_own_way_and_still_pass_the_gate(
    unknown: None, sandbox: Sandbox, embedded: Callable[..., Connection]
) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    async with Aws(embedded(role_arn=role)) as aws:
        ses = await aws.ses(TARGET)
        assert ses.exchange is None
        await ses.warm()
        await ses.ready()
        told, attempt = gate()
        await ses.put(IDENTITY, "name", DOCUMENT, attempt)
        assert told == ["admit", "departed"]
        assert (await ses.policies(IDENTITY, ["name"], None)) == {"name": DOCUMENT}
    assert [it.operation for it in sandbox.arrivals] == ["AssumeRole", "PutIdentityPolicy", "GetIdentityPolicies"]
    assert [it.access_key[:4] for it in sandbox.arrivals] == ["AKIA", "ASIA", "ASIA"]


async def test_renewed_credentials_sign_all_the_same(unknown: None, sandbox: Sandbox, credentials_file: Path) -> None:
    def renew(key: str) -> None:
        save(credentials_file, f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n")

    renew("AKIATHEFIRST00000000")
    async with Aws(Connection(endpoint_url=sandbox.url, regions=("us-east-1",))) as aws:
        used = await aws.ses(TARGET)
        await used.put(IDENTITY, "name", DOCUMENT, None)
        renew("AKIATHESECOND0000000")
        fresh = await aws.renew(TARGET, used)
        assert fresh is not None
        await fresh.put(IDENTITY, "name", DOCUMENT, None)
        await aws.caller("us-east-1")
    keys = [it.access_key for it in sandbox.arrivals]
    assert keys == ["AKIATHEFIRST00000000", "AKIATHESECOND0000000", "AKIATHESECOND0000000"]


async def test_people_are_told(unknown: None, sandbox: Sandbox, embedded: Callable[..., Connection]) -> None:
    async with Aws(embedded()) as aws:
        here = await find_out(aws)
    slower, laxer = here.notes
    assert "AioBaseClient._resolve_endpoint_ruleset" in slower and "processor time" in slower
    assert "AIOHTTPSession._get_session" in laxer and "redirects" in laxer
