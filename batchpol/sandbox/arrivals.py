"""The log of arrivals: what reached the server's door, when, and what came of it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Arrival(msgspec.Struct, frozen=True):
    """One request, as the server saw it; a line of the log.

    ``at`` is the monotonic clock in seconds (one for all processes of a machine) and ``wall`` the seconds since
    1970, both taken at the limit, which is where SES counts. ``accepted`` says that the limit let it in;
    ``applied`` that it was a write and took effect, whatever the client was then told. ``sha256`` is of the
    policy's UTF-8 bytes as received, empty where there was none. ``place`` counts the arrivals of an operation.
    """

    at: float
    wall: float
    account: str
    region: str
    access_key: str
    operation: str
    place: int
    identity: str
    policy_name: str
    sha256: str
    accepted: bool
    applied: bool
    fault: str
    status: int
    error_code: str
    request_id: str


class ArrivalLog:
    """Appends arrivals to a JSON Lines file, one ``write`` a line, so that a killed server leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, arrival: Arrival) -> None:
        os.write(self._file, msgspec.json.encode(arrival) + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read_arrivals(path: Path) -> list[Arrival]:
    """The arrivals of a log, in order."""
    decoder = msgspec.json.Decoder(Arrival)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]
