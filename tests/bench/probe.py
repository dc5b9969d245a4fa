"""The proof of the probe: it is set on embedded SESs of all kinds, and must find out which one it is talking to.

    python -m tests.bench.probe [--set-ups 200] [--seed 1] [--http] [--question NAME] [--busy MS] [--jobs 2]

Each set-up is drawn at random: one quota or several, burst 1 to 5, tolerance 0 to 100 ms, reads that are stale by 0 to
60 s, strict or lax about each doubtful thing, SES and SESv2 together or apart; a network of its own delays requests by
0 to 100 ms on the average (exponentially, on the way there; in every fourth set-up on the way back, too), and 2 % of
them meet a fault. They run on a virtual clock; with ``--http`` in real time, with the real client and server.
Printed is a table by question and fact: right, cannot tell, wrong. The exit code is 1 where anything is wrong, where
one in twenty cannot be told, or where a policy is left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import anyio
import botocore.exceptions as bx
import msgspec

from batchpol.facts import FactsFile
from batchpol.model.errors import NoAnswer
from batchpol.model.settings import Connection
from batchpol.probe import Place, Probe, chosen, reached
from batchpol.probe.probe import QUESTIONS
from batchpol.sandbox import Owner, Store
from batchpol.sandbox.service import Answer, Service
from batchpol.sandbox.wire import Clock, Request
from batchpol.ses import translate
from batchpol.testing import DOUBTS, FAULTS, Facts, Sandbox, SandboxOptions, VirtualClockLoop

ACCOUNT, REGION, IDENTITY = "123456789012", "us-east-1", "probe.example.com"
ROLE, DELETED = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("sender", "gone"))
PLACE = Place(IDENTITY, ACCOUNT, REGION, unverified="pending.invalid", principal=ROLE, deleted=DELETED)
MANGLED = {"reset_before", "drop_before", "reset_after", "drop_after", "malformed", "truncated", "portal",
           "wrong_type", "bad_gateway"}  # fmt: skip
V2 = {"CreateEmailIdentityPolicy": "POST", "UpdateEmailIdentityPolicy": "PUT", "GetEmailIdentityPolicies": "GET"}
RIGHT, OPEN, WRONG = "right", "cannot tell", "wrong"


def drawn(seed: int) -> SandboxOptions:
    """One of the SESs that there could be, on one of the networks."""
    draw = random.Random(seed)
    jitter = draw.choice([0.0, draw.uniform(0, 20), draw.uniform(0, 100)])
    lags = {name: draw.choice([0.0, draw.uniform(0, 60)]) for name in
            ("get-after-put", "get-after-delete", "list-after-put", "list-after-delete")}  # fmt: skip
    kinds = draw.sample(sorted(FAULTS), draw.randint(1, 6))
    return SandboxOptions(
        burst=draw.randint(1, 5),
        tolerance_ms=draw.choice([0.0, draw.uniform(0, 100)]),
        shared_quota=draw.random() < 0.5,
        v2_shares_quota=draw.random() < 0.5,
        throttled_count=draw.random() < 0.3,
        refused_count=draw.random() < 0.7,
        stale_by=lags if draw.random() < 0.7 else {},
        stale_at_random=draw.random() < 0.3,
        max_length=draw.choice([4096, 4096, 4000, draw.randint(2048, 10240)]),
        length_unit=draw.choice(["bytes", "characters"]),
        length_with_blanks=draw.random() < 0.5,
        max_policies=draw.randint(8, 25),
        keeps_blanks=draw.random() < 0.5,
        sorts_keys=draw.random() < 0.5,
        accounts_as_roots=draw.random() < 0.5,
        require_verified=draw.random() < 0.5,
        strict_identities=draw.random() < 0.5,
        refused=frozenset(name for name in DOUBTS if draw.random() < 0.5),
        latency_ms=draw.uniform(10, 120),
        jitter_ms=jitter,
        jitter_after_ms=jitter / 4 if draw.random() < 0.25 else 0.0,
        faults=dict.fromkeys(kinds, 0.02 / len(kinds)),
        stall_seconds=20.0,
        seed=seed,
        principals_as_ids=draw.random() < 0.5,
        deleted_as_ids=draw.random() < 0.5,
        strict_principals=draw.random() < 0.5,
        deleted={DELETED},
    )


class Network:
    """A service asked without HTTP, at the times that its options give its network.

    Who asks comes to it ``busy`` milliseconds too late on the average, exponentially, and so it does to the answer.
    """

    def __init__(self, service: Service, busy: float = 0.0) -> None:
        self._service, self._busy, self._random = service, busy, random.Random(service.options.seed)

    async def _wake(self) -> None:
        """Come to it, which takes a while on a machine that has other things to do."""
        await anyio.sleep(self._random.expovariate(1000 / self._busy) if self._busy else 0.0)

    async def send(
        self, operation: str, arguments: Mapping[str, Any], departed: Callable[[], None]
    ) -> Mapping[str, Any]:
        await self._wake()
        departed()
        options = self._service.options
        await self._travel(options.latency_ms / 2, options.jitter_ms)
        answer = self._service.answer(request_of(operation, arguments))
        await self._travel(options.latency_ms / 2, options.jitter_after_ms)
        await self._wake()
        if answer.fault.startswith("stall"):
            await anyio.sleep(options.stall_seconds)
            raise NoAnswer("no answer", code="Timeout")
        if answer.fault in MANGLED:
            raise NoAnswer("the connection was reset", code="ConnectionClosed")
        return read(operation, answer)

    async def _travel(self, milliseconds: float, jitter: float) -> None:
        late = self._service.jitter.expovariate(1 / jitter) if jitter else 0.0
        await anyio.sleep((milliseconds + late) / 1000)


def request_of(operation: str, arguments: Mapping[str, Any]) -> Request:
    """A request as botocore would write it."""
    scope = f"AKIATEST/20260101/{REGION}/ses/aws4_request"
    headers = {"authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=a, Signature=b"}
    if operation in V2:
        path = "/v2/email/identities/" + quote(arguments["EmailIdentity"], safe="") + "/policies"
        if "PolicyName" in arguments:
            path += "/" + quote(arguments["PolicyName"], safe="")
        return Request(msgspec.json.encode({"Policy": arguments.get("Policy")}), headers, V2[operation], path)
    form = {"Action": operation, "Version": "2010-12-01"}
    for name, it in arguments.items():
        form |= {f"{name}.member.{n}": value for n, value in enumerate(it, 1)} if isinstance(it, list) else {name: it}
    return Request(urlencode(form).encode(), headers)


def read(operation: str, answer: Answer) -> Mapping[str, Any]:
    """The answer as botocore would read it, or the error that it is."""
    if answer.status >= 300:
        if operation in V2:
            code, text = answer.headers["x-amzn-ErrorType"], msgspec.json.decode(answer.body)["message"]
        else:
            root = ElementTree.fromstring(answer.body)
            code, text = (root.findtext(f"{{*}}Error/{{*}}{name}") or "" for name in ("Code", "Message"))
        told = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": answer.status}}
        raise translate(bx.ClientError(told, operation))
    if operation in V2:
        return msgspec.json.decode(answer.body)
    root = ElementTree.fromstring(answer.body)
    entries = {it.findtext("{*}key"): it.findtext("{*}value") for it in root.iterfind(".//{*}entry")}
    return {"Policies": entries, "PolicyNames": [it.text for it in root.iterfind(".//{*}PolicyNames/{*}member")]}


class Verdict(NamedTuple):
    question: str
    fact: str
    verdict: str
    said: str = ""


class Outcome(NamedTuple):
    """What came of one set-up: verdicts, requests, seconds, and policies that were left there."""

    seed: int
    verdicts: list[Verdict]
    requests: int
    seconds: float
    left: int


def judged(found: FactsFile, truth: Facts) -> Iterator[Verdict]:
    """Each fact that was asked for, against what is so."""
    for question, told in found.questions.items():
        names = [it for it in told.known if it not in ("refused", "accepted", "tolerance_below_ms")]
        for name in names:
            right = is_right(name, told.known, truth)
            yield Verdict(question, name, RIGHT if right else WRONG, f"{told.known[name]} {told.says}")
        for name, refused in (("accepted", False), ("refused", True)):
            for doubt in told.known.get(name, ()):
                right = (doubt in truth.refused) is refused
                yield Verdict(question, doubt, RIGHT if right else WRONG, f"{name}")
        yield from (Verdict(question, name, OPEN, str(told.says)) for name in told.open)


def is_right(name: str, known: Mapping[str, Any], truth: Facts) -> bool:
    if name == "tolerance_ms":
        return known[name] <= truth.tolerance_ms < known["tolerance_below_ms"]
    if name == "stale_by":
        return all(lag_is_right(read, seconds, truth) for read, seconds in known[name].items())
    return known[name] == getattr(truth, name)


def lag_is_right(read: str, seconds: float, truth: Facts) -> bool:
    """A lag that was seen is the longest one, as exactly as reads follow each other; none may be a short one."""
    lag = truth.stale_by.get(read, truth.stale_seconds)
    if seconds == 0 or truth.stale_at_random:
        return (seconds == 0 and lag < 6) or (truth.stale_at_random and seconds <= lag + 6)
    return lag <= seconds + 0.1 <= lag + 10


def set_up(seed: int, only: tuple[str, ...] = (), busy: float = 0.0) -> Outcome:
    """Probe one set-up on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(probed(seed, only, busy))


async def probed(seed: int, only: tuple[str, ...], busy: float) -> Outcome:
    loop, options = asyncio.get_running_loop(), drawn(seed)
    assert isinstance(loop, VirtualClockLoop)
    service = Service(options, Clock(loop.time, loop.wall_time))
    register(service.store)
    return await outcome(seed, Probe(Network(service, busy).send, PLACE, chosen(only)), service)


async def over_http(seed: int, only: tuple[str, ...]) -> Outcome:
    """Probe one set-up in real time, as the command does."""
    async with Sandbox(drawn(seed)) as sandbox:
        register(sandbox.store)
        connection = Connection(regions=(REGION,), endpoint_url=sandbox.url, access_key="AKIATEST", secret_key="-")
        named = {name: getattr(PLACE, name) for name in ("unverified", "principal", "deleted")}
        async with reached(connection, IDENTITY, **named) as (place, gate, send):
            return await outcome(seed, Probe(send, place, chosen(only), gate=gate), sandbox)


async def outcome(seed: int, probe: Probe, ses: Service | Sandbox) -> Outcome:
    began = anyio.current_time()
    owner, standing = Owner(ACCOUNT, REGION, IDENTITY), PLACE.document(Principal={"AWS": DELETED})
    ses.store.put(owner, "standing", standing, now=-3600)
    await probe.run()
    left = sum(len(names) for names in ses.store.policies.values()) - ("standing" in ses.store.get(owner))
    verdicts = list(judged(probe.facts(date(2026, 1, 1)), ses.options))
    return Outcome(seed, verdicts, len(ses.arrivals), anyio.current_time() - began, left)


def register(store: Store) -> None:
    """Have the identities of the probe known."""
    store.registered |= {Owner(ACCOUNT, REGION, PLACE.identity), Owner(ACCOUNT, REGION, PLACE.unverified)}


def table(verdicts: list[Verdict]) -> str:
    """Right, cannot tell and wrong by question and fact."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for it in verdicts:
        counts[it.question, "" if it.fact in DOUBTS else it.fact, it.verdict] += 1
    lines = [f"{'question':12} {'fact':22} {'right':>7} {'cannot tell':>12} {'wrong':>6}"]
    for question in QUESTIONS:
        for fact in sorted({fact for of, fact, _ in counts if of == question}):
            right, opened, wrong = (counts[question, fact, it] for it in (RIGHT, OPEN, WRONG))
            share = f"{opened} ({100 * opened / (right + opened + wrong):.1f}%)"
            lines.append(f"{question:12} {fact or 'doubtful things':22} {right:7} {share:>12} {wrong:6}")
    return "\n".join(lines)


async def all_over_http(seeds: range, only: tuple[str, ...]) -> list[Outcome]:
    return await asyncio.gather(*(over_http(seed, only) for seed in seeds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set-ups", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--question", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--busy", type=float, default=0.0, help="milliseconds that the asker is late on the average")
    parser.add_argument("--http", action="store_true")
    given = parser.parse_args()
    seeds, only = range(given.seed, given.seed + given.set_ups), tuple(given.question)
    if given.http:
        outcomes = asyncio.run(all_over_http(seeds, only))
    else:
        with ProcessPoolExecutor(given.jobs) as pool:
            outcomes = list(pool.map(partial(set_up, only=only, busy=given.busy), seeds))
    verdicts = [it for outcome in outcomes for it in outcome.verdicts]
    for outcome in outcomes:
        for it in outcome.verdicts:
            if it.verdict != RIGHT:
                said = f"{it.question}, {it.fact}: {it.said}"
                print(f"set-up {outcome.seed}: {it.verdict}: {said}", file=sys.stderr)
    leftovers, seconds = sum(it.left for it in outcomes), [it.seconds for it in outcomes]
    requests = sum(it.requests for it in outcomes)
    print(table(verdicts))
    print(f"{len(seeds)} set-ups, {requests // len(seeds)} requests and {sum(seconds) / len(seeds):.0f} s each "
          f"({max(seconds):.0f} s at most), policies left behind: {leftovers}")  # fmt: skip
    total = Counter(it.verdict for it in verdicts)
    return int(bool(total[WRONG] or leftovers or total[OPEN] > 0.05 * len(verdicts)))


if __name__ == "__main__":
    sys.exit(main())
