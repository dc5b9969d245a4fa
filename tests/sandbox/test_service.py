"""The service without its network: shapes, limits, the plan of faults, and hostile input."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import botocore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpol.sandbox import (
    FAULTS,
    SES_OPERATIONS,
    STS_OPERATIONS,
    Facts,
    Owner,
    SandboxOptions,
    Store,
)
from batchpol.sandbox.document import compact
from batchpol.sandbox.faults import FaultPlan
from batchpol.sandbox.limits import Limits
from batchpol.sandbox.service import Answer, Service
from batchpol.sandbox.wire import Clock, Request
from batchpol.testing import VirtualClockLoop
from tests.sandbox.documents import ACCOUNT, REGION, policy_for

KEY = ("123456789012", "us-east-1", "PutIdentityPolicy")


def signed(service: str = "ses", region: str = REGION) -> str:
    return (
        f"AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/{region}/{service}/aws4_request, SignedHeaders=a, Signature=b"
    )


def ask(service: Service, operation: str, signed_for: str = "ses", **parameters: str) -> Answer:
    version = "2011-06-15" if signed_for == "sts" else "2010-12-01"
    form = {"Action": operation, "Version": version, **parameters}
    return service.answer(Request(urlencode(form).encode(), {"authorization": signed(signed_for)}))


# --- the shapes of answers, against botocore's own model of the services


def model_of(service: str, version: str) -> dict[str, Any]:
    folder = Path(botocore.__file__).parent / "data" / service / version
    packed = folder / "service-2.json.gz"
    text = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / "service-2.json").read_bytes()
    model: dict[str, Any] = json.loads(text)
    return model


CALLS = {
    "PutIdentityPolicy": {"Identity": "a.example", "PolicyName": "p", "Policy": policy_for("a.example")},
    "GetIdentityPolicies": {"Identity": "a.example", "PolicyNames.member.1": "p"},
    "ListIdentityPolicies": {"Identity": "a.example"},
    "VerifyDomainIdentity": {"Domain": "b.example"},
    "VerifyEmailIdentity": {"EmailAddress": "jo@b.example"},
    "ListIdentities": {"MaxItems": "1"},
    "GetIdentityVerificationAttributes": {"Identities.member.1": "a.example", "Identities.member.2": "b@a.example"},
    "GetIdentityNotificationAttributes": {"Identities.member.1": "a.example"},
    "DeleteIdentityPolicy": {"Identity": "a.example", "PolicyName": "p"},
    "DeleteIdentity": {"Identity": "a.example"},
    "GetCallerIdentity": {},
    "AssumeRole": {"RoleArn": "arn:aws:iam::111122223333:role/R", "RoleSessionName": "test"},
}


def assert_fits(node: ElementTree.Element, shape: dict[str, Any], shapes: dict[str, Any], space: str) -> None:
    """Every element of an answer is one that the model knows, in the place where it knows it."""
    if shape["type"] == "structure":
        assert {child.tag.removeprefix(space) for child in node} <= shape["members"].keys()
        inner = {name: shapes[member["shape"]] for name, member in shape["members"].items()}
    elif shape["type"] == "list":
        assert {child.tag for child in node} <= {f"{space}member"}
        inner = {"member": shapes[shape["member"]["shape"]]}
    elif shape["type"] == "map":
        entries = [entry for entry in node if entry.tag == f"{space}entry"]
        assert len(entries) == len(node)
        for entry in entries:
            assert [part.tag for part in entry] == [f"{space}key", f"{space}value"]
            assert_fits(entry[1], shapes[shape["value"]["shape"]], shapes, space)
        return
    else:
        assert len(node) == 0
        return
    for child in node:
        assert_fits(child, inner[child.tag.removeprefix(space)], shapes, space)


def test_answers_have_the_shapes_of_botocores_models() -> None:
    models = {"ses": model_of("ses", "2010-12-01"), "sts": model_of("sts", "2011-06-15")}
    service = Service(SandboxOptions(rate=0))
    assert CALLS.keys() == SES_OPERATIONS | STS_OPERATIONS
    for operation, parameters in CALLS.items():
        kind = "sts" if operation in STS_OPERATIONS else "ses"
        model = models[kind]
        answer = ask(service, operation, kind, **parameters)
        assert answer.status == 200, (operation, answer.body)
        root = ElementTree.fromstring(answer.body)
        space = "{" + model["metadata"]["xmlNamespace"] + "}"
        assert [child.tag for child in root] == [f"{space}{operation}Result", f"{space}ResponseMetadata"]
        assert root.tag == f"{space}{operation}Response"
        assert root[1][0].text == answer.request_id
        shape = model["shapes"][model["operations"][operation]["output"]["shape"]]
        assert_fits(root[0], shape, model["shapes"], space)


def test_errors_have_the_shape_of_the_query_protocol() -> None:
    # The document's escapes spell what XML cannot hold, and the message quotes them.
    document = policy_for("example.com", Resource="a<\x00\ud800>&b\r")
    answer = ask(
        Service(SandboxOptions()), "PutIdentityPolicy", Identity="example.com", PolicyName="p", Policy=document
    )
    root = ElementTree.fromstring(answer.body)
    space = "{http://ses.amazonaws.com/doc/2010-12-01/}"
    assert root.tag == f"{space}ErrorResponse"
    assert [child.tag for child in root[0]] == [f"{space}Type", f"{space}Code", f"{space}Message"]
    assert (root[0][2].text or "").endswith("but was 'a<??>&b\r'.")
    assert root[1].text == answer.request_id


# --- who is asked


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        ("", 403, "MissingAuthenticationToken"),
        ("AWS4-HMAC-SHA256 nonsense", 400, "IncompleteSignature"),
        ("Basic YTpi", 400, "IncompleteSignature"),
    ],
)
def test_requests_must_look_signed(authorization: str, status: int, code: str) -> None:
    service = Service(SandboxOptions())
    answer = service.answer(Request(b"Action=ListIdentities&Version=2010-12-01", {"authorization": authorization}))
    assert answer.status == status
    assert f"<Code>{code}</Code>" in answer.body.decode()
    assert not service.arrivals[0].accepted


@pytest.mark.parametrize(
    ("operation", "signed_for"),
    [("GetCallerIdentity", "ses"), ("PutIdentityPolicy", "sts"), ("Nonsense", "ses"), ("", "ses")],
)
def test_each_service_knows_its_own_operations(operation: str, signed_for: str) -> None:
    answer = ask(Service(SandboxOptions(rate=0)), operation, signed_for)
    assert answer.status == 400
    assert "<Code>InvalidAction</Code>" in answer.body.decode()


# --- hostile input


@given(st.binary(max_size=300), st.text(max_size=60), st.text(max_size=60))
def test_no_bytes_upset_it(body: bytes, authorization: str, token: str) -> None:
    service = Service(SandboxOptions())
    for header in (authorization, signed()):
        answer = service.answer(Request(body, {"authorization": header, "x-amz-security-token": token}))
        assert answer.status in (400, 403)
        ElementTree.fromstring(answer.body)


@given(
    st.sampled_from(sorted(SES_OPERATIONS)),
    st.dictionaries(
        st.sampled_from(
            [
                "Identity",
                "PolicyName",
                "Policy",
                "MaxItems",
                "NextToken",
                "Domain",
                "PolicyNames.member.1",
                "Identities.member.x",
            ]
        ),
        st.text(max_size=30)
        | st.just("example.com")
        | st.just('{"Statement":[{"Effect":"Allow","Principal":{"AWS":[1,{}]}}]}'),
    ),
)
def test_no_parameters_upset_it(operation: str, parameters: dict[str, str]) -> None:
    printable = {name: value.encode("utf-8", "replace").decode() for name, value in parameters.items()}
    answer = ask(Service(SandboxOptions(rate=0)), operation, **printable)
    assert answer.status in (200, 400)
    ElementTree.fromstring(answer.body)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(values, st.sampled_from([None, 0, 3, "\t", " \r\n "]))
def test_compacting_loses_whitespace_and_nothing_else(value: Any, indent: Any) -> None:
    compacted = json.dumps(value, separators=(",", ":"))
    assert compact(json.dumps(value, indent=indent)) == compacted
    assert compact(compacted) == compacted


# --- the limit


def test_a_strict_bucket_refuses_what_comes_a_moment_too_early() -> None:
    limits = Limits()
    assert limits.admit(KEY, 100.0, Facts())
    assert not limits.admit(KEY, 100.999999, Facts())
    # The refused one took nothing:
    assert limits.admit(KEY, 101.0, Facts())


def test_a_burst_is_let_in_and_then_one_a_period() -> None:
    limits = Limits()
    admitted = [limits.admit(KEY, at, Facts(rate=2, burst=3)) for at in (0, 0, 0, 0, 0.5, 0.5, 0.75, 1.0)]
    assert admitted == [True, True, True, False, True, False, False, True]


@given(st.lists(st.floats(0, 30), min_size=1).map(sorted), st.sampled_from([0.5, 1.0, 4.0]))
def test_what_is_let_in_keeps_the_distance_and_what_keeps_it_is_let_in(times: list[float], rate: float) -> None:
    limits, let_in = Limits(), []
    for at in times:
        far_enough = not let_in or at >= let_in[-1] + 1 / rate
        assert limits.admit(KEY, at, Facts(rate=rate)) == far_enough
        if far_enough:
            let_in.append(at)


def codes(service: Service) -> list[str]:
    return [arrival.error_code for arrival in service.arrivals]


def test_each_operation_account_and_region_has_a_limit_of_its_own() -> None:
    service = Service(SandboxOptions(rate=0.001, accounts={"AKIAOTHER": "999988887777"}))
    form = urlencode({"Action": "ListIdentities", "Version": "2010-12-01"}).encode()
    for authorization in (signed(), signed(region="eu-west-1"), signed().replace("AKIATEST", "AKIAOTHER")):
        assert service.answer(Request(form, {"authorization": authorization})).status == 200
        assert service.answer(Request(form, {"authorization": authorization})).status == 400
    assert ask(service, "ListIdentityPolicies", Identity="example.com").status == 200
    # Another key of the same account shares its limit.
    second = {"authorization": signed().replace("AKIATEST", "AKIASECOND")}
    assert service.answer(Request(form, second)).status == 400
    assert codes(service) == ["", "Throttling", "", "Throttling", "", "Throttling", "", "Throttling"]


@pytest.mark.virtual_clock
async def test_it_goes_by_any_clock() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    service = Service(SandboxOptions(stale_seconds=30, credential_seconds=900), Clock(loop.time, loop.wall_time))
    put = {"Identity": "a.example", "PolicyName": "p", "Policy": policy_for("a.example")}
    seen = []
    for _ in range(60):
        assert ask(service, "PutIdentityPolicy", **put).status == 200
        seen.append("<key>p</key>" in ask(service, "GetIdentityPolicies", **CALLS["GetIdentityPolicies"]).body.decode())
        await asyncio.sleep(1)
    assert seen == [False] * 30 + [True] * 30
    assert service.arrivals[-1].at - service.arrivals[0].at == pytest.approx(59)
    assert service.arrivals[-1].wall - service.arrivals[0].wall == pytest.approx(59)
    handed_out = ask(service, "AssumeRole", "sts", **CALLS["AssumeRole"]).body.decode()
    assert "<Expiration>2026-01-01T00:16:00Z</Expiration>" in handed_out


def test_a_shared_quota_is_one_limit_for_all_of_ses_and_none_for_sts() -> None:
    service = Service(SandboxOptions(rate=0.001, shared_quota=True))
    ask(service, "ListIdentities")
    ask(service, "ListIdentityPolicies", Identity="example.com")
    ask(service, "GetCallerIdentity", "sts")
    ask(service, "GetCallerIdentity", "sts")
    assert codes(service) == ["", "Throttling", "", ""]


# --- the plan of faults


def test_faults_at_places_strike_exactly_there_for_each_operation() -> None:
    put, get, delete = "PutIdentityPolicy", "GetIdentityPolicies", "DeleteIdentityPolicy"
    plan = FaultPlan({}, {"throttle": {2, 4}, f"server_error@{delete}": range(3, 10**9)}, {put, get}, seed=0)
    assert [plan.draw(put)[1] for _ in range(5)] == ["", "throttle", "", "throttle", ""]
    assert [plan.draw(get)[1] for _ in range(2)] == ["", "throttle"]
    assert [plan.draw(delete)[1] for _ in range(5)] == ["", "", *["server_error"] * 3]


def test_a_seed_repeats_its_faults_and_another_does_not() -> None:
    def drawn(seed: int) -> list[str]:
        plan = FaultPlan({"throttle": 0.2, "reset_after": 0.2}, {}, {"ListIdentities"}, seed)
        return [plan.draw("ListIdentities")[1] for _ in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    # Binomial, 200 draws: these bounds are missed by seeds worse than one in a million, and the seed is fixed.
    assert 15 < drawn(1).count("throttle") < 70
    assert 10 < drawn(1).count("reset_after") < 65


@pytest.mark.parametrize("faults", [{"nonsense": 0.5}, {"throttle": 1.5}, {"throttle": -0.1}, {"nonsense@Put": 1}])
def test_a_plan_that_makes_no_sense_is_refused(faults: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"unknown fault|probability"):
        Service(SandboxOptions(faults=faults))


@pytest.mark.parametrize("wrong", [{"rate": -1}, {"burst": 0}, {"latency_ms": -1}, {"account": "1234"}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"rate|burst|latency_ms|account"):
        SandboxOptions(**wrong)


# --- reads that lag


def versions() -> Iterator[tuple[float, dict[str, str]]]:
    yield 0.5, {}
    yield 1.5, {"p": "first"}
    yield 2.5, {"p": "second", "q": "other"}
    yield 3.5, {"q": "other"}


@pytest.mark.parametrize(("then", "expected"), list(versions()))
def test_the_store_remembers_what_was_there(then: float, expected: dict[str, str]) -> None:
    store, owner = Store(), Owner(ACCOUNT, REGION, "example.com")
    store.put(owner, "p", "first", 1)
    store.put(owner, "q", "other", 2)
    store.put(owner, "p", "second", 2)
    store.delete(owner, "p", 3)
    assert store.seen(owner, then + 60, {"put": 60, "delete": 60}) == expected


def test_every_fault_says_in_its_title_whether_the_write_took_effect() -> None:
    for name, fault in FAULTS.items():
        assert fault.title.endswith("not applied") != fault.applied, name
        assert fault.title.endswith("applied"), name


def test_requests_are_told_apart() -> None:
    service = Service(SandboxOptions(rate=0))
    answers = [ask(service, "ListIdentities") for _ in range(50)]
    assert len({answer.request_id for answer in answers}) == 50
    assert all(earlier.at <= later.at for earlier, later in itertools.pairwise(service.arrivals))
    assert [arrival.place for arrival in service.arrivals] == list(range(1, 51))


def test_listing_options_does_not_import_the_server() -> None:
    program = (
        "import sys, batchpol.sandbox as sandbox\n"
        "assert sandbox.SandboxOptions and sandbox.FAULTS and 'aiohttp' not in sys.modules\n"
        "assert sandbox.Sandbox and sandbox.serve and 'aiohttp' in sys.modules\n"
        "assert not hasattr(sandbox, 'nonsense')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
