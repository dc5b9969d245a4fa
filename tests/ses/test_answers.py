"""A success is only what is one to the letter, and somebody who is not SES is told from it, in one error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import botocore.session
import pytest
from aiohttp import web
from botocore.parsers import create_parser

from batchpol.model.errors import AccessRefused, NoAnswer, SesError, Throttled, Unreachable
from batchpol.model.settings import Connection
from batchpol.sandbox.wire import SES_NAMESPACE, STS_NAMESPACE, element, list_of, map_of, result_xml
from batchpol.ses import Aws
from batchpol.ses.answers import check, plain_yes
from tests.ses.conftest import KEY, SECRET, SESSION, opened
from tests.ses.test_attempts import CALLS, both_ways, failure

PUT, READ, LIST = "PutIdentityPolicy", "GetIdentityPolicies", "ListIdentityPolicies"
VERIFIED = "GetIdentityVerificationAttributes"


@asynccontextmanager
async def answering(body: bytes, status: int = 200) -> AsyncIterator[Connection]:
    """Somebody who says the same to everybody, and the connection to them."""

    async def say(_: web.BaseRequest) -> web.Response:
        return web.Response(body=body, status=status)

    runner = web.ServerRunner(web.Server(say))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Connection(
            regions=("us-east-1",), endpoint_url=site.name, access_key=KEY, secret_key=SECRET, read_timeout=5.0
        )
    finally:
        await runner.cleanup()


async def said(body: bytes, operation: str = PUT, status: int = 200, *, callers: bool = False) -> SesError:
    async with answering(body, status) as connection, opened(connection, callers=callers) as ses:
        return await failure(CALLS[operation](ses, None))


def good(operation: str, result: str = "", namespace: str = SES_NAMESPACE) -> bytes:
    return result_xml(operation, result, "r-1", namespace)


GOOD = {
    PUT: good(PUT),
    READ: good(READ, map_of("Policies", [("name", "{}")])),
    LIST: good(LIST, list_of("PolicyNames", ["name"])),
    VERIFIED: good(VERIFIED, map_of("VerificationAttributes", [("a", element("VerificationStatus", "Success"))])),
}
"""Answers of SES's, of which the others are copies with one thing wrong."""


@both_ways
@pytest.mark.parametrize("operation", GOOD)
async def test_an_answer_of_ses_s_is_one(operation: str, callers: bool) -> None:
    later = GOOD[operation].replace(b"</VerificationStatus>", b"</VerificationStatus><SaidSince2030>x</SaidSince2030>")
    for body in (GOOD[operation], b'<?xml version="1.0"?>\n<!-- by an emulator -->\n' + GOOD[operation], later):
        async with answering(body) as connection, opened(connection, callers=callers) as ses:
            assert await CALLS[operation](ses, None)


NO_SUCCESS = {
    "nothing": (PUT, b""),
    "blanks": (PUT, b"  \n"),
    "text": (PUT, b"OK"),
    "JSON": (PUT, b"{}"),
    "a page": (PUT, b"<html><body>Welcome</body></html>"),
    "another namespace": (PUT, good(PUT, namespace="http://example.com/")),
    "the namespace without its slash": (PUT, good(PUT, namespace=SES_NAMESPACE.rstrip("/"))),
    "the namespace of STS": (PUT, good(PUT, namespace=STS_NAMESPACE)),
    "no namespace": (PUT, good(PUT).replace(f' xmlns="{SES_NAMESPACE}"'.encode(), b"")),
    "an answer to something else": (PUT, good("DeleteIdentityPolicy")),
    "text in the result": (PUT, good(PUT, "no such tenant")),
    "a page in the result": (PUT, good(PUT, "<html><body>Welcome</body></html>")),
    "text beside the result": (PUT, GOOD[PUT].replace(b"</PutIdentityPolicyResult>", b"</PutIdentityPolicyResult>x")),
    "something beside the result": (PUT, GOOD[PUT].replace(b"<ResponseMetadata>", b"<Error/><ResponseMetadata>")),
    "two results": (PUT, GOOD[PUT].replace(b"<ResponseMetadata>", b"<PutIdentityPolicyResult/><ResponseMetadata>")),
    "no result": (PUT, GOOD[PUT].replace(b"<PutIdentityPolicyResult></PutIdentityPolicyResult>", b"")),
    "no request id": (PUT, GOOD[PUT].replace(b"<RequestId>r-1</RequestId>", b"")),
    "an empty request id": (PUT, GOOD[PUT].replace(b"r-1", b"")),
    "an error": (PUT, b"<ErrorResponse><Error><Code>InvalidPolicy</Code></Error></ErrorResponse>"),
    "no policies": (READ, good(READ)),
    "text for policies": (READ, good(READ, "<Policies>none</Policies>")),
    "a list for policies": (READ, good(READ, list_of("Policies", ["name"]))),
    "a policy without a name": (READ, good(READ, "<Policies><entry><value>{}</value></entry></Policies>")),
    "a policy of elements": (READ, good(READ, map_of("Policies", [("name", "<html/>")]))),
    "policies twice": (READ, good(READ, "<Policies></Policies><Policies></Policies>")),
    "no names": (LIST, good(LIST)),
    "text for names": (LIST, good(LIST, "<PolicyNames>name</PolicyNames>")),
    "another word for member": (LIST, good(LIST, "<PolicyNames><item>name</item></PolicyNames>")),
    "text for attributes": (VERIFIED, good(VERIFIED, map_of("VerificationAttributes", [("a", "Success")]))),
}


@both_ways
@pytest.mark.parametrize("fault", NO_SUCCESS)
async def test_a_success_is_only_what_is_one_to_the_letter(fault: str, callers: bool) -> None:
    operation, body = NO_SUCCESS[fault]
    error = await said(body, operation, callers=callers)
    assert (type(error), error.code, error.http_status) == (NoAnswer, "UnreadableAnswer", 200)
    assert str(error).startswith(f"this is no answer of SES's to {operation}: HTTP 200, ")
    assert "`endpoint_url`" in error.hint


def test_what_is_taken_at_a_glance_is_taken_by_the_long_way_too() -> None:
    """Every way to take one character out of an answer of SES's, put another one there, or repeat it."""
    model = botocore.session.get_session().get_service_model("ses").operation_model(PUT)
    yes, parser = plain_yes(model), create_parser("query")
    assert yes is not None and yes.fullmatch(GOOD[PUT])
    spaced = GOOD[PUT].replace(b"></PutIdentityPolicyResult>", b"/>").replace(b"><", b">\r\n\t <")
    bodies = [GOOD[PUT], spaced, *(spaced[:at] + other + spaced[end:] for at, end, other in _faults(spaced))]
    taken = [(body, said[1].decode()) for body in bodies if (said := yes.fullmatch(body))]
    assert 10 < len(taken) < len(bodies) / 4
    for body, request_id in taken:
        answer = {"status_code": 200, "headers": {}, "body": body}
        check(answer, model)
        assert parser.parse(answer, model.output_shape)["ResponseMetadata"]["RequestId"] == request_id


def _faults(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Places in a text, and what else to put there."""
    for at in range(len(body)):
        for other in (b"", body[at : at + 1] * 2, *(b" ", b"x", b"<", b">", b"/", b"&", b"\x0b", b"\xff", b"<!---->")):
            yield at, at + 1, other


PAGE = b"<!DOCTYPE html><html><title>Gone &amp; lost</title><style>p{}</style><body><p>Try %s</body></html>"
S3 = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>Of another service</Message></Error>'
JSON = b'{"__type":"com.example#%s","message":"Of another service"}'
SES_XML = b"<ErrorResponse><Error><Code>%s</Code><Message>Of another service</Message></Error></ErrorResponse>"


@both_ways
@pytest.mark.parametrize(
    ("body", "status", "kind", "code"),
    [
        *((body, status, AccessRefused, "") for body in (PAGE, S3, JSON, SES_XML, b"") for status in (404, 405, 501)),
        *((body, 400, AccessRefused, "") for body in (S3, JSON, SES_XML)),
        (PAGE, 400, NoAnswer, "HTTP400"),
        (PAGE, 302, NoAnswer, "HTTP302"),
        (PAGE, 401, AccessRefused, "HTTP401"),
        (PAGE, 403, AccessRefused, "HTTP403"),
        (PAGE, 407, AccessRefused, "HTTP407"),
        (PAGE, 429, Throttled, "HTTP429"),
        (PAGE, 502, NoAnswer, "HTTP502"),
        (JSON, 503, NoAnswer, "HTTP503"),
        (JSON, 408, NoAnswer, "HTTP408"),
    ],
)  # fmt: skip
async def test_somebody_who_is_not_ses_is_one_error_with_the_status_and_what_they_say(
    body: bytes, status: int, kind: type[SesError], code: str, callers: bool
) -> None:
    word = b"Again" if code else b"InvalidAction"
    error = await said(body.replace(b"%s", word), status=status, callers=callers)
    assert (type(error), error.http_status) == (kind, status)
    assert error.code == code or (not code and error.code in (f"HTTP{status}", "InvalidAction"))
    assert f"HTTP {status}, " in str(error)
    assert ("without a word" in str(error)) == (not body)
    for mark in ("<", "p{}", "\n", "&amp;"):
        assert mark not in str(error)
    assert ("HTTPS_PROXY" if status == 407 else "`endpoint_url`") in error.hint
    if status in (404, 405, 501):
        assert str(error).startswith("this endpoint does not know PutIdentityPolicy: is it SES's? (")


@pytest.mark.parametrize(("status", "kind"), [(200, Unreachable), (404, AccessRefused), (400, AccessRefused)])
async def test_somebody_who_is_not_sts_is_told_as_well(status: int, kind: type[SesError]) -> None:
    for body in (JSON % b"MethodNotAllowed", S3 % b"MethodNotAllowed"):
        async with answering(body, status) as connection, Aws(connection, SESSION) as aws:
            error = await failure(aws.caller("us-east-1"))
        assert (type(error), error.http_status) == (kind, status)
        assert "STS" in str(error) and f"HTTP {status}" in str(error) and "Of another service" in str(error)
        assert "`endpoint_url`" in error.hint


async def test_what_could_hold_credentials_is_not_quoted() -> None:
    body = b"<AssumeRoleResponse><SecretAccessKey>of-somebody-else</SecretAccessKey></AssumeRoleResponse>"
    assert "of-somebody-else" not in str(await said(body))


async def test_a_long_page_is_quoted_with_its_first_words() -> None:
    error = await said(b"<html><title>Log in to the network</title>" + b"<p>word " * 100_000, status=403)
    assert 'HTTP 403, "Log in to the network word' in str(error)
    assert len(str(error)) < 200
