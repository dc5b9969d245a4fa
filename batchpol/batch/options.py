"""Every choice of one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Self

from batchpol.journal import Folder, Run
from batchpol.model.errors import UsageError
from batchpol.model.settings import Checks, Conduct, Connection, Keeping, Patience, Reading
from batchpol.model.shard import Shard
from batchpol.rewriting.template import Template
from batchpol.sending.targets import Targets
from batchpol.ses import Aws

DRAIN = 10.0
"""Seconds that requests under way are given to be answered after a run was asked to stop."""

_WHOLE = {
    "limit": "cut the input instead",
    "strict": "validate the input first, once, before any worker begins",
    "reports": "leave it out; the report of all shards is made of the folder, when they are through",
}


@dataclass(frozen=True, slots=True)
class Options:
    """Every choice of one run: the settings, a heading each, and what is not anybody's to set.

    ``template`` is what ``reading`` names, opened. ``sandbox`` says that the SES is an embedded one. ``unnamed`` says
    that the journal is called after standard input, from which something else may come each time. ``saved`` is the
    header of the saved plan that is carried out, ``save`` where one is to be kept. ``command`` is what
    asked for the run, for people who read the journal; empty for a program. ``outcomes`` is how many of them a result
    has in memory, at most; more are read from the journal when they are wanted. ``folder`` is what ``journal`` named
    where there is a ``shard``; from then on ``journal`` is the shard's own. Times are in seconds.

    Raises UsageError where one setting makes no sense, or none beside another.
    """

    reading: Reading = field(default_factory=Reading)
    checks: Checks = field(default_factory=Checks)
    connection: Connection = field(default_factory=Connection)
    conduct: Conduct = field(default_factory=Conduct)
    patience: Patience = field(default_factory=Patience)
    keeping: Keeping = field(default_factory=Keeping)
    template: Template | None = None
    sandbox: bool = False
    unnamed: bool = False
    saved: Run | None = None
    save: Path | None = None
    drain: float = DRAIN
    command: tuple[str, ...] = ()
    outcomes: int = 0
    folder: Folder | None = None

    def __post_init__(self) -> None:
        conduct = self.conduct
        if self.keeping.shard is not None and self.folder is None:
            self._share(self.keeping.shard)
        if self.keeping.on is not None:
            self._check_driven()
        elif self.keeping.shards is not None:
            text = "`shards` is the number of parts of a batch that is run `on` a scheduler"
            raise UsageError(text, hint="name the scheduler with `on`, or give each worker its own part with `shard`")
        if not 0 < self.patience.period < inf:
            raise UsageError("`period` is a time in seconds, more than 0")
        if conduct.prune_prefix and not conduct.prune:
            raise UsageError(
                "`prune_prefix` says what to prune, and nothing is pruned without `prune`",
                hint="add `prune`, or leave `prune_prefix` out",
            )
        if conduct.prune and not conduct.compare:
            raise UsageError(
                "`prune` deletes what is there, and with `compare=False` no copy of it would be kept",
                hint="leave `compare=False` out: then what is deleted is in the journal, and undo brings it back",
            )

    def _share(self, shard: Shard) -> None:
        """Keep the journal in the folder that the workers of the batch share, and refuse what is of the whole input."""
        whole = {"limit": self.reading.limit is not None, "strict": self.checks.strict, "reports": self.keeping.reports}
        for name in (name for name, given in whole.items() if given):
            raise UsageError(f"`{name}` is about the whole input, and `shard` is a part of it", hint=_WHOLE[name])
        if self.saved is not None:
            text = "a saved plan is carried out whole, by one process, and `shard` is a part of a batch"
            raise UsageError(text, hint="leave `shard` out, or give the workers the input that the plan was made of")
        if self.keeping.journal is None:
            text = "`shard` needs a folder as `journal`, the same for all shards, on a volume that all of them have"
            raise UsageError(text, hint="name it, say `journal='run1'`")
        folder = Folder(self.keeping.journal)
        object.__setattr__(self, "folder", folder)
        object.__setattr__(self, "keeping", replace(self.keeping, journal=folder.journal(shard)))

    def _check_driven(self) -> None:
        """Refuse what cannot be done by workers elsewhere."""
        keeping = self.keeping
        if keeping.shards is None:
            raise UsageError(
                "`on` needs `shards`, the number of parts of the batch", hint="one for 500 targets or so is enough"
            )
        if keeping.journal is None:
            text = "`on` needs a folder as `journal`, on a volume that all workers have under the same name"
            raise UsageError(text, hint="name it, say `journal='run1'`")
        wrong = {
            "shard": (keeping.shard, "leave it out: each worker is told its own"),
            "fresh": (keeping.fresh, "name another folder with `journal`"),
            "dry_run": (self.conduct.dry_run, "look with batchpol plan, or a dry run here"),
            "limit": (self.reading.limit is not None, _WHOLE["limit"]),
            "strict": (self.checks.strict, _WHOLE["strict"]),
            "saved": (self.saved, "apply the plan alone"),
            "sandbox": (self.sandbox or self.connection.embedded, "start one with batchpol sandbox, for all workers"),
        }
        for name, hint in ((name, hint) for name, (given, hint) in wrong.items() if given):
            what = "a saved plan" if name == "saved" else f"`{name}`"
            raise UsageError(f"{what} is not for a batch that is run `on` other machines", hint=hint)

    def changed(self, settings: dict[str, Any]) -> Self:
        """The same with these settings, whatever headings they are under. Raises UsageError for one there is not."""
        left, groups = dict(settings), dict[str, Any]()
        for it in fields(self):
            group = getattr(self, it.name)
            if is_dataclass(group) and not isinstance(group, type):
                given = {own.name: left.pop(own.name) for own in fields(group) if own.name in left}
                groups[it.name] = replace(group, **given)
        if left:
            raise UsageError(f"there is no setting {', '.join(sorted(left))}")
        return replace(self, **groups)

    def targets(self, aws: Callable[[Connection], Aws] = Aws) -> Targets:
        """The targets of a run by itself; ``aws`` makes their connection. Raises UsageError as that does."""
        return Targets(aws(self.connection), self.patience)
