"""One exchange with SES, put together from botocore's own parts: for the clients that this package makes itself.

``client.put_identity_policy`` takes twice the processor time: twenty events, an endpoint, a retry handler and a
User-Agent that come out the same each time. Where hundreds of lanes share one processor, that is what they wait for.
A caller's own client or session may have something registered on those events, so it goes through them all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiobotocore
import botocore
import botocore.exceptions as bx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, prepare_request_dict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from batchpol.version import __version__

USER_AGENT = f"batchpol/{__version__} aiobotocore/{aiobotocore.__version__} md/Botocore#{botocore.__version__}"
"""Said once: botocore would put it together anew for each request, an eighth of its time."""

_SERIALIZER = create_serializer("query", include_validation=False)
_PARSER = create_parser("query")


@dataclass(frozen=True, slots=True)
class Exchange:
    """What all requests of one SES client have in common: where they go, and what they are signed for."""

    client: Any
    url: str
    headers: Mapping[str, str]
    signing_name: str
    region: str

    @classmethod
    async def of(cls, client: Any) -> Exchange:
        """Ask botocore's rules for endpoints, once for all of the client's requests."""
        model = client.meta.service_model
        context = {"client_region": client.meta.region_name, "client_config": client.meta.config}
        # SES's rules know the Region and the kind of endpoint only, so any operation's answer is that of all.
        operation = model.operation_model("PutIdentityPolicy")
        url, headers, _ = await client._resolve_endpoint_ruleset(operation, {}, context)
        signing, request = context.get("signing") or {}, {"url_path": "/", "query_string": ""}
        prepare_request_dict(request, endpoint_url=url)
        return cls(
            client,
            request["url"],
            {"User-Agent": USER_AGENT} | headers,
            signing.get("signing_name") or model.signing_name,
            signing.get("region") or client.meta.region_name,
        )

    async def make(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        credentials: Any,
        admit: Callable[[], Awaitable[None]],
        depart: Callable[[], None],
    ) -> Mapping[str, Any]:
        """Gate, signature, wire, answer.

        Raises botocore's exceptions, as the client itself does.
        """
        model = self.client.meta.service_model.operation_model(operation)
        parts = _SERIALIZER.serialize_to_request(arguments, model)
        form = urlencode(parts["body"]).encode()
        request = AWSRequest("POST", self.url, headers=parts["headers"] | self.headers, data=form)
        await admit()
        if credentials is None:
            raise bx.NoCredentialsError
        keys = await credentials.get_frozen_credentials()
        SigV4Auth(keys, self.signing_name, self.region).add_auth(request)
        prepared = request.prepare()
        depart()
        response = await self.client._endpoint.http_session.send(prepared)
        answer = {"headers": response.headers, "status_code": response.status_code, "body": await response.content}
        parsed: Mapping[str, Any] = _PARSER.parse(answer, model.output_shape)
        if response.status_code >= 300:
            raise bx.ClientError(parsed, operation)
        return parsed
