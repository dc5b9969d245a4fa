"""JSON Lines: one object a line; what a policy or an extra value says stays as its bytes stand in the line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Annotated, Any, Final

import msgspec
from msgspec import Raw

from batchpol.model import Finding, Record, is_account_id, shown
from batchpol.model.errors import InputError
from batchpol.model.mends import account_mend, is_blank, mend_of_word
from batchpol.source.fields import EXPORT, OURS, SPELLINGS, Names, check_first, is_answer, missing_fields
from batchpol.source.policyfile import PolicyFiles
from batchpol.source.rules import ENCODING, FIELD, JSON, REPEATED
from batchpol.source.stream import BrokenLine

_object: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_string: Final = msgspec.json.Decoder(str).decode
_MAX_SHAPES: Final = 64
_MAX_SHAPE_SIZE: Final = 4096
"""Bounds on what is remembered of keys, in shapes and in characters each: hostile lines have new keys each."""
_FIELDS: Final = tuple(dict.fromkeys(SPELLINGS.values()))
_PAIRS: Final[dict[str, Any]] = {"object_pairs_hook": list, "parse_int": str, "parse_float": str}
_TRACES: Final = tuple(
    re.compile(rb'"(?:%s)"\s*:\s*"([^"\\\x00-\x1f]{1,320})"' % names, re.IGNORECASE)
    for names in (b"identity", b"policy_?name|name")
)
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_KINDS: Final = {b'"': "text", b"{": "an object", b"[": "a list", b"t": "true", b"f": "false", b"n": "null"}


class Shape:
    """What lines with the same keys in the same order have in common, worked out once for all of them."""

    __slots__ = (
        "_other", "_parts", "account", "action", "extra", "identity", "is_traced", "name", "policy", "region",
    )  # fmt: skip

    def __init__(self, keys: Sequence[str], names: Names) -> None:
        at = {known: key for key in keys if (known := names.field_of(key)) is not None}
        self.identity, self.name, self.policy, self.region, self.account, self.action = map(at.get, _FIELDS)
        self.extra = tuple(key for key in keys if names.field_of(key) is None)
        self.is_traced = ORIGIN in self.extra
        quoted = [msgspec.json.encode(key) for key in keys]
        self._parts = _frame(quoted, b",", b":")
        self._other = _frame(quoted, b", ", b": ")

    def covers(self, fields: Mapping[str, Raw], text: bytes) -> bool:
        """True if ``text`` consists of these fields and nothing else.

        Put together again from its values, written compactly or as ``json.dumps`` does, the line must come out
        whole: then no key was hidden behind another one of the same name (decoders keep the last, silently).
        """
        for _ in range(2):
            parts = self._parts.copy()
            parts[1::2] = fields.values()
            if b"".join(parts) == text:
                return True
            self._parts, self._other = self._other, self._parts
        return False


def _frame(keys: Sequence[bytes], comma: bytes, colon: bytes) -> list[Any]:
    """What stands around the values of an object with these keys, with a gap for each value."""
    frame: list[Any] = [b"{"]
    for key in keys:
        frame[-1] += key + colon
        frame += [b"", comma]
    frame[-1] = b"}" if keys else b"{}"
    return frame


class JsonLines:
    """The lines of a JSON Lines file as records.

    The first lines are looked at once, to tell a file of another kind from a bad line.

    Args:
        lines: physical lines.
        file: the name of the input for messages and records.
        policies: where ``file://`` values are read.
        names: which keys stand for which fields.

    Raises:
        InputError: empty, one array, one object over several lines, or CSV; its first object lacks a key of ``names``.
    """

    def __init__(
        self,
        lines: Iterator[bytes],
        *,
        file: str,
        policies: PolicyFiles,
        names: Names = OURS,
        name_required: bool = True,
    ) -> None:
        self._file, self._policies, self._names, self._name_required = file, policies, names, name_required
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self.columns: tuple[str, ...] = ()
        self.notes: list[str] = []
        self._lines = chain(self._first_lines(lines), lines)

    def _first_lines(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """The lines up to the one after the first that is not blank, looked at, to be read again."""
        blank = 0
        first = next(lines, b"")
        while first.isspace():
            blank += 1
            first = next(lines, b"")
        if not first and not isinstance(first, BrokenLine):
            raise InputError(f"{self._file} is empty", hint="it needs one JSON object a line")
        second = next(lines, b"")
        _check_kind(self._file, first.strip(), second.strip())
        if self._names.given:
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                check_first(f"{self._file}, line {blank + 1}", list(_object(first)), self._names)
        return chain(repeat(b"\n", blank), (first, second))

    def __iter__(self) -> Iterator[Record]:
        for number, line in enumerate(self._lines, 1):
            try:
                record = self._plain(line, number)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                record = None
            if record is None and (isinstance(line, BrokenLine) or not is_blank(line.decode(errors="replace"))):
                record = self._exact(line, number)
            if record is not None:
                yield record

    def _plain(self, line: bytes, number: int) -> Record | None:
        """The record of a line in which nothing is odd (the hot path); None where a closer look is needed."""
        fields = _object(line)
        keys = tuple(fields)
        shape = self._shapes.get(keys) or self._learn(keys)
        if not shape.covers(fields, line.rstrip(b"\r\n")):
            return None
        if shape.identity is None or shape.name is None or shape.policy is None:
            return None
        problems: tuple[Finding, ...] = ()
        identity = _string(fields[shape.identity])
        # One that begins visibly is not blank; to call for that would cost each line.
        if not "!" <= identity < "\x7f" and not identity.strip():
            return None
        policy = str(fields[shape.policy], "utf-8")
        if policy[0] != "{":
            policy, problems = self._policies.document(_string(fields[shape.policy]))
        record = Record(
            identity,
            _string(fields[shape.name]),
            policy,
            "put" if shape.action is None else _string(fields[shape.action]) or "put",
            None if shape.region is None else _string(fields[shape.region]) or None,
            None if shape.account is None else _string(fields[shape.account]) or None,
            number,
            self._file,
            {key: _as_text(fields[key]) for key in shape.extra} if shape.extra else {},
            problems,
        )
        return _traced(record) if shape.is_traced else record

    def _learn(self, keys: tuple[str, ...]) -> Shape:
        shape = Shape(keys, self._names)
        if len(self._shapes) < _MAX_SHAPES and sum(map(len, keys)) < _MAX_SHAPE_SIZE:
            self._shapes[keys] = shape
        return shape

    def _exact(self, line: bytes, number: int) -> Record | None:
        """The record of any line, with everything that is wrong with it; None of an object of nothing but blanks."""
        try:
            text = _decoded(line)
            fields = {key: bytes(value) for key, value in _object(line).items()}
            pair = self._names.repeated(key for key, _ in json.loads(text, **_PAIRS))
        except _Unreadable as why:
            return self._rejected(line, number, why.problem)
        except (ValueError, RecursionError) as error:
            return self._rejected(line, number, _malformed(line, error))
        if pair is not None:
            first, second = map(shown, pair)
            twice = f"{first} is given twice" if first == second else f"{first} and {second} are both given"
            return self._rejected(
                line, number, REPEATED.at(self._names.field_of(pair[0]) or "record", twice, "keep one")
            )
        if fields and all(is_blank(_as_text(value)) for value in fields.values()):
            return None
        return self._checked(fields, number)

    def _checked(self, fields: Mapping[str, bytes], number: int) -> Record:
        found: dict[str, bytes] = {}
        extra: dict[str, str] = {}
        for key, value in fields.items():
            if (known := self._names.field_of(key)) is None:
                extra[key] = _as_text(value)
            elif value != b"null":
                found[known] = value
        needed = ("identity", "policy_name") if self._name_required else ("identity",)
        problems = missing_fields(found, extra, needed)
        texts = {known: _text_of(known, value, problems) for known, value in found.items()}
        policy = texts.get("policy", "")
        policy, unread = self._policies.document(policy)
        record = Record(
            texts.get("identity", ""),
            texts.get("policy_name", ""),
            policy,
            texts.get("action") or "put",
            texts.get("region") or None,
            texts.get("account") or None,
            number,
            self._file,
            extra,
            (*problems, *unread),
        )
        return _traced(record) if ORIGIN in extra else record

    def _rejected(self, line: bytes, number: int, problem: Finding) -> Record:
        """A record of a line that cannot be read; identity and name where they can be made out all the same."""
        identity, name = (
            match[1].decode(errors="replace") if (match := trace.search(line)) else "" for trace in _TRACES
        )
        return Record(identity, name, line=number, file=self._file, problems=(problem,))


class Origin(msgspec.Struct):
    """Where a record that another command wrote was read first: kept, so that messages name the line people know."""

    file: str
    line: Annotated[int, msgspec.Meta(ge=1)]


ORIGIN: Final = "origin"
"""The key under which commands hand it on."""

_origin: Final = msgspec.json.Decoder(Origin).decode


def _traced(record: Record) -> Record:
    """The record with the file and line it came from; an ``origin`` of another kind is an extra value like any."""
    try:
        origin = _origin(record.extra[ORIGIN])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return record
    record.file, record.line = origin.file, origin.line
    record.extra = {key: value for key, value in record.extra.items() if key != ORIGIN}
    return record


class _Unreadable(Exception):
    def __init__(self, problem: Finding) -> None:
        self.problem = problem


def _decoded(line: bytes) -> str:
    if isinstance(line, BrokenLine):
        raise _Unreadable(line.problem)
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        message = f"byte 0x{line[error.start]:02X} at byte {error.start + 1} of the line is not UTF-8"
        raise _Unreadable(ENCODING.at("record", message, "write the file as UTF-8")) from error
    if (at := line.find(0)) >= 0:
        raise _Unreadable(ENCODING.at("record", f"a NUL byte at byte {at + 1} of the line"))
    return text


def _malformed(line: bytes, error: Exception) -> Finding:
    """Why a line is not one JSON object, in the words of the decoder that says it best."""
    first = line.lstrip()[:1]
    if isinstance(error, RecursionError):
        return JSON.at("record", "the object is nested too deeply")
    text = line.decode(errors="replace")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as better:
        if better.msg == "Expecting value" and (fault := _word_fault(text)):
            return fault
        hint = "one whole JSON object a line, without a comma behind it" if better.msg == "Extra data" else ""
        if text[better.pos : better.pos + 1] == "'":
            hint = "strings stand in double quotation marks: Python's json.dumps writes them so, str does not"
        return JSON.at("record", f"not JSON: {better.msg} at character {better.pos + 1} of the line", hint)
    except (ValueError, RecursionError):
        return JSON.at("record", f"not JSON: {_from_one(error)}")
    if not isinstance(value, dict):
        return JSON.at("record", f"the line is {_KINDS.get(first, 'a number')}, not an object")
    if fault := _word_fault(text):
        return fault
    if _SURROGATE.search(line):
        return JSON.at("record", "half of an escaped surrogate pair (\\ud800 to \\udfff) stands alone")
    return JSON.at("record", f"not JSON: {_from_one(error)}")


_WORDS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(-?[A-Za-z_][A-Za-z0-9_]*)', re.DOTALL)
_JSON_WORDS: Final = frozenset(("true", "false", "null"))


def _word_fault(text: str) -> Finding | None:
    """The first word of a line that is no JSON value, and what to write instead."""
    for found in _WORDS.finditer(text):
        word = found[1]
        if word and word not in _JSON_WORDS and not (word[0] in "eE" and text[found.start() - 1].isdigit()):
            mend = mend_of_word(word) or f'"{word[:40]}"'
            message = f"not JSON: {shown(word, 40)[1:-1]} at character {found.start() + 1} of the line is no JSON value"
            return JSON.at("record", message, f"write {mend}")
    return None


def _from_one(error: Exception) -> str:
    """A decoder's message, with its place counted from 1, as all others are."""
    return re.sub(r"\(byte (\d+)\)", lambda it: f"at byte {int(it[1]) + 1} of the line", str(error))


def _text_of(known: str, value: bytes, problems: list[Finding]) -> str:
    """A known field as text; what cannot be taken for it is added to ``problems``."""
    kind = value[:1]
    if kind == b'"':
        return _string(value)
    if known == "policy" and kind == b"{":
        return value.decode()
    if known == "account" and is_account_id(value.decode()):
        return value.decode()
    wanted = "an object, or text" if known == "policy" else "text"
    hint = ""
    if known == "account":
        mend = account_mend(value.decode()) if value[:1].isdigit() else ""
        hint = mend or 'write it as text of 12 digits ("012345678901"): a number loses its leading zeros'
    problems.append(FIELD.at(known, f"{known} is {_KINDS.get(kind, 'a number')}; it must be {wanted}", hint))
    return ""


def _as_text(value: Raw | bytes) -> str:
    """An extra value as it is carried to the report: text as it is, null as nothing, the rest as compact JSON."""
    try:
        return _string(value)
    except msgspec.ValidationError:
        compact = bytes(msgspec.json.format(bytes(value), indent=-1)).decode()
        return "" if compact == "null" else compact


def _check_kind(file: str, first: bytes, second: bytes) -> None:
    """Refuse a file whose first lines show that it is no JSON Lines at all.

    Raises:
        InputError: what it is, and how it becomes JSON Lines.
    """
    if first.startswith(b"["):
        raise InputError(f"{file} is a JSON array, not JSON Lines", hint=f"turn it: jq -c '.[]' {file} > records.jsonl")
    if first.startswith(b"{"):
        try:
            _object(first)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if is_answer(first + second):
                raise InputError(f"{file} is an answer of SES, which names no identity", hint=EXPORT) from None
            if first == b"{" or second[:1] in (b'"', b"}"):
                raise InputError(
                    f"{file} holds JSON objects that span lines, not JSON Lines",
                    hint=f"put each on one line: jq -c . {file} > records.jsonl",
                ) from None
    elif b"identity" in first.lower() and b"{" not in first:
        raise InputError(
            f"{file}: the first line looks like the header of a table, not like JSON",
            hint="name it .csv, or give `format=csv`",
        )
