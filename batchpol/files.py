"""A file of ours: written beside its place and renamed over it, readable by its owner alone, never through a link."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from batchpol.errors import BatchpolError, UsageError

STANDARD_OUTPUT = Path("-")
"""The place of a file that is written to standard output once it is complete."""


class Replacement:
    """A file that takes its place when it is complete; until then, and after any error, the old one stays.

    At :data:`STANDARD_OUTPUT` nothing is replaced: the file is copied there. A context manager; write to
    :attr:`file` inside.

    Raises:
        UsageError: its place is a symbolic link or something else that is no plain file.
        BatchpolError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        check_place(path)
        self._part: Path | None = None
        if path == STANDARD_OUTPUT:
            self.file = cast(BinaryIO, tempfile.TemporaryFile("w+b"))  # noqa: SIM115 - closed when it is complete
            return
        try:
            fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        except OSError as error:
            raise unwritable(path, error) from error
        self._part = Path(name)
        self.file = os.fdopen(fd, "w+b", buffering=1 << 17)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
            if isinstance(error, OSError):
                raise unwritable(self.path, error) from error
            return
        self.commit()

    def commit(self) -> None:
        """Put the complete file in its place, durably."""
        if self._part is None:
            self._print()
            return
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            self._part.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            self.discard()
            raise unwritable(self.path, error) from error

    def _print(self) -> None:
        """Copy the file to standard output; a reader that went away has what it wanted."""
        with self.file as file:
            file.seek(0)
            try:
                sys.stdout.flush()
                shutil.copyfileobj(file, sys.stdout.buffer)
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                # What the buffer still holds would fail once more at the end of the process.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            except OSError as error:
                raise unwritable(self.path, error) from error

    def discard(self) -> None:
        """Leave what was in its place."""
        try:
            self.file.close()
        except OSError:
            pass  # What could not be written is thrown away all the same.
        finally:
            if self._part is not None:
                self._part.unlink(missing_ok=True)


def check_place(path: Path, option: str = "--report") -> None:
    """Refuse a place that a file of ours cannot take: a link, no plain file, in no folder.

    Args:
        option: that names it.

    Raises:
        UsageError: what is there, and what to do.
    """
    if path == STANDARD_OUTPUT:
        return
    if not path.parent.is_dir():
        raise UsageError(f"{path} would be in a folder that is not there", hint=f"make {path.parent} first")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error
    if stat.S_ISLNK(mode):
        raise UsageError(f"{path} is a symbolic link, which is refused", hint="name the file itself")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is not a plain file", hint=f"name another file with {option}")


def unwritable(path: Path, error: OSError) -> BatchpolError:
    """The error for a file that the system does not let us write; of a run, the journal still has everything."""
    return BatchpolError(
        f"{'standard output' if path == STANDARD_OUTPUT else path} cannot be written: {error.strerror or error}",
        hint="mend that; batchpol report writes a run's report again from its journal, any other command is run again",
    )
