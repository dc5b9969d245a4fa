"""Facts about SES that are published nowhere, as ``batchpol probe`` found them out: the file of them, and its reading.

One file is of one Region, and believed for that Region. The files that came in from users lie in this folder; there
are none yet (see its README).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from batchpol.model.errors import UsageError

FORMAT: Final = 1
"""Of the file. A newer one is refused; what an older reader does not know of this one is passed over."""

NOT_BY_ONE: Final = ("identity-arn", "action-unlisted", "condition-key-unlisted")
"""Doubts whose one example says nothing of all that has the finding of that code: of what our lists do not know SES may
take one and refuse another, and the finding about ARNs means faulty ones."""


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one SES, by the names of the sandbox's facts; what is None, or not named, is not known.

    ``burst`` requests may come at once after a pause, each ``tolerance_ms`` milliseconds too early, but not
    ``tolerance_below_ms``. ``refused`` and ``accepted`` are doubtful things, by the codes of findings where there is
    one. ``stale_by`` are seconds by which reads lagged behind writes (``get-after-put`` …) at most.
    """

    burst: int | None = None
    tolerance_ms: float | None = None
    tolerance_below_ms: float | None = None
    shared_quota: bool | None = None
    v2_shares_quota: bool | None = None
    throttled_count: bool | None = None
    refused_count: bool | None = None
    max_length: int | None = None
    length_unit: str | None = None
    length_with_blanks: bool | None = None
    keeps_blanks: bool | None = None
    sorts_keys: bool | None = None
    accounts_as_roots: bool | None = None
    principals_as_ids: bool | None = None
    strict_principals: bool | None = None
    deleted_as_ids: bool | None = None
    stale_by: dict[str, float] | None = None
    max_policies: int | None = None
    require_verified: bool | None = None
    strict_identities: bool | None = None
    refused: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one question: what is ``known``, what is ``open`` (cannot be told), and in words.

    ``confidence`` is that of the least sure of the known ones, None where nothing hung on chance. ``seconds`` is the
    time that it took.
    """

    known: dict[str, Any] = {}
    open: tuple[str, ...] = ()
    confidence: float | None = None
    says: tuple[str, ...] = ()
    requests: int = 0
    seconds: float = 0.0


class FactsFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of facts. ``measured`` is the day in ISO 8601; ``account`` and ``identity`` are there only where asked."""

    format: int = 0
    region: str
    measured: str
    batchpol: str
    known: Known
    questions: dict[str, Told] = {}
    account: str = ""
    identity: str = ""

    def at(self, region: str) -> Known:
        """What is known of SES in a Region; nothing of any other than the one it was measured in."""
        return self.known if region == self.region else Known()

    @property
    def doubts(self) -> Mapping[str, Mapping[str, bool]]:
        """By Region and code of a finding, whether SES refuses what has it; only where one example speaks for all."""
        found = dict.fromkeys(self.known.refused, True) | dict.fromkeys(self.known.accepted, False)
        return {self.region: {code: refused for code, refused in found.items() if code not in NOT_BY_ONE}}

    def of_sandbox(self) -> dict[str, Any]:
        """What an embedded SES is to be set to, so that it is like this one; doubts apart."""
        found = msgspec.structs.asdict(self.known)
        for name in ("tolerance_below_ms", "refused", "accepted"):
            del found[name]
        return {name: value for name, value in found.items() if value is not None}


def read_facts(path: Path | None) -> FactsFile:
    """The facts in a file, none of no Region where there is no file.

    Raises:
        UsageError: it cannot be read, or is no such file.
    """
    if path is None:
        return FactsFile(format=FORMAT, region="", measured="", batchpol="", known=Known())
    try:
        found = msgspec.json.decode(path.read_bytes(), type=FactsFile)
    except OSError as error:
        raise UsageError(f"the facts {path} cannot be read: {error.strerror}", hint="check `facts`") from error
    except msgspec.MsgspecError as error:
        hint = "name a file that `batchpol probe` wrote"
        raise UsageError(f"{path} is no file of facts: {error}", hint=hint) from error
    if found.format != FORMAT:
        raise UsageError(
            f"the facts {path} have format {found.format}, and this batchpol reads {FORMAT}",
            hint="install the batchpol that wrote them, or probe again",
        )
    return found
