"""The command in a process that is forked off one where all of it is imported, instead of one that imports it anew.

Importing is two thirds of the processor time of a short command, and the tests start hundreds. What they see is the
same: a process of its own with its arguments, folder, variables, streams and signals, that ends as the command does.
Whatever would show in how Python itself starts is for :class:`subprocess.Popen`, and so are the commands of the
manual, which a shell starts.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import json
import os
import pkgutil
import selectors
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NoReturn

OF_PYTHON = ("PYTHON", "LC_", "LANG", "LD_", "TZ")
"""How variables begin that Python heeds as it starts."""

LONGEST = 1 << 17
"""Bytes of what is asked for."""


def can_fork(variables: Mapping[str, str]) -> bool:
    """Whether a process forked off this one's like is as good as a new one with these variables."""
    if not hasattr(os, "pidfd_open"):
        return False
    here, there = (
        {name: it for name, it in of.items() if name.startswith(OF_PYTHON)} for of in (os.environ, variables)
    )
    return {**here, "PYTHONDONTWRITEBYTECODE": ""} == {**there, "PYTHONDONTWRITEBYTECODE": ""}


_PLACES: list[str] = []
_STARTING = Lock()


def _server() -> str:
    """Where this process's server listens; it ends with it."""
    with _STARTING:
        if not _PLACES:
            folder = TemporaryDirectory(prefix="batchpol-forked-")
            place = f"{folder.name}/socket"
            command = [sys.executable, "-m", "tests.forked", place]
            root = Path(__file__).parents[1]
            server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root)
            assert server.stdout is not None and server.stdout.readline() == b"listening\n"
            atexit.register(folder.cleanup)
            atexit.register(server.communicate)
            _PLACES.append(place)
    return _PLACES[0]


class Forked(subprocess.Popen[bytes]):
    """The command, as :class:`subprocess.Popen` would start it, but forked off the server; always a session's first."""

    def _execute_child(self, *given: Any) -> None:
        known = inspect.signature(super()._execute_child).bind(*given).arguments  # type: ignore[misc]
        streams = [known[name] if known[name] != -1 else fd for name, fd in
                   (("p2cread", 0), ("c2pwrite", 1), ("errwrite", 2))]  # fmt: skip
        request = json.dumps([[os.fspath(it) for it in known["args"]], os.fspath(known["cwd"]), dict(known["env"])])
        self._wire = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._wire.connect(_server())
        socket.send_fds(self._wire, [request.encode()], streams)
        self.pid = int(self._wire.recv(100))
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(known[name] for name in pipes))

    def _internal_poll(self, **_: Any) -> int | None:
        return self.returncode if hasattr(self, "returncode") else None

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._wire, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._wire.recv(100))
            self._wire.close()
        return self.returncode


def _become(request: bytes, streams: list[int]) -> None:
    """In the new process: be the command."""
    arguments, folder, variables = json.loads(request)
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        os.close(stream)
    sys.argv[:] = arguments
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        setattr(sys, name, _like(getattr(sys, name), number))


def _like(stream: TextIOWrapper, number: int) -> TextIOWrapper:
    """What Python opens as it starts."""
    mode, buffering = "r" if number == 0 else "w", 1 if os.isatty(number) else -1
    made = open(number, mode, buffering, encoding=stream.encoding, errors=stream.errors, closefd=False)  # noqa: SIM115
    made.reconfigure(write_through=stream.write_through)
    return made


def _end(main: Callable[[], None]) -> NoReturn:
    """Do as the script of the command and the interpreter behind it, but for taking down what was imported."""
    try:
        main()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    gc.collect()  # of what came since, so that Python complains of what was not awaited or closed
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _serve(place: str) -> tuple[bytes, list[int]] | None:
    """Fork one for each who connects, and say how it ended; what is asked of it in each, None when nobody is there."""
    clients = dict[int, tuple[int, socket.socket]]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door, selectors.DefaultSelector() as selector:
        door.bind(place)
        door.listen(64)
        selector.register(door, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        os.write(1, b"listening\n")
        while True:
            for key, _ in selector.select():
                if key.fileobj == 0:
                    return None
                if key.fileobj is not door:
                    selector.unregister(key.fd)
                    _tell(*clients.pop(key.fd))
                    os.close(key.fd)
                    continue
                client, _ = door.accept()
                request, streams, _, _ = socket.recv_fds(client, LONGEST, 3)
                if (pid := os.fork()) == 0:
                    for over, (_, other) in clients.items():
                        os.close(over)
                        other.close()
                    client.close()
                    return request, streams
                for stream in streams:
                    os.close(stream)
                client.send(b"%d" % pid)
                over = os.pidfd_open(pid)
                clients[over] = pid, client
                selector.register(over, selectors.EVENT_READ)


def _tell(pid: int, client: socket.socket) -> None:
    """How a process ended; whoever started it may be gone."""
    _, status = os.waitpid(pid, 0)
    with client, suppress(OSError):
        client.send(b"%d" % os.waitstatus_to_exitcode(status))


def _import_all() -> None:
    """What commands import when they run, of ours and of others'."""
    import batchpol

    for it in pkgutil.walk_packages(batchpol.__path__, "batchpol."):
        if it.name not in ("batchpol.__main__", "batchpol.testing"):
            import_module(it.name)


if __name__ == "__main__":
    import batchpol.cli

    _import_all()
    gc.freeze()  # who looks through garbage, or ends in good order, writes to every page that was imported
    asked = _serve(sys.argv[1])
    if asked is not None:
        _become(*asked)
        _end(batchpol.cli.main)
