"""Sessions, clients, credentials and roles of one run: what every target shares, made once."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import anyio
import botocore.exceptions as bx
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials, AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.parsers import ResponseParserError

from batchpol.model import Target
from batchpol.model.errors import BatchpolError, SesError, UsageError
from batchpol.model.settings import Connection
from batchpol.ses import internals, redaction
from batchpol.ses.calls import Ses, before_parse, hook
from batchpol.ses.configuration import NOWHERE, Setup, explained, mfa_wanted, require_role
from batchpol.ses.credentials import UTC_NOW, Credentials
from batchpol.ses.exchange import Exchange, user_agent
from batchpol.ses.redaction import plain
from batchpol.ses.translation import is_bug, translate, unsent

KEEP_WARM = 75.0
"""Seconds an idle connection is kept: longer than the widest period of a gate."""

MOST_CONNECTIONS = 10_000
"""Connections of one client: the gates bound what is under way, and a request must not wait once it has departed."""

STS_ATTEMPTS = 3
"""How often botocore tries one call of STS, whose quota no gate of ours guards: a run of hundreds of roles starts
with hundreds of calls at once."""

_OF_NO_PROFILE = ("env", "container-role", "iam-role")
"""Where botocore has credentials from that no profile gives."""

AWS_HOSTS = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".amazonwebservices.com.cn",
    ".amazonwebservices.eu",
    ".api.aws",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
    ".api.aws.ic.gov",
    ".api.aws.scloud",
    ".api.cloud-aws.adc-e.uk",
    ".api.aws.hci.ic.gov",
)
"""How names of AWS's own hosts end (botocore's partitions)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who the credentials belong to, as STS says."""

    account: str
    arn: str


class Aws:
    """All clients of one run, opened from one session.

    Args:
        connection: how to reach AWS.
        session: an aiobotocore session of the caller's, used instead of one of our own.

    Raises:
        UsageError: if the role can be none, the profile is not there, the configuration file cannot be read, or TLS
            would not be verified.
    """

    def __init__(self, connection: Connection, session: AioSession | None = None) -> None:
        self.connection = connection
        self._own_session = session is None
        self._session = session or _session(connection)
        _check(self._session, connection)
        if self._own_session:
            internals.know_services_by_name(self._session)
        self._http = internals.http_session_class(*(_endpoint(connection, service) for service in ("ses", "sts")))
        self._source: Credentials | None = None
        self._setup = NOWHERE if connection.embedded else Setup.of(self._session)
        self._roles: dict[str, _Role] = {}
        self._open_clients: dict[tuple[str, str], Any] = {}
        self._exchanges: dict[str, Exchange] = {}
        self._clients = AsyncExitStack()
        self._opening = anyio.Lock()
        self._renewing = anyio.Lock()

    async def __aenter__(self) -> Aws:
        redaction.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        redaction.end()
        with anyio.CancelScope(shield=True):  # connections are closed even when the run is cancelled
            for credentials in (self._source, *(role.credentials for role in self._roles.values())):
                if credentials is not None:
                    await credentials.aclose()
            await self._clients.aclose()

    @property
    def notes(self) -> list[str]:
        """Sentences for people about what is done otherwise than usual, as aiobotocore is not as known."""
        return internals.notes()

    def region(self) -> str:
        """The run's Region: ``region`` > ``AWS_REGION`` > ``AWS_DEFAULT_REGION`` > profile; empty if none.

        botocore itself does not read ``AWS_REGION``.
        """
        if self.connection.region:
            return self.connection.region
        if self.connection.embedded:
            return ""
        return os.environ.get("AWS_REGION") or self._session.get_config_variable("region") or ""

    async def caller(self, region: str, account: str = "") -> Caller:
        """Whose credentials are used for ``account``: STS's ``GetCallerIdentity``, or its answer to ``AssumeRole``."""
        try:
            with anyio.fail_after(self.connection.call_timeout):
                role = await self._role(Target(account, region))
                if role is not None:
                    return await role.caller()
                answer = await (await self._client("sts", region)).get_caller_identity()
                return Caller(account=str(answer["Account"]), arn=str(answer["Arn"]))
        except BatchpolError:
            raise
        except Exception as error:
            raise translate(error, sent=False, setup=self._setup) from error

    async def endpoint(self, region: str) -> str:
        """The URL that SES's requests go to, as the run or AWS's environment names it; empty for AWS's own hosts."""
        if self.connection.endpoint_url is not None:
            return self.connection.endpoint_url
        try:
            return elsewhere(await self._client("ses", region))
        except BatchpolError:
            raise
        except Exception as error:
            raise translate(error, sent=False, setup=self._setup) from error

    async def ses(self, target: Target, service: str = "ses") -> Ses:
        """SES of one target, open until this object is closed; of ``sesv2`` only :meth:`Ses.ask` is of use."""
        try:
            return await self._signed(target, await self._client(service, target.region))
        except BatchpolError:
            raise
        except Exception as error:
            raise translate(error, sent=False, setup=self._setup) from error

    async def renew(self, target: Target, used: Ses) -> Ses | None:
        """SES with newer credentials than those of ``used``, which expired; None if there are none.

        Short-lived credentials that botocore can refresh are refreshed by it in time; this is for those that
        something else renews, a credentials file, say, and for a role's session that was ended early: the role is
        assumed again, once for each session that was of use. The client and its open connections stay the same.
        """
        async with self._renewing:
            newer = used.source is not self._source or await self._read_credentials_again()
            if not newer and not await self._leave_session(target, used):
                return None
        try:
            return await self._signed(target, used.client)
        except SesError:
            return None

    async def _leave_session(self, target: Target, used: Ses) -> bool:
        """Have the target's role assumed again where its session, which SES took before, is refused now."""
        role = self._roles.get(target.account)
        if role is None or role.credentials is not used.credentials:
            return role is not None
        if role.credentials.worked:
            await self._roles.pop(target.account).credentials.aclose()
        return role.credentials.worked

    async def _read_credentials_again(self) -> bool:
        """Take credentials that are newer than those in use, if there are any."""
        if not self._own_session or self.connection.embedded:
            return False
        try:
            session = _session(self.connection)
            found = await session.get_credentials()
            if found is None:
                return False
            newer = Credentials(found, Setup.of(session))
            keys = await newer.get_frozen_credentials()
        except Exception as error:  # whatever else it was, there are none
            if is_bug(error):
                raise
            return False
        if keys == await _keys_or_none(self._source):
            return False
        self._source = newer
        self._roles.clear()
        return True

    async def _signed(self, target: Target, client: Any) -> Ses:
        """SES through ``client``, signed for with what the target's records need."""
        role = await self._role(target)
        source = await self._credentials()
        signs = role.credentials if role is not None else None
        return Ses(client, self.connection.call_timeout, source, signs, await self._exchange(client, target.region))

    async def _credentials(self) -> Credentials:
        """What every client signs with, or assumes its role with."""
        if self._source is None:
            if self.connection.embedded:
                found: Any = AioCredentials(self.connection.access_key, self.connection.secret_key)
            else:
                found = await self._found_credentials()
            if found is None:
                raise bx.NoCredentialsError
            if found.method in _OF_NO_PROFILE:
                self._setup = NOWHERE
            if found.method == "assume-role" and self._setup.owner("mfa_serial") and not _has_terminal():
                raise mfa_wanted(self._setup)
            self._source = Credentials(found, self._setup)
        return self._source

    async def _found_credentials(self) -> Any:
        """What botocore finds in the environment, the files and behind them; less time than the whole call has."""
        try:
            with anyio.fail_after(self.connection.connect_timeout + self.connection.read_timeout):
                return await self._session.get_credentials()
        except TimeoutError as error:
            raise explained(error, self._setup) or translate(error, sent=False) from error

    async def _role(self, target: Target) -> _Role | None:
        """The role in the target's account; None without ``role_arn``."""
        connection = self.connection
        if connection.role_arn is None or not target.account:
            return None
        if target.account not in self._roles:
            sts = await self._client("sts", target.region)
            arn = connection.role_arn.replace("{account}", target.account)
            self._roles[target.account] = _Role(sts, arn, connection.external_id)
        return self._roles[target.account]

    async def _client(self, service: str, region: str) -> Any:
        """The one client of a service in a Region; what differs between accounts is only what signs."""
        key = service, region
        async with self._opening:
            if key not in self._open_clients:
                client = await self._open(service, region)
                self._open_clients[key] = client
        return self._open_clients[key]

    async def _exchange(self, client: Any, region: str) -> Exchange | None:
        """How requests are made: not through the client where nobody but us can have registered anything on it."""
        if client.meta.service_model.service_name != "ses":
            return None
        if self._is_direct() and region not in self._exchanges:
            self._exchanges[region] = await Exchange.of(client)
        return self._exchanges.get(region)

    def _is_direct(self) -> bool:
        return self._own_session and not internals.strange() & internals.OF_EXCHANGE

    async def _open(self, service: str, region: str) -> Any:
        connection = self.connection
        await self._credentials()  # or there are none
        client = await self._clients.enter_async_context(
            self._session.create_client(
                service,
                region_name=region,
                endpoint_url=_endpoint(connection, service),
                aws_access_key_id=connection.access_key,
                aws_secret_access_key=connection.secret_key,
                verify=True if connection.embedded else None,  # None: as AWS_CA_BUNDLE and the like say
                config=_config(self._session, connection, service, self._http),
            )
        )
        if service == "sts":
            client.meta.events.register("before-sign.sts", self._sign_sts)
            client.meta.events.register("before-parse.sts", _before_parse_sts)
        elif service == "sesv2" or not self._is_direct():
            hook(client)
        return client

    def _sign_sts(self, request: Any, **_: Any) -> None:
        request.context.setdefault("signing", {})["request_credentials"] = self._source  # renewed, perhaps


class _Role:
    """A role assumed through ``sts``, with credentials that botocore refreshes before they expire."""

    def __init__(self, sts: Any, arn: str, external_id: str | None) -> None:
        self._sts, self._arn = sts, ""
        self._request = {"RoleArn": arn, "RoleSessionName": "batchpol"}
        if external_id:
            self._request["ExternalId"] = external_id
        self.credentials = Credentials(AioDeferredRefreshableCredentials(self._assume, "assume-role", UTC_NOW))

    async def caller(self) -> Caller:
        """Who one is in this role (``arn:aws:sts::111122223333:assumed-role/Name/batchpol``)."""
        await self.credentials.get_frozen_credentials()
        return Caller(account=self._arn.split(":")[4], arn=self._arn)

    async def _assume(self) -> dict[str, str]:
        try:
            answer = await self._sts.assume_role(**self._request)
        except BatchpolError:
            raise
        except ResponseParserError as error:
            raise translate(error, sent=False) from None  # it quotes the answer, which holds credentials
        except Exception as error:
            raise translate(error, sent=False) from error
        given = answer["Credentials"]
        self._arn = str(answer["AssumedRoleUser"]["Arn"])
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }


def _before_parse_sts(response_dict: Mapping[str, Any], **event: Any) -> None:
    """As with SES; but what STS is to be asked for again is left to botocore."""
    if response_dict["status_code"] < 500:
        try:
            before_parse(response_dict=response_dict, **event)
        except SesError as error:
            raise unsent(error) from None


async def _keys_or_none(credentials: Credentials | None) -> Any:
    """What requests are signed with: comparable, and written nowhere. None if it ended for good: all else is newer."""
    try:
        return None if credentials is None else await credentials.get_frozen_credentials()
    except BatchpolError:
        return None


def _has_terminal() -> bool:
    """Whether somebody can be asked for a code: the process has a terminal, whatever its standard input is."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def _session(connection: Connection) -> AioSession:
    if not connection.embedded:
        _, variables, default, convert = AioSession.SESSION_VARIABLES["profile"]
        said = [name for name in variables if os.environ.get(name)]  # an empty one names none
        return AioSession(session_vars={"profile": (None, said, default, convert)}, profile=connection.profile)
    untouched = {
        name: (None, None, default, convert) for name, (_, _, default, convert) in AioSession.SESSION_VARIABLES.items()
    }
    nowhere = (None, None, os.devnull, None)
    return AioSession(session_vars=untouched | {"config_file": nowhere, "credentials_file": nowhere})


def _check(session: AioSession, connection: Connection) -> None:
    """Find out before the first request what makes the configuration unusable."""
    if connection.role_arn is not None:
        require_role(connection.role_arn, connection.external_id)
    if connection.embedded:
        return
    try:
        session.get_scoped_config()
    except bx.ProfileNotFound as error:
        known = ", ".join(sorted(session.available_profiles)[:10])
        make = f"make it: aws configure --profile {shlex.quote(error.kwargs['profile'])}"
        hint = f"name one that there is with `profile` or AWS_PROFILE: {known}" if known else make
        raise UsageError(plain(str(error)), hint=hint) from error
    except (bx.BotoCoreError, OSError, UnicodeError) as error:
        raise UsageError(
            f"the AWS configuration cannot be read: {plain(str(error))}",
            hint="mend the file, or name another in AWS_CONFIG_FILE",
        ) from error
    authorities = session.get_config_variable("ca_bundle")
    if authorities is None:
        authorities = os.environ.get("REQUESTS_CA_BUNDLE")
    if isinstance(authorities, str) and not authorities.strip():  # botocore up to 1.43 verifies nothing then
        raise UsageError(
            "the file of certificate authorities has no name, so that TLS could not be verified",
            hint="unset AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE and ca_bundle, or name a file there",
        )


def _endpoint(connection: Connection, service: str) -> str | None:
    """The endpoint for ``service``, or None for botocore's own choice (its ``AWS_ENDPOINT_URL…`` included)."""
    url = connection.endpoint_url
    if url is None or service != "sts" or connection.embedded:
        return url
    if (urlsplit(url).hostname or "").endswith(AWS_HOSTS) or os.environ.get("AWS_ENDPOINT_URL_STS"):
        return None
    return url


def elsewhere(client: Any) -> str:
    """The endpoint of a client, empty where it is one of AWS's own hosts."""
    url = str(client.meta.endpoint_url)
    return "" if (urlsplit(url).hostname or "").endswith(AWS_HOSTS) else url


def in_the_clear(url: str) -> bool:
    """Whether requests to an endpoint leave this machine without TLS."""
    found = urlsplit(url)
    if found.scheme != "http" or found.hostname == "localhost":
        return False
    try:
        return not ip_address(found.hostname or "").is_loopback
    except ValueError:  # a name
        return True


def _config(session: AioSession, connection: Connection, service: str, http: Any) -> AioConfig:
    attempts = STS_ATTEMPTS if service == "sts" else 1
    given = session.get_default_client_config()
    app_id = (given and given.user_agent_appid) or session.get_config_variable("user_agent_appid")
    # Loopback is never asked for through a proxy.
    embedded: dict[str, Any] = {"proxies": {}} if connection.embedded else {}
    return AioConfig(
        connect_timeout=connection.connect_timeout,
        read_timeout=connection.read_timeout,
        # The mode is said, too: AWS_RETRY_MODE=adaptive would wait between the gate and the wire.
        retries={"total_max_attempts": attempts, "mode": "standard"},
        parameter_validation=False,  # everything was checked; SES's own words are better than botocore's
        # Said in full, since botocore would put it together anew for each request, an eighth of its time.
        user_agent=user_agent(app_id),
        max_pool_connections=MOST_CONNECTIONS,
        connector_args={"keepalive_timeout": KEEP_WARM},
        http_session_cls=http,
        **embedded,
    )
