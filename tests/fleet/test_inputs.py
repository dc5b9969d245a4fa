"""Inputs of every kind, shared out: what the workers wrote down, read as one run, is what one process wrote down."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from batchpol.batch.intake import Intake, checking, sharding
from batchpol.batch.options import Options
from batchpol.batch.resuming import begin
from batchpol.journal import Folder, Journal, Pins, Shards
from batchpol.model.settings import Connection, Reading
from batchpol.model.shard import Shard
from batchpol.report import write_report
from batchpol.rewriting.template import Template, open_input
from batchpol.sending.caller import Here
from batchpol.ses import Caller
from tests.fleet.test_shards import REGIONS
from tests.runs import ACCOUNT

OTHER = "222222222222"
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A folder that no disk is waited for."""
TEMPLATE = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"AWS": "{{tenant}}"},
        "Action": "ses:SendEmail",
        "Resource": "{{identity_arn}}",
    },
}
COLUMNS = ("identity", "policy_name", "policy", "account", "region", "action", "tenant")
BROKEN = {".csv": 'a.example,"x"y,,,,,\n', ".jsonl": '{"identity": "a.example", "policy_name"\n'}


def cells(
    identity: str, name: str, action: str, account: str, region: str, tenant: str, as_arn: bool
) -> dict[str, str]:
    """A record as a file has it; documents of two tenants contradict each other."""
    arn = f"arn:aws:ses:{region or 'us-east-1'}:{account or ACCOUNT}:identity/{identity}"
    statement = {"Effect": "Allow", "Principal": {"AWS": tenant}, "Action": "ses:SendEmail", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    values = (arn if as_arn else identity, name, "" if action == "delete" else policy, account, region, action, tenant)
    return dict(zip(COLUMNS, values, strict=True))


good = st.builds(
    cells,
    st.sampled_from(["a.example", "b.example", "A.example", "x@a.example", "no identity"]),
    st.sampled_from(["sending", "support"]),
    st.sampled_from(["put", "put", "delete"]),
    st.sampled_from(["", ACCOUNT, OTHER, "12"]),
    st.sampled_from([*REGIONS, "", "nowhere"]),
    st.sampled_from(["333333333333", "444455556666"]),
    st.booleans(),
)
inputs = st.lists(st.one_of(good, st.none()), min_size=1, max_size=25)
"""None is a line that cannot be read."""


def write(path: Path, found: list[dict[str, str] | None], *, templated: bool) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader() if path.suffix == ".csv" else None
    for number, it in enumerate(found):
        if it is None:
            text.write(BROKEN[path.suffix])
            continue
        it = it | {"policy": ""} if templated else it
        if path.suffix == ".csv":
            table.writerow(it)
        else:
            text.write(json.dumps({name: value for name, value in it.items() if value} | {f"extra{number % 3}": "x"}))
            text.write("\n")
    path.write_text(text.getvalue())


def take(path: Path, book_at: Path, **choices: Any) -> None:
    """The first pass of a run, of the whole input or of a shard."""
    reading = Reading(policy_template=TEMPLATE) if choices.pop("templated") else Reading()
    connection = Connection(regions=REGIONS, role_arn="arn:aws:iam::{account}:role/x")
    options = Options(connection=connection, reading=reading, template=Template.of(reading)).changed(choices)
    here = Here(Caller(ACCOUNT, ""), "us-east-1", "")
    with open_input(str(path), reading, options.template) as source, Journal.create(book_at) as book:
        run = begin(book, options, here, 1.0, source.name, source.columns, at="2026-01-01T00:00:00.000Z")
        intake = Intake(options, checking(options, here.target), book, run, sharding(options, here.target))
        for record in source:
            intake.take(record)
        intake.close(source.sha256)


@settings(max_examples=40)
@given(inputs, st.integers(1, 7), st.sampled_from([".csv", ".jsonl"]), st.booleans())
def test_the_rows_of_all_shards_are_those_of_one_process_for_any_input(
    found: list[dict[str, str] | None], count: int, suffix: str, templated: bool
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        source, one, many = Path(name, f"in{suffix}"), Path(name, "one.jsonl"), Folder(Path(name, "run1"))
        write(source, found, templated=templated)
        many.make()
        many.pin(Pins(count, ACCOUNT, "us-east-1", ""))
        take(source, one, templated=templated)
        for number in range(1, count + 1):
            shard = Shard(number, count)
            take(source, many.journal(shard), templated=templated, shard=shard, journal=many.path)
        written = []
        for place in (one, many.path):
            shards = Shards(place)
            for report in (Path(name, f"{place.stem}-report.csv"), Path(name, f"{place.stem}-report.jsonl")):
                write_report(shards.outcomes(), report, columns=shards.columns)
                written.append(report.read_bytes())
        assert written[:2] == written[2:]
        assert Shards(one).counts() == Shards(many.path).counts()
        assert len(Shards(many.path)) == len(found)
