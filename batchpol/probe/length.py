"""How long may a policy be: in bytes or characters, and are blanks counted that SES does not keep?

Policies of certain lengths are put, 4,096 and 4,097 bytes first; what lies between the longest that is taken and the
shortest that is refused is halved. One of fewer characters but more bytes tells the unit, one that is longer only with
its blanks whether they count. Refused is what is refused three times.

Batchpol counts UTF-8 bytes without blanks, rejects what is longer than 4,096, and sends what is longer only with its
blanks without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchpol.facts import Told
from batchpol.probe.asking import Asker
from batchpol.probe.place import PREFIX
from batchpol.probe.question import Question, cannot_tell, told_of

LONGEST = 1 << 16
NAMES = ("max_length", "length_unit", "length_with_blanks")


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    shortest = len(asker.place.document(Sid=""))

    async def takes(length: int, letter: str = "x", blanks: int = 0) -> bool | None:
        document = asker.place.document(Sid="#" * (length - shortest)).replace("#", letter)
        return (await asker.told(asker.place.put(PREFIX + "01", "{" + " " * blanks + document[1:]))).taken

    least, above, first = shortest, LONGEST, [4097, 4096]
    while above - least > 1:
        length = first.pop() if first else (least + above) // 2
        if least < length < above:
            taken = await takes(length)
            if taken is None:
                return cannot_tell(*NAMES, why=f"SES says nothing clear of {length} bytes")
            least, above = (length, above) if taken else (least, length)
    if above == LONGEST:
        return cannot_tell(*NAMES, why=f"{least} bytes are taken")
    wide = await takes(least - 50, "é")
    blank = await takes(least - 50, blanks=100)
    unit = None if wide is None else "characters" if wide else "bytes"
    counted = None if blank is None else not blank
    says = f"a policy has {least} {unit or 'bytes or characters'} at most"
    if counted is not None:
        says += f", {'with' if counted else 'without'} its blanks"
    return told_of(says, max_length=least, length_unit=unit, length_with_blanks=counted)


QUESTION = Question(
    "length", "how long a policy may be, counted how", "which policies are rejected as too long", 14, 16, ask
)
