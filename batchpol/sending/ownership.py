"""What is known of the identities of one target: which are verified, as far as they were looked up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from batchpol.sending.reads import Reads
from batchpol.ses import IDENTITIES_AT_ONCE

VERIFIED = "Success"
"""The verification status of an identity that is verified; all others are on the way there, or not at all."""


@dataclass(slots=True)
class Ownership:
    """Which identities of one target are verified, as far as they were looked up."""

    _known: dict[str, bool] = field(default_factory=dict)

    async def look_up(self, reads: Reads, names: Iterable[str]) -> None:
        """Look up those of the names that are not known yet, 100 a call. Raises SesError."""
        unknown = sorted(set(names) - self._known.keys())
        for start in range(0, len(unknown), IDENTITIES_AT_ONCE):
            portion = unknown[start : start + IDENTITIES_AT_ONCE]
            found = (await reads.verified(portion)).items()
            verified = {name if "@" in name else name.lower() for name, status in found if status == VERIFIED}
            self._known |= {name: name in verified for name in portion}

    def verified(self, key_identity: str) -> bool:
        """Whether an identity that was looked up counts as verified."""
        return any(self._known.get(name) for name in owners(key_identity))

    def forget(self, names: Iterable[str]) -> None:
        """Let go of what is not needed any more: an input may have any number of identities."""
        for name in names:
            self._known.pop(name, None)


def owners(key_identity: str) -> set[str]:
    """The identities any of which must be verified: an address's domain counts for it (SES Developer Guide)."""
    return {key_identity, key_identity.rpartition("@")[2].lower()}
