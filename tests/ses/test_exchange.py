"""Requests that we put together ourselves: what leaves is what botocore's client would send, and its owner's hooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import botocore.auth
import pytest
from aiobotocore.session import AioSession
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import example, given
from hypothesis import strategies as st

import batchpol.ses.exchange
from batchpol.model.errors import PolicyRefused
from batchpol.model.settings import Connection
from batchpol.ses import Aws, Ses
from batchpol.ses.exchange import Signer, quoted
from batchpol.ses.internals import http_session_of
from batchpol.testing import Sandbox
from tests.ses.conftest import ACCOUNT, DOCUMENT, IDENTITY, KEY, SECRET, TARGET, opened
from tests.ses.test_attempts import CALLS

ROLE = f"arn:aws:iam::{ACCOUNT}:role/Writer"

MORE_CALLS: dict[str, Callable[[Ses], Awaitable[object]]] = {
    "a document with everything in it": lambda ses: ses.put(
        "a+b@tenant.example", "n_-1", DOCUMENT.replace("}", '," ~%&=+*\\u20ac":"ä€\U0001f600 \\n"}', 1), None
    ),
    "many names": lambda ses: ses.policies(IDENTITY, [f"name-{number}" for number in range(20)], None),
    "no names": lambda ses: ses.policies(IDENTITY, [], None),
}


def read_by_ses(request: Any) -> dict[str, str]:
    """What SES reads of a request, but for its date and signature; which headers are signed is the signer's choice."""
    texts = {"method": request.method, "url": request.url, "body": request.body}
    texts |= {name: request.headers[name] for name in ("Content-Type", "X-Amz-Security-Token", "amz-sdk-request")}
    texts["amz-sdk-invocation-id"] = len(request.headers["amz-sdk-invocation-id"]) * "x"
    return {name: text.decode() if isinstance(text, bytes) else text for name, text in texts.items()}


@pytest.mark.parametrize("token", [None, "", "IQoJb3JpZ2luX2VjEXAMPLE//" * 30 + "==", " of  a variable "])
@pytest.mark.parametrize(
    "url",
    [
        "https://email.us-east-1.amazonaws.com/",
        "https://email.us-east-1.amazonaws.com:443/",
        "http://127.0.0.1:8000/",
        "http://[::1]:8000/a%20path/~x/../y/?b=2&a=1",
    ],
)
@pytest.mark.parametrize("body", [b"", b"Action=PutIdentityPolicy&Policy=%7B%22%E2%82%AC%22%7D+x"])
def test_a_signature_is_botocores(url: str, token: str | None, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: now)
    monkeypatch.setattr(batchpol.ses.exchange, "gmtime", now.utctimetuple)
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "User-Agent": "me", "X-Own": "a  b"}
    keys = ReadOnlyCredentials(KEY, SECRET, token)
    expected = AWSRequest("POST", url, headers=headers, data=body)
    SigV4Auth(keys, "ses", "us-east-1").add_auth(expected)
    signer = Signer(url, headers, "ses", "us-east-1")
    for _ in range(2):
        assert headers | signer.sign(keys, body) == dict(expected.headers)


@given(st.text())
@example("".join(map(chr, range(0x250))) + "%41%+ + \U0001f600")
def test_quoting_is_urllibs(text: str) -> None:
    assert quoted(text).decode() == quote_plus(text)


@pytest.mark.parametrize("path", ["", "/", "/ses", "/ses/"])
async def test_an_endpoint_may_have_a_path(path: str, sandbox: Sandbox, embedded: Callable[..., Connection]) -> None:
    async with opened(embedded(endpoint_url=f"http://localhost:1{path}")) as ses:
        assert ses.exchange is not None
        assert ses.exchange.url == f"http://localhost:1{path or '/'}"


@pytest.mark.parametrize("call", [*CALLS, *MORE_CALLS])
async def test_what_leaves_is_what_the_client_itself_would_send(
    call: str, sandbox: Sandbox, embedded: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Any] = []
    make = MORE_CALLS.get(call) or (lambda ses: CALLS[call](ses, None))
    for callers in (False, True):
        async with opened(embedded(role_arn=ROLE), callers=callers) as ses:
            http = http_session_of(ses.client)

            async def watched(request: Any, send: Callable[[Any], Awaitable[Any]] = http.send) -> Any:
                requests.append(request)
                return await send(request)

            monkeypatch.setattr(http, "send", watched)
            with suppress(PolicyRefused):  # not what is asked here
                await make(ses)
    ours, botocores = map(read_by_ses, requests)
    token = ours.pop("X-Amz-Security-Token")  # of another session each time
    assert token and token != botocores.pop("X-Amz-Security-Token")
    assert ours == botocores


async def test_each_request_has_an_invocation_of_its_own(
    sandbox: Sandbox, embedded: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    async with opened(embedded()) as ses:
        http = http_session_of(ses.client)

        async def watched(request: Any, send: Callable[[Any], Awaitable[Any]] = http.send) -> Any:
            found.append(request.headers["amz-sdk-invocation-id"])
            return await send(request)

        monkeypatch.setattr(http, "send", watched)
        for _ in range(3):
            await ses.policy_names(IDENTITY, None)
    assert len(set(found)) == 3


@pytest.mark.parametrize("callers", [False, True])
async def test_the_id_of_the_users_application_is_in_the_user_agent(
    callers: bool, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "mail team/1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    found: list[str] = []
    async with Aws(Connection(endpoint_url=sandbox.url), AioSession() if callers else None) as aws:
        ses = await aws.ses(TARGET)
        http = http_session_of(ses.client)

        async def watched(request: Any, send: Callable[[Any], Awaitable[Any]] = http.send) -> Any:
            found.append(request.headers["User-Agent"])
            return await send(request)

        monkeypatch.setattr(http, "send", watched)
        await ses.policy_names(IDENTITY, None)
    (said,) = (it.decode() if isinstance(it, bytes) else it for it in found)
    assert " app/mail-team-1" in said and said.startswith("batchpol/")


@pytest.mark.parametrize("name", [IDENTITY, "Somebody@Tenant.example"])
async def test_an_identity_goes_by_its_bare_name(
    name: str, sandbox: Sandbox, embedded: Callable[..., Connection]
) -> None:
    """SES takes the ARN as well; an emulator that keeps it apart has two identities then, and `export` misses one."""
    document = DOCUMENT.replace(IDENTITY, name)
    arn = f"arn:aws:ses:us-east-1:{ACCOUNT}:identity/{name}"
    for callers in (False, True):
        async with opened(embedded(), callers=callers) as ses:
            await ses.put(arn, "name", document, None)
            assert await ses.policies(arn, ["name"], None) == {"name": document}
            assert await ses.policy_names(arn, None) == ["name"]
            await ses.delete(arn, "name", None)
    assert {it.identity for it in sandbox.arrivals} == {name}


async def test_what_is_registered_on_a_callers_session_takes_part(
    sandbox: Sandbox, embedded: Callable[..., Connection]
) -> None:
    told: list[str] = []
    session = AioSession()
    session.register("before-call.ses.PutIdentityPolicy", lambda **_: told.append("before-call"))
    session.register("after-call.ses.PutIdentityPolicy", lambda **_: told.append("after-call"))
    async with Aws(embedded(), session) as aws:
        await (await aws.ses(TARGET)).put(IDENTITY, "name", DOCUMENT, None)
    assert told == ["before-call", "after-call"]
    assert len(sandbox.arrivals) == 1
