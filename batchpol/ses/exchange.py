"""One exchange with SES, put together from botocore's own parts: for the clients that this package makes itself.

``client.put_identity_policy`` takes three times the processor time: twenty events, an endpoint, a retry handler and a
User-Agent that come out the same each time, and a request that is prepared twice and signed piece by piece. Where
hundreds of lanes share one processor, that is what they wait for. A caller's own client or session may have something
registered on those events, so it goes through them all.
"""

from __future__ import annotations

import hmac
import re
import string
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from time import gmtime, strftime
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import aiobotocore
import botocore
import botocore.exceptions as bx
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, prepare_request_dict
from botocore.parsers import create_parser
from botocore.retries import standard
from botocore.serialize import create_serializer
from botocore.useragent import sanitize_user_agent_string_component

from batchpol.ses.answers import check, plain_yes
from batchpol.ses.internals import endpoint_of, http_session_of
from batchpol.version import __version__

USER_AGENT = f"batchpol/{__version__} aiobotocore/{aiobotocore.__version__} md/Botocore#{botocore.__version__}"
"""Said once: botocore would put it together anew for each request, an eighth of its time."""

_CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
_SDK_REQUEST = "attempt=1; max=1" if getattr(standard, "NEW_RETRIES_ENABLED", False) else "attempt=1"
"""botocore tells AWS of its own attempts at one call; there is one, trying again is a call of its own."""

_SERIALIZER = create_serializer("query", include_validation=False)
_PARSER = create_parser("query")
_WRITES = ("PutIdentityPolicy", "DeleteIdentityPolicy")
_UNQUOTED = frozenset(b"%" + (string.ascii_letters + string.digits + "_.-~").encode())
_DATE, _TOKEN = "<date>", "<token>"


def user_agent(app_id: str | None) -> str:
    """The User-Agent of requests, with the id that the user's configuration gives applications (``sdk_ua_app_id``)."""
    return f"{USER_AGENT} app/{sanitize_user_agent_string_component(app_id, allow_hash=True)}" if app_id else USER_AGENT


def quoted(text: str) -> bytes:
    """As urllib's ``quote_plus``, which goes by single characters: a document has hundreds, of a dozen kinds."""
    data = text.encode().replace(b"%", b"%25")
    for byte in sorted(set(data) - _UNQUOTED, reverse=True):  # the blank last, as its plus would be quoted again
        data = data.replace(b"%c" % byte, b"+" if byte == ord(" ") else b"%%%02X" % byte)
    return data


@cache
def _quoted_name(name: str) -> bytes:
    return quote_plus(name).encode()


class Signer:
    """AWS Signature Version 4 of requests to one URL that differ in nothing but body, date and keys.

    What is signed is botocore's own text: made once, with gaps for the date and the session token, since making it
    is most of what a signature costs. The rest is the key to sign with, which is the same for a day.
    """

    def __init__(self, url: str, headers: Mapping[str, str], service: str, region: str) -> None:
        self._scope = service, region
        self._key = lru_cache(maxsize=1024)(_signing_key)
        self._request = AWSRequest("POST", url)
        dated = {**headers, "X-Amz-Date": _DATE}
        self._plain = self._text(url, dated)
        self._with_token = self._text(url, {**dated, "X-Amz-Security-Token": _TOKEN})

    def sign(self, keys: Any, body: bytes) -> dict[str, str]:
        """The headers that a request with this body needs more, signed with frozen credentials, as of now."""
        stamp = self._request.context["timestamp"] = strftime(SIGV4_TIMESTAMP, gmtime())
        text, names = self._with_token if keys.token else self._plain
        text = text.replace(_DATE, stamp, 1) + sha256(body).hexdigest()
        headers = {"X-Amz-Date": stamp}
        if keys.token:
            headers["X-Amz-Security-Token"] = keys.token
            # As every header is signed: blanks around it do not count, and several in a row are one.
            text = text.replace(_TOKEN, " ".join(keys.token.split()), 1)
        auth = SigV4Auth(keys, *self._scope)
        key = self._key(keys.secret_key, stamp[:8], *self._scope)
        signature = hmac.digest(key, auth.string_to_sign(self._request, text).encode(), "sha256").hex()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={auth.scope(self._request)}, SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def _text(self, url: str, headers: Mapping[str, str]) -> tuple[str, str]:
        """What is signed up to the body's digest, which ends it, and the names of the headers in it."""
        auth = SigV4Auth(None, *self._scope)
        request = AWSRequest("POST", url, headers=headers)
        head, _, _ = auth.canonical_request(request).rpartition("\n")
        return head + "\n", auth.signed_headers(auth.headers_to_sign(request))


def _signing_key(secret: str, date: str, service: str, region: str) -> bytes:
    """What signs a day's requests (IAM User Guide, "Create a signed AWS API request": "Derive a signing key")."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@dataclass(frozen=True, slots=True)
class Exchange:
    """What all requests of one SES client have in common: where they go, how they are signed, and what those that
    write are answered."""

    client: Any
    http: Any
    url: str
    headers: Mapping[str, str]
    signer: Signer
    writes: Mapping[str, re.Pattern[bytes] | None]

    @classmethod
    async def of(cls, client: Any) -> Exchange:
        """Ask botocore's rules for endpoints, once for all of the client's requests."""
        model = client.meta.service_model
        context = {"client_region": client.meta.region_name, "client_config": client.meta.config}
        # SES's rules know the Region and the kind of endpoint only, so any operation's answer is that of all.
        operation = model.operation_model("PutIdentityPolicy")
        endpoint, headers = await endpoint_of(client, operation, context)
        request = {"url_path": "/", "query_string": ""}
        prepare_request_dict(request, endpoint_url=endpoint)
        signing = context.get("signing") or {}
        service = signing.get("signing_name") or model.signing_name
        region = signing.get("region") or client.meta.region_name
        url = request["url"]
        headers = {"Content-Type": _CONTENT_TYPE, "User-Agent": client.meta.config.user_agent, **headers}
        writes = {name: plain_yes(model.operation_model(name)) for name in _WRITES}
        return cls(client, http_session_of(client), url, headers, Signer(url, headers, service, region), writes)

    async def make(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        credentials: Any,
        admit: Callable[[], Awaitable[None]],
        depart: Callable[[], None],
    ) -> Mapping[str, Any]:
        """Gate, signature, wire, answer.

        Raises botocore's exceptions, as the client itself does, and SesError where the answer is not SES's.
        """
        model = self.client.meta.service_model.operation_model(operation)
        fields = _SERIALIZER.serialize_to_request(arguments, model)["body"]
        body = b"&".join([b"%s=%s" % (_quoted_name(name), quoted(str(value))) for name, value in fields.items()])
        await admit()
        if credentials is None:
            raise bx.NoCredentialsError
        signed = self.signer.sign(await credentials.get_frozen_credentials(), body)
        told = {"amz-sdk-invocation-id": str(uuid4()), "amz-sdk-request": _SDK_REQUEST}  # not signed: told, not asked
        request = AWSPreparedRequest("POST", self.url, {**self.headers, **signed, **told}, body, False)
        depart()
        response = await self.http.send(request)
        content, yes = await response.content, self.writes.get(operation)
        if response.status_code == 200 and yes is not None and (said := yes.fullmatch(content)):
            return {"ResponseMetadata": {"RequestId": said[1].decode()}}
        answer = {"headers": response.headers, "status_code": response.status_code, "body": content}
        check(answer, model)
        parsed: Mapping[str, Any] = _PARSER.parse(answer, model.output_shape)
        if response.status_code >= 300:
            raise bx.ClientError(parsed, operation)
        return parsed
