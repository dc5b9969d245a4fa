"""Policies in files of their own: ``file://relative.json`` beside the input, and nowhere else."""

from __future__ import annotations

import os
import re
import stat
from collections import OrderedDict
from pathlib import Path
from typing import Final

from batchpol.model import Finding, shown
from batchpol.source.rules import MAX_LINE, POLICY_FILE, POLICY_FILE_OUTSIDE

PREFIX: Final = "file://"
_KEPT: Final = 64
"""Files kept at a time, so that 10,000 rows that name one file read it once."""
_KEPT_SIZE: Final = 1 << 16
"""Larger files are read anew each time: a policy has 4 KB, and what is kept must stay small."""


_SCHEME: Final = re.compile(r"(?:fileb?:(?://)?|[@<]\s*)(.*)", re.IGNORECASE | re.DOTALL)
_NAME: Final = re.compile(r"(?:\.{1,2}|~|[A-Za-z]:)?[/\\]?[\w .@%+-]+(?:[/\\][\w .@%+-]+)*", re.ASCII)


def named_file(cell: str) -> str | None:
    """The name of a file, as other programs take it (``fileb://``, ``@name``, a bare path); None of anything else."""
    text = cell.strip()
    if not text or text[0] in "{[\"'" or len(text) > 1024 or "\n" in text:
        return None
    scheme = _SCHEME.fullmatch(text)
    path = scheme[1].strip() if scheme else text
    if not _NAME.fullmatch(path):
        return None
    if not scheme and not path.casefold().endswith(".json") and not re.match(r"\.{1,2}[/\\]|~?/|[A-Za-z]:\\", path):
        return None
    # Other folders than the input's are not looked into, so the mend is for a name beside it.
    return path.replace("\\", "/").removeprefix("./") if not re.match(r"\.\.|~|[/\\]|[A-Za-z]:", path) else ""


class PolicyFiles:
    """Reads policy files below one folder.

    Args:
        folder: the input's folder; names are resolved in it and may not leave it, by ``..`` or by link.
        bare: whether a file may be named without ``file://``.
    """

    def __init__(self, folder: str, *, bare: bool = False) -> None:
        self._folder, self._bare = os.path.realpath(folder), bare
        self._kept: OrderedDict[str, tuple[str, tuple[Finding, ...]]] = OrderedDict()

    def document(self, cell: str) -> tuple[str, tuple[Finding, ...]]:
        """The document that a cell is or names; what names a file in another way is a problem with its mend."""
        if cell.startswith(PREFIX):
            return self.read(cell)
        name = named_file(cell)
        if self._bare and cell.strip() and cell.lstrip()[0] not in "{[":
            return self.read(PREFIX + (name or cell.strip()))
        if name is None:
            return cell, ()
        hint = f"did you mean {PREFIX}{name}?" if name else f"write {PREFIX} and a path beside the input"
        return cell, (POLICY_FILE.at("policy", f"{shown(cell)} is no document, but a file's name", hint),)

    def read(self, cell: str) -> tuple[str, tuple[Finding, ...]]:
        """The text of the file that ``cell`` (``file://…``) names; with a problem, the cell itself and why."""
        if (kept := self._kept.get(cell)) is not None:
            self._kept.move_to_end(cell)
            return kept
        found = self._look(cell)
        if len(found[0]) <= _KEPT_SIZE:
            self._kept[cell] = found
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found

    def _look(self, cell: str) -> tuple[str, tuple[Finding, ...]]:
        name = cell[len(PREFIX) :]
        if "\0" in name or not name.strip():
            return cell, (POLICY_FILE.at("policy", f"{shown(cell)} names no file"),)
        try:
            text = self._inside(name)
        except OSError as error:
            return cell, (POLICY_FILE.at("policy", f"{shown(cell)}: {error.strerror or error}"),)
        except UnicodeError:
            return cell, (POLICY_FILE.at("policy", f"{shown(cell)} is not UTF-8 text", "save it as UTF-8"),)
        if text is None:
            hint = "copy it below the input's folder and name it by its path from there"
            return cell, (POLICY_FILE_OUTSIDE.at("policy", f"{shown(cell)} is outside the input's folder", hint),)
        return text, ()

    def _inside(self, name: str) -> str | None:
        """The file's text, or None if ``name`` leads out of the folder."""
        if Path(name).is_absolute() or ".." in Path(name).parts:
            return None
        target = os.path.realpath(Path(self._folder, name))
        if os.path.commonpath((self._folder, target)) != self._folder or target == self._folder:
            return None
        content = _read_bounded(self._open(os.path.relpath(target, self._folder)))
        # A byte order mark is the file's encoding, not part of the document.
        return content.decode("utf-8-sig")

    def _open(self, relative: str) -> int:
        """Open step by step without following links: the path has none left, unless somebody just put one there."""
        *folders, last = Path(relative).parts
        at = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                inner = os.open(folder, flags, dir_fd=at)
                os.close(at)
                at = inner
            # Non-blocking: opening a named pipe must not wait for somebody to write into it.
            return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        finally:
            os.close(at)


def _read_bounded(descriptor: int) -> bytes:
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_LINE + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_LINE:
        raise OSError(0, f"over {MAX_LINE:,} bytes long")
    return content
