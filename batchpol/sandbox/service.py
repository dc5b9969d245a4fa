"""One request, from its signature to its answer, in one synchronous step.

Nothing else runs between a request's arrival at the limit, its write and its line in the log: a server killed at
any instant has logged every write that it took.
"""

from __future__ import annotations

import hashlib
import random
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from batchpol.sandbox.arrivals import Arrival, ArrivalLog
from batchpol.sandbox.faults import FAULTS, FaultPlan, Stage
from batchpol.sandbox.limits import Limits
from batchpol.sandbox.operations import WRITES, Operations
from batchpol.sandbox.options import SES_OPERATIONS, STS_OPERATIONS, SandboxOptions
from batchpol.sandbox.sessions import session_of
from batchpol.sandbox.store import Store
from batchpol.sandbox.wire import (
    SES_NAMESPACE,
    SES_VERSION,
    STS_NAMESPACE,
    STS_VERSION,
    Caller,
    Scope,
    ServiceError,
    error_xml,
    partition_of,
    read_form,
    result_xml,
    scope_of,
)

_KEPT_ARRIVALS = 200_000


@dataclass(frozen=True, slots=True)
class Request:
    """What of an HTTP request matters."""

    body: bytes
    authorization: str
    token: str


@dataclass(frozen=True, slots=True)
class Answer:
    """SES's answer. ``fault`` names what is to happen to it on its way, ``""`` for nothing."""

    status: int
    body: bytes
    request_id: str
    fault: str


@dataclass(slots=True)
class _Progress:
    """How far a request came; what its line in the log says."""

    operation: str
    place: int
    fault: str
    account: str = ""
    region: str = ""
    access_key: str = ""
    accepted: bool = False
    applied: bool = False
    error: ServiceError | None = None


class Service:
    """SES and STS without their network."""

    def __init__(self, options: SandboxOptions) -> None:
        self.store = Store()
        self.arrivals: deque[Arrival] = deque(maxlen=_KEPT_ARRIVALS)
        self.jitter = random.Random(options.seed)  # noqa: S311  (repeatable on purpose; keeps no secret)
        self._options = options
        self._limits = Limits()
        self._plan = FaultPlan(options.faults, options.faults_at, options.fault_operations, options.seed)
        self._operations = Operations(self.store, options)
        self._log = ArrivalLog(options.log) if options.log else None

    @property
    def options(self) -> SandboxOptions:
        return self._options

    def change(self, options: SandboxOptions) -> None:
        """Behave differently from now on; store, limits, counts and the log stay as they are."""
        self._plan.change(options.faults, options.faults_at, options.fault_operations)
        self._options = self._operations.options = options

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def answer(self, request: Request) -> Answer:
        """Take one request, which arrives at the limit now."""
        now, wall = time.monotonic(), time.time()
        form, problem = _form_of(request.body)
        operation = form.get("Action", "")
        place, fault = self._plan.draw(operation)
        progress = _Progress(operation, place, fault)
        namespace = SES_NAMESPACE
        result = ""
        try:
            if problem is not None:
                raise problem
            if fault and FAULTS[fault].stage is Stage.NETWORK:
                raise ServiceError("", "", 0)
            scope, caller = self._authenticate(request, progress)
            namespace = STS_NAMESPACE if _is_sts(form, scope) else SES_NAMESPACE
            _check_operation(form, operation, namespace)
            self._admit(operation, caller, progress, now)
            result = self._operations.table[operation](caller, form)
            progress.applied = operation in WRITES
            _strike(fault, Stage.ANSWER, caller, operation)
        except ServiceError as error:
            progress.error = error
        request_id = str(uuid.uuid4())
        self._record(progress, form, now, wall, request_id)
        if progress.error is None:
            return Answer(200, result_xml(operation, result, request_id, namespace), request_id, fault)
        body = error_xml(progress.error, request_id, namespace)
        return Answer(progress.error.status, body, request_id, fault)

    def _authenticate(self, request: Request, progress: _Progress) -> tuple[Scope, Caller]:
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
            caller = Caller(session.account, scope.region, session.arn, session.user_id)
        progress.account = caller.account
        past = session is not None and session.expires <= time.time()
        if past or scope.access_key in self._options.expired:
            expired = FAULTS["expired_token"]
            raise ServiceError(expired.code, expired.message, expired.status)
        _strike(progress.fault, Stage.CREDENTIALS, caller, progress.operation)
        return scope, caller

    def _user(self, scope: Scope) -> Caller:
        account = self._options.accounts.get(scope.access_key, self._options.account)
        arn = f"arn:{partition_of(scope.region)}:iam::{account}:user/sandbox"
        return Caller(account, scope.region, arn, "AIDASANDBOXSANDBOXSB")

    def _admit(self, operation: str, caller: Caller, progress: _Progress, now: float) -> None:
        """Past the limit, and past whatever strikes right behind it."""
        _strike(progress.fault, Stage.LIMIT, caller, operation)
        if operation in SES_OPERATIONS:
            shared = "" if self._options.shared_quota else operation
            key = (caller.account, caller.region, shared)
            if not self._limits.admit(key, now, self._options.rate, self._options.burst):
                raise ServiceError("Throttling", "Rate exceeded")
        progress.accepted = True
        _strike(progress.fault, Stage.SERVICE, caller, operation)

    def _record(self, progress: _Progress, form: Mapping[str, str], now: float, wall: float, request_id: str) -> None:
        error, policy = progress.error, form.get("Policy", "")
        arrival = Arrival(
            at=now,
            wall=wall,
            account=progress.account,
            region=progress.region,
            access_key=progress.access_key,
            operation=progress.operation,
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


def _form_of(body: bytes) -> tuple[dict[str, str], ServiceError | None]:
    try:
        return read_form(body), None
    except ServiceError as error:
        return {}, error


def _is_sts(form: Mapping[str, str], scope: Scope) -> bool:
    return scope.service == "sts" or form.get("Version") == STS_VERSION


def _check_operation(form: Mapping[str, str], operation: str, namespace: str) -> None:
    known, version = (SES_OPERATIONS, SES_VERSION) if namespace == SES_NAMESPACE else (STS_OPERATIONS, STS_VERSION)
    if operation not in known or form.get("Version", version) != version:
        asked = form.get("Version", version)
        raise ServiceError("InvalidAction", f"Could not find operation {operation} for version {asked}")


def _strike(name: str, stage: Stage, caller: Caller, operation: str) -> None:
    """Raise the answer of the fault ``name`` if it is one of ``stage``."""
    if not name or FAULTS[name].stage is not stage:
        return
    fault = FAULTS[name]
    if fault.code or stage is Stage.SERVICE:
        service = "sts" if operation in STS_OPERATIONS else "ses"
        denied = f"User: {caller.arn} is not authorized to perform: {service}:{operation}"
        raise ServiceError(fault.code, fault.message or denied, fault.status)
