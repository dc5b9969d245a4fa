"""Which part of a batch this process has, as told by the engine that started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchpol.model.errors import UsageError
from batchpol.model.shard import Shard

MOST = 100_000
"""Shards that a batch can have: more than there are targets, or children that any engine starts."""


@dataclass(frozen=True)
class _Engine:
    """An engine's variables: the child's number, the first child's number (or its variable), how many there are.

    ``step`` is the variable of the distance from one child's number to the next.
    """

    name: str
    index: str
    first: int | str
    count: str
    step: str = ""


_ENGINES = (
    # AWS Batch User Guide, "Array jobs": the index starts at 0; the size is in the child's environment.
    _Engine("array job of AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", 0, "AWS_BATCH_JOB_ARRAY_SIZE"),
    # sbatch(1), "OUTPUT ENVIRONMENT VARIABLES"; an array of 5-50:5 is ten tasks.
    _Engine("array of Slurm", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT",
            "SLURM_ARRAY_TASK_STEP"),
    # Kubernetes, "Indexed Job": from 0; how many there are is not told.
    _Engine("Indexed Job of Kubernetes", "JOB_COMPLETION_INDEX", 0, ""),
    # GitLab, "parallel": from 1. CircleCI: from 0, under names of its own.
    _Engine("parallel job of GitLab", "CI_NODE_INDEX", 1, "CI_NODE_TOTAL"),
    _Engine("parallel job of CircleCI", "CIRCLE_NODE_INDEX", 0, "CIRCLE_NODE_TOTAL"),
)  # fmt: skip

_BY_HAND = "give the number and how many there are: `shard='3/40'`"


def shard_of(value: Any, environment: Mapping[str, str]) -> Shard:
    """The shard that ``auto``, ``auto/40``, ``3/40`` or ``(3, 40)`` means.

    Raises:
        UsageError: it is none, or the environment does not say which.
    """
    word, slash, told = value.partition("/") if isinstance(value, str) else ("", "", "")
    if word != "auto":
        return _shard(value.split("/") if isinstance(value, str) else value)
    engine = _of(environment)
    if engine is None:
        known = ", ".join(it.index for it in _ENGINES)
        raise UsageError(f"`shard='auto'`: no engine told this process its number ({known})", hint=_BY_HAND)
    count = told if slash else environment.get(engine.count, "")
    if not count:
        text = f"`shard='auto'`: an {engine.name} does not tell how many there are"
        raise UsageError(text, hint="say it: `shard='auto/40'`")
    return _shard((_number(engine, environment), count))


def _shard(parts: Any) -> Shard:
    try:
        number, count = map(int, parts)
    except (TypeError, ValueError):
        text = f"`shard` is a number and how many there are, not {parts!r}"
        raise UsageError(text, hint=_BY_HAND) from None
    if not 1 <= number <= count <= MOST:
        text = f"`shard` counts from 1 to how many there are, at most {MOST:,}: there is no {number}/{count}"
        raise UsageError(text, hint=_BY_HAND)
    return Shard(number, count)


def check_alone(environment: Mapping[str, str]) -> None:
    """Refuse a whole input in a process that is one of many: each of them would send all of it.

    Raises:
        UsageError: names the variable, and what to give.
    """
    engine = _of(environment)
    if engine is None or (engine.count and environment.get(engine.count, "") in ("", "1")):
        return
    raise UsageError(
        f"this process is one of an {engine.name} ({engine.index}={environment[engine.index]}), and each of them would "
        "send all of the input",
        hint="add `shard='auto'` and a `journal` that all of them share, or `shard='1/1'` where this one has an input "
        "of its own",
    )


def _of(environment: Mapping[str, str]) -> _Engine | None:
    return next((it for it in _ENGINES if environment.get(it.index)), None)


def _number(engine: _Engine, environment: Mapping[str, str]) -> int:
    """The child's number from 1."""
    try:
        first = engine.first if isinstance(engine.first, int) else int(environment.get(engine.first, "0"))
        step = int(environment.get(engine.step, "1")) if engine.step else 1
        number, rest = divmod(int(environment[engine.index]) - first, step)
    except (ValueError, ZeroDivisionError):
        number, rest = 0, 1
    if rest:
        raise UsageError(f"{engine.index}={environment[engine.index]!r} is no number of a child", hint=_BY_HAND)
    return number + 1
