"""The folder that the workers of one batch share: a journal for each shard, and what all of them hold to.

Nothing is kept there but what the journals say: who works on a shard has its journal's lock, and ``run.json`` (made
once, by whoever comes first) says which batch it is.
"""

from __future__ import annotations

import errno
import heapq
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from operator import itemgetter
from pathlib import Path

import msgspec

from batchpol import files
from batchpol.journal.journal import Journal
from batchpol.journal.reading import opened, runs, scan, section_of, sends
from batchpol.journal.section import Section
from batchpol.journal.sends import Sent
from batchpol.model import Outcome, Status
from batchpol.model.errors import BatchpolError, JournalError, JournalMismatch, JournalUnwritable, UsageError
from batchpol.model.shard import Shard

VOLUME_FAILED = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOSPC, errno.EDQUOT})
"""What passes or can be mended, so that an engine is to start the worker again."""

PINNED = 1
"""Version of what :class:`Pins` holds."""


class Pins(msgspec.Struct, frozen=True):
    """Which batch a run folder belongs to; ``options`` are those that decide what is sent."""

    shards: int
    account: str
    region: str
    endpoint: str
    input: str = ""
    input_sha256: str = ""
    options: Mapping[str, str] = {}
    format: int = PINNED

    def differences(self, other: Pins) -> list[str]:
        """What is otherwise in another one, in words; an input that was not read yet differs from none."""
        ours, theirs = self._facts(), other._facts()
        if not (self.input_sha256 and other.input_sha256):
            ours["input with SHA-256"] = theirs["input with SHA-256"] = ""
        names = (name for name in ours | theirs if ours.get(name, "") != theirs.get(name, ""))
        return [f"{name} {ours.get(name) or '(none)'} there, {theirs.get(name) or '(none)'} here" for name in names]

    def _facts(self) -> dict[str, str]:
        facts = {"shards": str(self.shards), "account": self.account, "Region": self.region, "endpoint": self.endpoint}
        return (
            facts
            | {"input with SHA-256": self.input_sha256[:12]}
            | {f"`{name}`": value for name, value in sorted(self.options.items())}
        )


class Folder:
    """A run folder. Raises JournalError where it cannot be used."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._pins, self._stop = self.path / "run.json", self.path / "stop"

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Folder | None:
        """The run folder at a path; None if no folder is there, but a journal or nothing.

        Raises:
            JournalMismatch: it is a folder, and none of ours.
        """
        if not os.path.isdir(path):  # noqa: PTH112 - a path of any kind
            return None
        found = cls(path)
        if found.pins() is None:
            raise JournalMismatch(
                f"{path} is a folder, and no run folder: it has no run.json",
                hint="name what the workers have as `journal`; the first that has read its input writes run.json",
            )
        return found

    def make(self) -> None:
        """Make it, readable by its owner alone, if it is not there."""
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError as error:
            text = f"the run folder {self.path} would be in a folder that is not there"
            raise UsageError(text, hint=f"make {self.path.parent} first") from error
        except FileExistsError as error:
            text = f"{self.path} is a file, and the workers of a batch share a folder"
            raise UsageError(text, hint="name another place with `journal`") from error
        except OSError as error:
            raise self._unusable(error) from error

    def journal(self, shard: Shard) -> Path:
        """The journal of a shard."""
        width = len(str(shard.count))
        return self.path / f"shard-{shard.number:0{width}}-of-{shard.count}.jsonl"

    def pins(self) -> Pins | None:
        """What it was pinned to; None before that.

        Raises:
            JournalMismatch: ``run.json`` cannot be read.
        """
        try:
            found = msgspec.json.decode(self._pins.read_bytes(), type=Pins)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        except msgspec.DecodeError as error:
            text = f"{self._pins} is not as a run wrote it: {error}"
            hint = (
                "move that file away and start a worker again, with `anew` if its shard is finished: it writes another"
            )
            raise JournalMismatch(text, hint=hint) from error
        if found.format > PINNED:
            raise JournalMismatch(f"{self._pins} was written by a newer batchpol", hint="update batchpol")
        return found

    def check(self, pins: Pins) -> Pins | None:
        """Hold a run to what the folder is pinned to, if it is, and return that.

        Raises:
            JournalMismatch: another batch, place or number of shards; names what differs.
        """
        there = self.pins()
        if there is not None and (differs := there.differences(pins)):
            raise JournalMismatch(
                f"the run folder {self.path} belongs to another run: {'; '.join(differs)}",
                hint="name another folder with `journal`, or run exactly what the others run",
            )
        return there

    def pin(self, pins: Pins) -> None:
        """Pin it, whole and once, whoever else does at the same time. Raises as :meth:`check` does."""
        try:
            files.write_once(self._pins, msgspec.json.format(msgspec.json.encode(pins), indent=2) + b"\n")
        except OSError as error:
            raise self._unusable(error) from error
        self.check(pins)

    # What asks all workers to stop

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked all workers to stop, and did not take that back.

        Raises:
            JournalUnwritable: this machine is cut off from the volume; who waits for a shard sees it by this alone.
        """
        try:
            return self._stop.exists()
        except OSError as error:
            raise self._unusable(error) from error

    def stop(self, wanted: bool) -> bool:
        """Ask all workers to stop, resumably, and those that begin to wait; or take that back.

        Returns:
            False if somebody else had asked that before.
        """
        try:
            self._stop.touch(mode=0o600, exist_ok=False) if wanted else self._stop.unlink(missing_ok=True)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._unusable(error) from error
        return True

    def _unusable(self, error: OSError) -> BatchpolError:
        text = f"the run folder {self.path} cannot be used: {error.strerror}"
        if error.errno in VOLUME_FAILED:
            return JournalUnwritable(text, hint="mend that, and run the same command again to go on")
        return JournalError(text, hint="name another folder with `journal`")


class Shards:
    """What the workers of a batch wrote down, read as one run; a shard that has not begun to send has no section.

    A journal that is in no run folder is the only shard of its batch.

    Raises:
        JournalMismatch: the path is a folder, and none of ours.

    Attributes:
        pins: which batch it is; None of a journal in no folder.
        all: every shard, begun or not.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.folder = Path(path), Folder.at(path)
        self.pins = self.folder.pins() if self.folder is not None else None
        count = self.pins.shards if self.pins is not None else 1
        self._rest: tuple[Journal, Section | None] | None = None
        self.all = [Shard(number, count) for number in range(1, count + 1)]

    def journal(self, shard: Shard) -> Path:
        """The journal of a shard, which may not be there yet."""
        return self.folder.journal(shard) if self.folder is not None else self.path

    @property
    def journals(self) -> list[Path]:
        """The journals there are, in the order of the shards; what is no folder is one, there or not."""
        found = [self.journal(shard) for shard in self.all]
        return [it for it in found if it.exists()] if self.folder is not None else found

    def written_by(self, run: str) -> list[Path]:
        """Of a folder's journals those of a run whose id begins so; of no run in particular, all there are.

        Raises:
            UsageError: the folder has no such run.
        """
        found = self.journals
        if not run or self.folder is None:
            return found
        if not (found := [it for it in found if any(its.run.run_id.startswith(run) for its in runs(it))]):
            raise UsageError(f"the run folder {self.path} has no run {run}", hint="batchpol status lists them")
        return found

    @cached_property
    def sections(self) -> dict[Shard, Section | None]:
        """All there is by now.

        Raises:
            UsageError: no run has written into the journal yet.
            JournalError: a journal cannot be read.
        """
        if self.folder is None:
            return {it: section_of(self.path) for it in self.all}
        return {it: scan(path) if (path := self.journal(it)).exists() else None for it in self.all}

    def __len__(self) -> int:
        return sum(map(len, self._read))

    def __iter__(self) -> Iterator[Outcome]:
        return self.outcomes()

    def __contains__(self, outcome: object) -> bool:
        return any(outcome == it for it in self)

    def complete(self, rest: Journal) -> None:
        """Take the rows of the shards that are missing from a journal of the records that the input has of them."""
        for shard in self.missing:
            self.sections[shard] = None  # it had begun to read, perhaps
        self._rest = rest, rest.section()

    @property
    def _begun(self) -> dict[Shard, Section]:
        return {shard: section for shard, section in self.sections.items() if section is not None}

    @property
    def _read(self) -> list[Section]:
        rest = [self._rest[1]] if self._rest is not None and self._rest[1] is not None else []
        return [*self._begun.values(), *rest]

    @contextmanager
    def _opened(self) -> Iterator[list[tuple[Section, int]]]:
        """Each section, and the descriptor of its journal."""
        with ExitStack() as stack:
            fds = [stack.enter_context(opened(self.journal(shard))) for shard in self._begun]
            rest = [self._rest[0].tail.fd] if self._rest is not None else []
            yield list(zip(self._read, [*fds, *rest], strict=False))

    @property
    def missing(self) -> list[Shard]:
        """The shards that have not begun to send."""
        return [shard for shard, section in self.sections.items() if section is None or section.planned is None]

    @property
    def columns(self) -> tuple[str, ...]:
        """The extra columns, in the order in which the input brings them."""
        with self._opened() as sections:
            found = [it for section, fd in sections for it in section.brought_by(fd)]
        return tuple(dict.fromkeys(name for _, name in sorted(found, key=itemgetter(0))))

    @property
    def sheet(self) -> str:
        """How a table of the run is to be written: as any of its shards says, since all have one input."""
        return next((section.sheet for section in self._begun.values()), "")

    @property
    def notes(self) -> list[str]:
        """Sentences for people: what is missing, and what does not fit together."""
        if self.folder is None:
            return [note for section in self._begun.values() for note in section.notes]
        notes = [f"shard {shard}: {note}" for shard, section in self._begun.items() for note in section.notes]
        if self.missing:
            named = ", ".join(map(str, self.missing[:10])) + (", …" if len(self.missing) > 10 else "")
            notes.append(f"of {len(self.missing)} of {len(self.sections)} shards nothing was sent yet: {named}")
        plans = [section.planned for section in self._begun.values() if section.planned is not None]
        digests = {plan.input_sha256 for plan in plans} - {""}
        if len(digests) > 1:
            named = " and ".join(f"{digest[:12]}…" for digest in sorted(digests))
            notes.append(f"the input changed between the shards: they read files with SHA-256 {named}")
        return notes

    def counts(self) -> dict[Status, int]:
        """How many records are in each status; a status of which there is none is left out."""
        total = Counter[Status]()
        for section in self._read:
            total.update(section.counts())
        return {status: total[status] for status in Status if total[status]}

    def about(self) -> dict[str, str]:
        """Facts about the run as text, for the top of a report."""
        facts = [section.about() for section in self._begun.values()]
        if self.folder is None or not facts:
            return facts[0] if facts else {}
        found = {name: text for name, text in facts[0].items() if name not in ("run_id", "ended_at", "reason")}
        found["started_at"] = min(it["started_at"] for it in facts)
        if not self.missing and all("ended_at" in it for it in facts):
            found["ended_at"] = max(it["ended_at"] for it in facts)
            found["reason"] = "; ".join(dict.fromkeys(it["reason"] for it in facts))
        return found

    def outcomes(self) -> Iterator[Outcome]:
        """The rows of all shards that are read, in the order of the input; what was pruned stands behind."""
        with self._opened() as sections:
            yield from heapq.merge(*(section.outcomes(fd) for section, fd in sections), key=_place)

    def sends(self) -> Iterator[Sent]:
        """Every request of all shards, one shard after the other."""
        for journal in self.journals:
            yield from sends(journal)


def _place(row: Outcome) -> tuple[bool, int]:
    """Where a row stands. What a target had pruned has the number of the target's first record, in one journal."""
    return row.line == 0, row.number
