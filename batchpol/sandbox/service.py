"""One request, from its signature to its answer, in one synchronous step.

Nothing else runs between a request's arrival at the limit, its write and its line in the log: a server killed at
any instant has logged every write that it took.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchpol.sandbox import rest
from batchpol.sandbox.arrivals import Arrival, ArrivalLog
from batchpol.sandbox.catalogue import COUNTERPARTS, SES_OPERATIONS, SESV2_OPERATIONS, STS_OPERATIONS, WRITES
from batchpol.sandbox.faults import FAULTS, FaultPlan, Stage
from batchpol.sandbox.identities import Identities
from batchpol.sandbox.limits import Key, Limits
from batchpol.sandbox.operations import Operations
from batchpol.sandbox.options import SandboxOptions
from batchpol.sandbox.rules import identity_arn
from batchpol.sandbox.sessions import session_of
from batchpol.sandbox.sesv2 import OperationsV2
from batchpol.sandbox.store import Store
from batchpol.sandbox.wire import (
    SES_NAMESPACE,
    SES_VERSION,
    STS_NAMESPACE,
    STS_VERSION,
    ApiCall,
    Clock,
    CredentialScope,
    Request,
    Requester,
    ServiceError,
    error_xml,
    partition_of,
    read_call,
    result_xml,
    scope_of,
    signature_told,
)

_KEPT_ARRIVALS = 200_000


@dataclass(frozen=True, slots=True)
class Answer:
    """SES's answer. ``fault`` names what is to happen to it on its way, ``""`` for nothing."""

    status: int
    body: bytes
    request_id: str
    fault: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class _Progress:
    """How far a request came; what its line in the log says."""

    call: ApiCall
    place: int
    fault: str
    namespace: str = SES_NAMESPACE
    """Of the answer's XML; ``""`` where the answer is JSON."""
    account: str = ""
    region: str = ""
    access_key: str = ""
    accepted: bool = False
    applied: bool = False
    error: ServiceError | None = None


class Service:
    """SES, SESv2 and STS without their network, by any clock."""

    def __init__(self, options: SandboxOptions, clock: Clock = Clock()) -> None:  # noqa: B008  (it cannot be changed)
        self.store = Store(options.seed)
        self.arrivals: deque[Arrival] = deque(maxlen=_KEPT_ARRIVALS)
        self.jitter = random.Random(options.seed)  # noqa: S311  (repeatable on purpose; keeps no secret)
        self._options = options
        self._clock = clock
        self._limits = Limits()
        self._plan = FaultPlan(options.faults, options.faults_at, options.fault_operations, options.seed)
        self._identities = Identities(self.store, options, clock)
        self._query = Operations(self._identities)
        self._v2 = OperationsV2(self._identities)
        self._log = ArrivalLog(options.log) if options.log else None

    @property
    def options(self) -> SandboxOptions:
        return self._options

    def change(self, options: SandboxOptions) -> None:
        """Behave differently from now on; store, limits, counts and the log stay as they are."""
        self._plan.change(options.faults, options.faults_at, options.fault_operations)
        self._options = self._identities.options = options

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def answer(self, request: Request) -> Answer:
        """Take one request, which arrives at the limit now."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        at_root = request.method == "POST" and request.path == "/"
        call = read_call(request.body) if at_root else rest.read_call(request)
        progress = _Progress(call, *self._plan.draw(call.operation), SES_NAMESPACE if at_root else "")
        result: Any = None
        try:
            if call.problem is not None:
                raise call.problem
            if progress.fault and FAULTS[progress.fault].stage is Stage.NETWORK:
                raise ServiceError("", "", 0)
            scope, caller = self._authenticate(request, progress)
            if at_root:
                _check_operation(scope, progress)
            result = self._perform(caller, progress, now)
            progress.applied = call.operation in WRITES
            _strike(progress, Stage.ANSWER, caller)
        except ServiceError as error:
            progress.error = error
        request_id = str(uuid.uuid4())
        self._record(progress, now, wall, request_id)
        return _answered(progress, result, request_id)

    def _authenticate(self, request: Request, progress: _Progress) -> tuple[CredentialScope, Requester]:
        """Who calls; past the credentials' door."""
        scope = scope_of(request.authorization)
        if scope is None:
            if request.authorization:
                raise ServiceError("IncompleteSignature", "Authorization header is not a complete signature")
            raise ServiceError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        progress.access_key, progress.region = scope.access_key, scope.region
        session = session_of(request.token)
        if session is None:
            caller = self._user(scope)
        else:
            caller = Requester(session.account, scope.region, session.arn, session.user_id)
        progress.account = caller.account
        past = session is not None and session.expires <= self._clock.wall()
        if past or scope.access_key in self._options.expired:
            expired = FAULTS["expired_token"]
            raise ServiceError(expired.code, expired.message, expired.status)
        try:
            _strike(progress, Stage.CREDENTIALS, caller)
        except ServiceError as error:
            if error.code == "SignatureDoesNotMatch":
                error.message += signature_told(request, scope)
            raise
        return scope, caller

    def _user(self, scope: CredentialScope) -> Requester:
        account = self._options.accounts.get(scope.access_key, self._options.account)
        arn = f"arn:{partition_of(scope.region)}:iam::{account}:user/sandbox"
        return Requester(account, scope.region, arn, "AIDASANDBOXSANDBOXSB")

    def _perform(self, caller: Requester, progress: _Progress, now: float) -> Any:
        """Past the limit, past whatever strikes right behind it, and do what is asked."""
        operation, key = progress.call.operation, self._bucket(caller, progress.call.operation)
        _strike(progress, Stage.LIMIT, caller)
        if key is not None and not self._limits.admit(key, now, self._options):
            raise ServiceError("Throttling", "Rate exceeded")
        progress.accepted = True
        _strike(progress, Stage.SERVICE, caller)
        try:
            self._authorize(caller, progress.call)
            if operation in SESV2_OPERATIONS:
                return self._v2.table[operation](caller, progress.call.form)
            return self._query.table[operation](caller, progress.call.form)
        except ServiceError:
            if key is not None and not self._options.refused_count:
                self._limits.give_back(key, self._options)
            raise

    def _authorize(self, caller: Requester, call: ApiCall) -> None:
        """Refuse what IAM does not allow the caller."""
        if not self._options.denied or "Identity" not in call.form:
            return
        identity = self._identities.owner(caller, call.form).identity
        if identity in self._options.denied:
            action, arn = f"ses:{call.operation}", identity_arn(identity, caller)
            why = f"because no identity-based policy allows the {action} action"
            denied = f"User: {caller.arn} is not authorized to perform: {action} on resource: {arn} {why}"
            raise ServiceError("AccessDenied", denied, 403)

    def _bucket(self, caller: Requester, operation: str) -> Key | None:
        """Whose limit a request takes from; STS has none."""
        if operation in STS_OPERATIONS:
            return None
        if self._options.v2_shares_quota:
            operation = COUNTERPARTS.get(operation, operation)
        if self._options.shared_quota:
            operation = "v2" if operation in SESV2_OPERATIONS else "v1"
        return caller.account, caller.region, operation

    def _record(self, progress: _Progress, now: float, wall: float, request_id: str) -> None:
        error, form = progress.error, progress.call.form
        policy = form.get("Policy", "")
        arrival = Arrival(
            at=now,
            wall=wall,
            account=progress.account,
            region=progress.region,
            access_key=progress.access_key,
            operation=progress.call.operation,
            place=progress.place,
            identity=form.get("Identity", ""),
            policy_name=form.get("PolicyName", ""),
            sha256=hashlib.sha256(policy.encode()).hexdigest() if policy else "",
            accepted=progress.accepted,
            applied=progress.applied,
            fault=progress.fault,
            status=200 if error is None else error.status,
            error_code="" if error is None else error.code,
            request_id=request_id,
        )
        self.arrivals.append(arrival)
        if self._log is not None:
            self._log.write(arrival)


def _check_operation(scope: CredentialScope, progress: _Progress) -> None:
    """Of the Query protocol: whether it is SES that is asked or STS, and whether that has the operation."""
    operation, form = progress.call.operation, progress.call.form
    sts = scope.service == "sts" or form.get("Version") == STS_VERSION
    known, version = (STS_OPERATIONS, STS_VERSION) if sts else (SES_OPERATIONS, SES_VERSION)
    progress.namespace = STS_NAMESPACE if sts else SES_NAMESPACE
    asked = form.get("Version", version)
    if operation not in known or asked != version:
        raise ServiceError("InvalidAction", f"Could not find operation {operation} for version {asked}")


def _strike(progress: _Progress, stage: Stage, caller: Requester) -> None:
    """Raise the answer of the fault that was drawn if it is one of ``stage``."""
    if not progress.fault or FAULTS[progress.fault].stage is not stage:
        return
    fault, operation = FAULTS[progress.fault], progress.call.operation
    if fault.code or stage is Stage.SERVICE:
        service = "sts" if operation in STS_OPERATIONS else "ses"
        denied = f"User: {caller.arn} is not authorized to perform: {service}:{operation}"
        raise ServiceError(fault.code, fault.message or denied, fault.status)


def _answered(progress: _Progress, result: Any, request_id: str) -> Answer:
    """The answer in the protocol of the request."""
    error, fault, status = progress.error, progress.fault, 200
    headers = {"x-amzn-RequestId": request_id}
    if progress.namespace:
        headers["Content-Type"] = "text/xml"
        if error is None:
            body = result_xml(progress.call.operation, result, request_id, progress.namespace)
        else:
            status, body = error.status, error_xml(error, request_id, progress.namespace)
    else:
        headers["Content-Type"] = "application/json"
        if error is None:
            body = rest.result_json(result)
        else:
            status, headers["x-amzn-ErrorType"], body = rest.error_json(error)
    return Answer(status, body, request_id, fault, headers)
