"""Files of ours, readable by their owner alone and never opened through a link: whole, held and durable ones.

A whole file (:class:`Replacement`) is written beside its place and renamed over it. One that is appended to is opened
by :func:`create` or :func:`open_plain`, held by one process at a time (:func:`hold`), and durable when its bytes
(:func:`make_durable`) and its name (:func:`sync_folder`) are. A few bytes that processes share are exchanged
(:func:`exchange`) in a folder that is its owner's alone. Those functions raise OSError; callers have the words.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from batchpol.model.errors import BatchpolError, UsageError

STANDARD_OUTPUT = Path("-")
"""The place of a file that is written to standard output once it is complete."""

PART = ".part"
"""How the name ends of a file that is not complete yet."""


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
        self._part: Path | None = None
        if path == STANDARD_OUTPUT:
            self.file = temporary()
            return
        _check_kind(path, "reports")
        try:
            _remove_left_parts(path)
            fd, self._part = _new_part(path)
        except OSError as error:
            raise unwritable(path, error) from error
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
            sync_folder(self.path)
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


def temporary() -> BinaryIO:
    """A file without a name, gone when it is closed.

    Raises:
        BatchpolError: there is no folder for it.
    """
    try:
        return cast(BinaryIO, tempfile.TemporaryFile(prefix="batchpol-"))
    except OSError as error:
        raise BatchpolError(
            f"no temporary file can be made: {error.strerror or error}",
            hint="name a folder with room in TMPDIR, which this user may write to",
        ) from error


IN_MEMORY = 1 << 20
"""Bytes that a small file without a name may have before it goes to a disk."""


def small() -> int:
    """Open a file without a name, gone when it is closed, that is likely to stay small: in memory where the system has
    such files, since making one on a disk costs more than all that a few lines do; :func:`to_disk` moves it there.

    Raises:
        BatchpolError: there is none, and no folder for it.
    """
    try:
        with os.fdopen(os.memfd_create("batchpol"), "wb", buffering=0) as file:
            file.truncate(IN_MEMORY)  # a limit on files forbids that at once, and not when the first line is written
            file.truncate(0)
            return os.dup(file.fileno())
    except (AttributeError, OSError):  # not on Linux, or not allowed
        with temporary() as file:
            return os.dup(file.fileno())


def to_disk(fd: int) -> None:
    """Go on behind the same descriptor in a temporary file of the same content."""
    with tempfile.TemporaryFile(prefix="batchpol-") as file:
        size = os.fstat(fd).st_size
        while (done := file.tell()) < size:
            file.write(os.pread(fd, size - done, done))
        file.flush()
        os.dup2(file.fileno(), fd, inheritable=False)


def _new_part(path: Path) -> tuple[int, Path]:
    """Open a new file beside a place, held, so that nobody takes it for one that was left."""
    while True:
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
        try:
            hold(fd, Path(name))
        except (BlockingIOError, FileNotFoundError):  # somebody took it for one, in the moment before it was held
            os.close(fd)
            continue
        except OSError:
            pass  # where files cannot be locked, nobody removes any
        return fd, Path(name)


def write_once(path: Path, data: bytes) -> None:
    """Write a whole file, durably, where there is none; the one that is there stays, whoever wrote it meanwhile."""
    fd, part = _new_part(path)
    try:
        write_all(fd, data)
        os.fsync(fd)
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        os.close(fd)
        part.unlink()
    sync_folder(path)


def _remove_left_parts(path: Path) -> None:
    """Remove what those left beside a place who were killed while they wrote there."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*{PART}"):
        with suppress(OSError):  # held, or somebody else's
            fd = open_plain(part, os.O_RDWR | os.O_NOFOLLOW)
            try:
                hold(fd, part)
                part.unlink()
            finally:
                os.close(fd)


def check_place(path: Path, setting: str = "reports") -> None:
    """Refuse a place that a file of ours cannot take: a link, no plain file, in no folder, in one that is read-only.

    Args:
        setting: that names it.

    Raises:
        UsageError: what is there, and what to do.
    """
    if path == STANDARD_OUTPUT:
        return
    _check_kind(path, setting)
    try:
        fd, part = _new_part(path)
        os.close(fd)
        part.unlink()
        os.close(_open_folder(path))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}",
            hint=f"name a file in a folder that this user may write to with `{setting}`",
        ) from error


def check_folder(path: Path, name: str = "") -> None:
    """Refuse a place in no folder; ``name`` is what it is called, if not by its path.

    Raises:
        UsageError: it is not there.
        BatchpolError: it may not be entered.
    """
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            raise NotADirectoryError
    except (FileNotFoundError, NotADirectoryError) as error:
        text = f"{name or path} would be in a folder that is not there"
        raise UsageError(text, hint=f"make {path.parent} first") from error
    except OSError as error:
        raise unwritable(path, error) from error


def _check_kind(path: Path, setting: str) -> None:
    check_folder(path)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error
    if stat.S_ISLNK(mode):
        raise UsageError(f"{path} is a symbolic link, which is refused", hint="name the file itself")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is not a plain file", hint=f"name another file with `{setting}`")


def unwritable(path: Path, error: OSError) -> BatchpolError:
    """The error for a file that the system does not let us write; of a run, the journal still has everything."""
    return BatchpolError(
        f"{'standard output' if path == STANDARD_OUTPUT else path} cannot be written: {error.strerror or error}",
        hint="mend that; batchpol report writes a run's report again from its journal, any other command is run again",
    )


class NotPlain(OSError):
    """What stands there is no plain file; ``strerror`` says what it is."""


def create(path: Path) -> int:
    """Open a new file to read and append.

    Raises:
        FileExistsError: something is there already (a dangling link counts).
    """
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def open_plain(path: str | os.PathLike[str], flags: int = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW) -> int:
    """Open a file, by default to read and append and not through a link; with ``O_CREAT`` it is made if need be.

    Raises:
        NotPlain: it is a link that is not to be followed, a folder, a pipe or a device.
    """
    try:
        fd = os.open(path, flags | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotPlain(errno.ELOOP, "is a symbolic link, which is refused") from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotPlain(errno.EINVAL, "is not a plain file")
    return fd


LOOKS = 0.2
"""Seconds that somebody may take to look whether a file is held (:func:`is_held`) before that counts as holding it."""


def hold(fd: int, path: Path) -> None:
    """Take the lock on an open file that lasts until its descriptor is closed.

    Raises:
        BlockingIOError: another process has it, and not just to look at the file.
        FileNotFoundError: another process had it until just now, and the file is no longer at ``path``.
    """
    until = time.monotonic() + LOOKS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if is_held(fd) or time.monotonic() > until:  # a lock that can be shared is that of somebody who looks
                raise
            fcntl.flock(fd, fcntl.LOCK_UN)  # or two that begin at once would see each other look, and both give up
            time.sleep(0.001)
    if not os.path.samestat(os.fstat(fd), path.lstat()):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def let_go(fd: int) -> None:
    """Give the lock up, also where a copy of the descriptor (a reader's, a forked process's) stays open."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def is_held(fd: int) -> bool:
    """Whether another process has the lock; otherwise this one looks at the file until it closes it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


FEW = 4096
"""Bytes that a file may have whose content processes exchange."""


def exchange(path: Path, change: Callable[[bytes], bytes], *, alone: bool = True) -> bool:
    """Put what ``change`` makes of a small file's bytes in their place; they are none where there was no file.

    It takes some microseconds, in which no other process does the same, and whoever dies meanwhile leaves no lock.
    Without ``alone`` it is done even where another process was stopped in the middle of it. Returns whether none was.

    Raises:
        BlockingIOError: another process is at it.
        FileNotFoundError: there is no such folder.
        NotPlain: it is a link or no file, somebody else's, or others may open it.
    """
    fd = open_plain(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    try:
        _check_private(os.fstat(fd))
        held = True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if alone:
                raise
            held = False
        before = os.pread(fd, FEW, 0)
        after = change(before)
        if after != before:
            os.pwrite(fd, after, 0)
        if len(after) < len(before):
            os.ftruncate(fd, len(after))
        return held
    finally:
        os.close(fd)


def private_folder(path: Path) -> None:
    """Make a folder that is this user's alone; the one that is there must be so.

    Raises:
        NotPlain: it is a link or no folder, somebody else's, or others may look into it.
    """
    with suppress(FileExistsError):
        path.mkdir(0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotPlain(errno.ENOTDIR, "is no folder")
    _check_private(status)


def _check_private(status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise NotPlain(errno.EPERM, "belongs to another user")
    if status.st_mode & 0o077:
        raise NotPlain(errno.EPERM, "can be opened by others")


def set_aside(fd: int, path: Path) -> Path:
    """Rename a file that is held, never over another one: its name gains the time of its last write. Gives its path."""
    new, aside = _create_stamped(path, os.fstat(fd).st_mtime)
    os.close(new)
    path.replace(aside)  # the name is an empty file of ours, so nothing is lost
    sync_folder(path)
    return aside


def keep_copy(data: bytes, path: Path) -> Path:
    """Write bytes durably into a new file, whose name is this one and the time. Gives its path."""
    fd, copy = _create_stamped(path, time.time())
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(copy)
    return copy


def _create_stamped(path: Path, at: float) -> tuple[int, Path]:
    """Open a new file whose name is this one and the time, and a number where there is one already."""
    stamp, count = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at)), 1
    while True:
        stamped = path.with_name(f"{path.name}.{stamp}" + (f"-{count}" if count > 1 else ""))
        try:
            return create(stamped), stamped
        except FileExistsError:
            count += 1


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Append every byte, however many the system takes at once."""
    with memoryview(data) as pending:
        done = 0
        while done < len(pending):
            done += os.write(fd, pending[done:])


def make_durable(fd: int) -> None:
    """What was written survives a power cut from here on, the size included; the time of the last write may not."""
    os.fdatasync(fd) if hasattr(os, "fdatasync") else os.fsync(fd)  # macOS has only fsync


def sync_folder(path: Path) -> None:
    """That a file has this name survives a power cut from here on."""
    fd = _open_folder(path)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open_folder(path: Path) -> int:
    return os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
