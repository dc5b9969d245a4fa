"""What users see of every command, written down: its help, what it says to misuse, and runs from end to end.

``python -m tests.cli.recording [COMMAND]`` records the installed command (or another one, an older version say) anew;
look at the difference before you commit it. ``test_recorded.py`` compares. What differs from run to run is masked.
"""

from __future__ import annotations

import fcntl
import json
import math
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batchpol.sandbox import Owner
from batchpol.testing import SandboxOptions, running_sandbox
from tests.e2e import command as installed
from tests.e2e.command import ACCOUNT, REGION, Ended, policy, record, save_lines, save_table, tenants

RECORDED = Path(__file__).with_name("recorded")
COMMANDS = (
    "apply", "validate", "plan", "undo", "export", "render", "retarget", "status", "stop", "report", "probe", "sandbox",
    "schema", "help",
)  # fmt: skip
LATE = "arn:aws:iam::999999999999:role/late"

Run = Callable[..., Ended]
"""Runs the command in the folder with these arguments and variables."""

MISUSES: dict[str, list[str]] = {
    "arguments": [
        "",
        "aply",
        "apply",
        "apply good.csv --rgion x",
        "apply good.csv",
        "apply - --format jsonl",
        "apply good.csv --sandbox --limit x",
        "apply good.csv --sandbox --max-attempts 0",
        "apply good.csv --sandbox --rate 2",
        "apply good.csv --sandbox --rate 0",
        "apply good.csv --sandbox --max-failures few",
        "apply good.csv --sandbox --max-failures 101%",
        "apply good.csv --sandbox --max-duration soon",
        "apply good.csv --sandbox --expect-account 1234",
        "apply good.csv --sandbox --endpoint-url http://x",
        "apply good.csv --sandbox --profile p",
        "apply good.csv --sandbox --output xml",
        "apply good.csv --sandbox --prune --blind",
        "apply good.csv --sandbox --prune-prefix t",
        "apply good.csv --sandbox --log-format xml",
        "apply good.csv --sandbox --select nonsense",
        "apply good.csv --sandbox --report out.pdf",
        "apply good.csv --sandbox --report folder.csv",
        "apply good.csv --sandbox --report good.csv",
        "apply good.csv --sandbox --report a.csv --report a.csv",
        "apply good.csv --sandbox --report none/a.csv",
        "apply good.csv --sandbox --journal no/j.jsonl",
        "apply good.csv --sandbox --journal good.txt",
        "apply good.csv --sandbox --journal newer.jsonl",
        "apply good.csv --sandbox --journal damaged.jsonl",
        "apply good.csv --sandbox --journal held.jsonl",
        "apply good.csv --sandbox --config none.toml",
        "apply good.csv --sandbox --config wrong.toml",
        "apply good.csv --sandbox --log-format json --max-failures few",
        "validate",
        "validate good.csv --output xml",
        "validate good.csv --report findings.csv",
        "validate good.csv --report folder.jsonl",
        "validate good.csv --ignore nonsense",
        "validate --explain nonsense",
        "plan good.csv --sandbox --report plan.csv",
        "plan good.csv --sandbox --rate 2",
        "undo none.jsonl",
        "undo held.jsonl -o undo.csv",
        "undo held.jsonl -o held.jsonl",
        "export --output out.csv",
        "export --identity a.example --match *.example",
        "export --expect-account 1",
        "export --account 1",
        "export --region us-east-1 --account 111122223333",
        "export --region us-east-1 --identity ~",
        "export --region us-east-1 -o none/out.jsonl",
        "export --region us-east-1 -o folder.jsonl",
        "export --region us-east-1 -o other.jsonl --fresh --rate 3",
        "render good.csv -o good.csv",
        "render good.jsonl -o good.jsonl",
        "render list.csv --policy-template template.json --policy-name t-{{tenant}}",
        "render list.csv --policy-template template.json",
        "render list.csv --policy-name {{identity[]}}",
        "render list.csv --policy-name {{identity",
        "render list.csv --policy-template none.json",
        "retarget good.csv",
        "retarget good.csv --to-account 1",
        "retarget good.csv --to-region nowhere",
        "retarget good.csv --map nonsense",
        "retarget good.csv --map a.example=b.example --map a.example=c.example",
        "status none.jsonl",
        "status empty.jsonl",
        "status damaged.jsonl --output xml",
        "status damaged.jsonl",
        "report damaged.jsonl",
        "report damaged.jsonl --report damaged.jsonl",
        "report damaged.jsonl --report a.csv --only faild",
        "report damaged.jsonl --report a.csv",
        "sandbox --fault thortle=0.1",
        "sandbox --fault throttle=often",
        "sandbox --log none/log.jsonl",
        "sandbox --port 70000",
    ],
    "inputs": [
        "validate none.csv",
        "validate folder.csv",
        "validate empty.csv",
        "validate headless.csv",
        "validate misspelt.csv",
        "validate nopolicy.csv",
        "validate nopolicy.csv --policy-name x",
        "validate noname.csv",
        "validate lines.csv",
        "validate table.jsonl",
        "validate book.xlsx",
        "validate list.json",
        "validate array.jsonl",
        "validate records",
        "validate good.jsonl --format xml",
        "validate list.csv --policy-template template.json --policy-name t-{{tenant_id}}",
        "validate some.csv --region us-east-1",
        "validate some.csv --region us-east-1 --account 123456789012 --strict",
    ],
    "places": [
        "apply good.csv --yes",
        "apply good.csv --yes --region us-east-1",
        "apply good.csv --yes --profile nope",
        "plan good.csv --region us-esat-1 --endpoint-url http://127.0.0.1:9",
        "export",
        "export --profile nope",
    ],
}
"""Command lines by theme; each ends as it is recorded."""

REFUSED: dict[str, tuple[SandboxOptions, list[str]]] = {
    "nothing may be read": (
        SandboxOptions(rate=0, faults={"access_denied@GetIdentityPolicies": 1}),
        [
            "apply good.csv",
            "apply good.csv --fresh --no-clobber",
            "apply good.csv --fresh --blind --verify",
            "plan good.csv",
            "apply good.csv --fresh --verify",
        ],
    ),
    "nothing may be listed": (
        SandboxOptions(
            rate=0,
            faults={"access_denied@ListIdentities": 1, "access_denied@GetIdentityVerificationAttributes": 1,
                    "access_denied@ListIdentityPolicies": 1},
        ),
        ["export", "apply good.csv --require-verified", "apply good.csv --fresh --prune"],
    ),
    "another account, another place": (
        SandboxOptions(rate=0),
        [
            "apply good.csv --expect-account 999999999999",
            "apply elsewhere.csv",
            "apply good.csv --limit 1",
            "apply good.csv --region eu-west-1",
            "apply bad.csv --strict",
            "apply bad.csv --prune",
            "apply many.csv --blind --max-duration 1s --rate 0.4",
            "export --account 111122223333",
            "export -o out.jsonl",
            "export -o out.jsonl",
        ],
    ),
    "expired": (
        SandboxOptions(rate=0, faults={"expired_token@PutIdentityPolicy": 1}),
        ["apply good.csv", "status good.journal.jsonl"],
    ),
    "principals that are not there": (
        SandboxOptions(rate=0, late_principals={"*": math.inf}),
        [
            "apply many.csv --blind --no-defer --max-failures 3 --fresh",
            "apply many.csv --blind --retry-failed --no-defer --max-failures 1",
        ],
    ),
}  # fmt: skip
"""Runs against an SES that refuses: how it behaves, and command lines in their order."""

STORY = [
    "validate some.csv --account 123456789012 --region us-east-1 --report findings.jsonl",
    "validate some.csv --account 123456789012 --region us-east-1 --output json --quiet",
    "plan some.csv --diff --report plan.jsonl",
    "plan some.csv --detailed-exitcode",
    "apply some.csv --dry-run",
    "apply some.csv --no-defer --log-format json --report some.report.csv --report some.report.jsonl",
    "status some.journal.jsonl",
    "status some.journal.jsonl --output json",
    "report some.journal.jsonl --only failed,rejected --report mend.csv",
    "undo some.journal.jsonl -o undo.jsonl",
    "apply some.csv --no-defer",
    "apply some.csv --no-defer --retry-failed --output json",
    "apply clobber.csv --no-clobber --output json --report clobber.jsonl",
    "apply absent.csv --only-existing --limit 1 --fresh --prune",
    "apply undo.jsonl --quiet",
    "undo undo.journal.jsonl --last",
    "export -o there.jsonl",
    "retarget there.jsonl --to-account 111122223333 --to-region eu-west-1 -o moved.jsonl",
    "render list.csv --policy-template template.json --policy-name t-{{tenant_id}} --account 123456789012"
    " --region us-east-1 -o rendered.jsonl",
    "apply good.csv --region eu-west-1 --log-format json --limit 0",
]
"""One day of a user, each command on what the ones before it left."""

THERE = {
    "there.example": {"tenant": policy("there.example", Sid="Before"), "surplus": policy("there.example")},
    "equal.example": {"tenant": policy("equal.example")},
}
"""What the SES of the story has before it begins: documents by identity and name."""

_MASKS = [
    (r"127\.0\.0\.1:\d{4,}", "127.0.0.1:PORT"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "REQUEST"),
    (r"\b[0-9a-f]{32}\b", "RUN"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC(, \d+ s)?", "TIME"),
    (r"\([0-9a-f]{8}\)", "(RUN)"),
    (r'"(pid|seconds|seconds_between_requests|duration_ms|waited)":( ?)[\d.e-]+', r'"\1":\2NUMBER'),
    (r'"(host|version)": "[^"]*"', r'"\1": "…"'),
    (r"by process \d+ on \S+", "by process PID on HOST"),
    (r"(in|kill|compared in|about) \d+(\.\d+)? s\b", r"\1 SECONDS"),
    (r"TIME,\d+(\.\d+)?,", "TIME,MS,"),
    (r", (every [\d.]+ s|[\d.e+]+ a second lately)$", ", PACE"),
    (r"\.\d{8}T?\d{6}\w*(-\d+)?", ".WHEN"),
]  # fmt: skip


def masked(text: str, folder: Path) -> str:
    """``text`` without what no two runs have in common."""
    text = text.replace(str(folder.resolve()), "FOLDER").replace(str(folder), "FOLDER")
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text


def prepare(folder: Path) -> None:
    """The files that the command lines name."""
    save_table(folder / "good.csv", tenants(2))
    save_lines(folder / "good.jsonl", tenants(2))
    save_table(folder / "many.csv", tenants(8))
    save_table(folder / "elsewhere.csv", [record("a.example", account="111122223333")])
    save_table(folder / "bad.csv", [*tenants(1), record("not an identity")])
    save_table(folder / "clobber.csv", [record("new.example"), record("there.example")])
    save_table(folder / "absent.csv", [record("absent.example"), record("there.example")])
    late = policy("late.example", Principal={"AWS": LATE})
    some = [
        record("new.example", note="made anew"),
        record("there.example", policy=policy("there.example", Sid="After")),
        record("equal.example"),
        record("late.example", policy=late),
        record("not an identity"),
        record("never.invalid"),
        record("equal.example"),
        record("open.example", policy=policy("open.example", Principal="*")),
    ]
    save_table(folder / "some.csv", [{"note": "", **it} for it in some])
    template = json.dumps(policy("IDENTITY")).replace(
        policy("IDENTITY")["Statement"][0]["Resource"], "{{identity_arn}}"
    )
    texts = {
        "good.txt": "no journal\n",
        "newer.jsonl": '{"t":"run","format":99}\n',
        "damaged.jsonl": '{"t":"run","format":1,"crc":"00000000"}\n{"t":"end","crc":"00000000"}\n',
        "held.jsonl": '{"t":"run","format":1,"crc":"00000000"}\n',
        "empty.jsonl": "",
        "empty.csv": "",
        "wrong.toml": "[tool.batchpol]\nregoin = 1\n",
        "headless.csv": "a.example,tenant,{}\n",
        "misspelt.csv": "identty,policy_name,policy\na.example,tenant,{}\n",
        "nopolicy.csv": "identity,policy_name\na.example,tenant\n",
        "noname.csv": "identity,policy\na.example,{}\n",
        "lines.csv": '{"identity": "a.example"}\n',
        "table.jsonl": "identity,policy_name,policy\na.example,tenant,{}\n",
        "book.xlsx": "PK\x03\x04 and so on",
        "list.json": "[]",
        "array.jsonl": '[{"identity": "a.example"}]\n',
        "records": "{}",
        "list.csv": "identity,tenant_id\na.example,1\nb.example,2\n",
        "template.json": template,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    for name in ("folder.csv", "folder.jsonl"):
        (folder / name).mkdir()


@contextmanager
def _held(path: Path) -> Iterator[None]:
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def told(line: str, run: Run, folder: Path, **variables: str) -> str:
    """One command line and what came of it, as it is recorded; what stood on standard error begins with ``!``."""
    ended = run(*shlex.split(line), **variables)
    err = "".join(f"! {it}\n" for it in _ordered(ended.err))
    return masked(f"$ batchpol {line}\n{ended.out}{err}[exit {ended.code}]\n\n", folder)


def _ordered(err: str) -> list[str]:
    """Lines as they came; events of one record behind each other, since records on their way overtake."""
    lines = err.splitlines()
    if not (lines and all(it.startswith('{"') for it in lines)):
        return lines
    return sorted(lines, key=lambda it: json.loads(it).get("line", 0))


def helps(run: Run, folder: Path) -> str:
    return "".join(told(f"{name} --help".strip(), run, folder) for name in ("", *COMMANDS))


def misuses(run: Run, folder: Path) -> str:
    prepare(folder)
    parts = []
    with _held(folder / "held.jsonl"):
        for theme, lines in MISUSES.items():
            parts.append(f"# {theme}\n\n")
            parts += [told(line, run, folder) for line in lines]
    return "".join(parts)


def refusals(run: Run, folder: Path) -> str:
    prepare(folder)
    parts = []
    for theme, (options, lines) in REFUSED.items():
        parts.append(f"# {theme}\n\n")
        with running_sandbox(options) as sandbox:
            parts += [told(_against_ses(line), run, folder, **sandbox.environment()) for line in lines]
        for left in folder.glob("*.journal.*"):
            left.unlink()
    return "".join(parts)


def story(run: Run, folder: Path) -> str:
    """With the files that it leaves."""
    prepare(folder)
    before = set(folder.iterdir())
    with running_sandbox(SandboxOptions(rate=0, late_principals={LATE: math.inf})) as sandbox:
        for name, policies in THERE.items():
            for title, document in policies.items():
                sandbox.store.put(Owner(ACCOUNT, REGION, name), title, json.dumps(document))
        parts = [told(_against_ses(line), run, folder, **sandbox.environment()) for line in STORY]
    for path in sorted(set(folder.iterdir()) - before):
        if ".journal." not in path.name:
            parts.append(f"== {path.name}\n{masked(path.read_text(), folder)}\n")
    return "".join(parts)


def _against_ses(line: str) -> str:
    """The line with what it needs against an SES of ours: a Region, a pace, nobody to ask."""
    name, more = line.partition(" ")[0], ""
    if name in ("apply", "plan", "export"):
        more += "" if "--region" in line else " --region us-east-1"
        more += "" if "--rate" in line else " --rate 20 --i-have-a-higher-quota"
        more += " --yes" if name == "apply" and "--dry-run" not in line else ""
    return line + more


RECORDINGS = {"help": helps, "misuse": misuses, "refused": refusals, "story": story}


def main() -> None:
    if sys.argv[1:]:
        installed.COMMAND = Path(sys.argv[1])
    for name, recorded in RECORDINGS.items():
        with tempfile.TemporaryDirectory() as path:
            folder = Path(path)

            def run(*arguments: str, folder: Path = folder, **variables: str) -> Ended:
                return installed.run(*arguments, cwd=folder, env=variables)

            RECORDED.joinpath(f"{name}.txt").write_text(recorded(run, folder), encoding="utf-8")


if __name__ == "__main__":
    main()
