"""The text of a policy document: strict JSON, its size, and making it smaller without changing it.

Most texts are plain JSON, which msgspec reads in two microseconds and one count of quotation marks proves free of
duplicate keys. Any other text is read again by :class:`_Reader`, which knows what people do to JSON, says where,
and goes on as if it had been written right, so that the rest of the document is checked too.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, NoReturn

import msgspec

from batchpol.model import Finding, Rule, Severity, excerpt, pointer, rules_in, shown
from batchpol.model.mends import mend_of_word

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_RFC = "RFC 8259 (JSON)"
_ANATOMY = "SES Developer Guide, Policy anatomy"
_SIZE = "SES API Reference, PutIdentityPolicy (4 KB); bytes of UTF-8 as sent, inferred"

MAX_BYTES = 4096
"""Largest document SES takes, in bytes of UTF-8."""
MAX_DEPTH = 100
_HUGE = 65536

SYNTAX = Rule(
    "json-syntax",
    _ERROR,
    "Not JSON",
    _RFC,
    "The text breaks off the grammar of JSON at the place given; nothing after it could be read.",
    bad='{"Version" "2012-10-17"}',
    good='{"Version": "2012-10-17"}',
)
TRUNCATED = Rule(
    "json-truncated",
    _ERROR,
    "The document ends too early",
    _RFC,
    "A string, list or object is still open where the text ends: it was cut off, or a bracket is missing.",
    bad='{"Version": "2012-10-17"',
    good='{"Version": "2012-10-17"}',
)
TRAILING_TEXT = Rule(
    "json-trailing-text",
    _ERROR,
    "Something follows the document",
    _RFC,
    "A document is one JSON value and nothing after it but blanks.",
    bad='{"Version": "2012-10-17"}}',
    good='{"Version": "2012-10-17"}',
)
COMMA = Rule(
    "json-comma",
    _ERROR,
    "A comma missing, or one too many",
    _RFC,
    "Members and elements are separated by one comma; none stands before a closing bracket.",
    bad='{"Version": "2012-10-17",}',
    good='{"Version": "2012-10-17"}',
)
COMMENT = Rule(
    "json-comment",
    _ERROR,
    "A comment",
    _RFC,
    "JSON has no comments.",
    bad='{"Version": "2012-10-17"} // from the console',
    good='{"Version": "2012-10-17"}',
)
QUOTES = Rule(
    "json-quotes",
    _ERROR,
    "Single or curly quotation marks, or none",
    _RFC,
    "Strings and keys stand in straight double quotation marks. Word processors and spreadsheets bend them.",
    bad="{'Version': '2012-10-17'}",
    good='{"Version": "2012-10-17"}',
)
WORD = Rule(
    "json-word",
    _ERROR,
    "A word that is no JSON value",
    _RFC,
    "Unquoted, JSON knows true, false and null, in lower case; not NaN, Infinity, None or True.",
    bad='{"Version": NaN}',
    good='{"Version": "2012-10-17"}',
)
NUMBER = Rule(
    "json-number",
    _ERROR,
    "Not a JSON number",
    _RFC,
    "A number has no leading zero and no plus sign, and digits on both sides of its point. An account id is a "
    "string, not a number.",
    bad='{"Id": 012345678901}',
    good='{"Id": "012345678901"}',
)
ESCAPE = Rule(
    "json-escape",
    _ERROR,
    "An unknown escape in a string",
    _RFC,
    r'After a backslash come only " \ / b f n r t and u with four hexadecimal digits.',
    bad=r'{"Id": "C:\policies"}',
    good=r'{"Id": "C:\\policies"}',
)
CONTROL = Rule(
    "json-control-character",
    _ERROR,
    "A control character in a string",
    _RFC,
    "Line breaks, tabs and other characters below U+0020 must be escaped inside strings.",
    bad='{"Id": "one\ntwo"}',
    good='{"Id": "one\\ntwo"}',
)
SURROGATE = Rule(
    "json-surrogate",
    _ERROR,
    "Half a character",
    _RFC + ", 8.2: such text is unpredictable",
    r"A \uD800 to \uDFFF escape makes sense only as a pair, high before low.",
    bad=r'{"Id": "\ud83d"}',
    good=r'{"Id": "\ud83d\ude00"}',
)
ENCODING = Rule(
    "json-encoding",
    _ERROR,
    "Text that is not Unicode",
    _RFC + ", 8.1: UTF-8",
    "The text holds a lone surrogate (half a character), so it has no UTF-8 form and cannot be sent.",
    bad='{"Id": "\ud83d"}',
    good='{"Id": "id"}',
    always=True,
)
BOM = Rule(
    "json-bom",
    _ERROR,
    "A byte order mark before the document",
    _RFC + ", 8.1",
    "Some editors put the invisible U+FEFF at the start of a file; JSON does not allow it.",
    bad='\ufeff{"Version": "2012-10-17"}',
    good='{"Version": "2012-10-17"}',
)
BLANK = Rule(
    "json-blank",
    _ERROR,
    "A blank that JSON does not know",
    _RFC,
    "Between values only space, tab, line feed and carriage return may stand. Copying from web pages brings "
    "no-break spaces.",
    bad='{"Version":\u00a0"2012-10-17"}',
    good='{"Version": "2012-10-17"}',
)
DEPTH = Rule(
    "json-depth",
    _ERROR,
    f"Nested more than {MAX_DEPTH} deep",
    "inferred: no element of a policy nests deeper than six, and JSON parsers have limits",
    "Nothing in a policy needs this, and parsers give up on it.",
    bad='{"Id": ' + "[" * 101 + "]" * 101 + "}",
    good='{"Id": "id"}',
)
DUPLICATE_KEY = Rule(
    "json-duplicate-key",
    _ERROR,
    "The same key twice in one object",
    _RFC + ", 4: behaviour is unpredictable; SES's is not documented",
    "A parser keeps one of the two and drops the other without a word. A dropped Condition widens a grant, so this "
    "is not sent: merge the two.",
    bad='{"Id": "a", "Id": "b"}',
    good='{"Id": "a"}',
)
NOT_OBJECT = Rule(
    "json-not-object",
    _ERROR,
    "The document is not an object",
    _ANATOMY,
    "A policy is one JSON object: {…}.",
    bad='[{"Version": "2012-10-17"}]',
    good='{"Version": "2012-10-17"}',
)
TOO_LONG = Rule(
    "policy-too-long",
    _ERROR,
    "More than 4,096 bytes, even without blanks",
    _SIZE,
    "SES takes policies of at most 4 KB. What would be sent is counted as UTF-8, blanks between values left out.",
    bad='{"Id": "' + "i" * 4096 + '"}',
    good='{"Id": "' + "i" * 100 + '"}',
)
MINIFIED = Rule(
    "policy-minified",
    _WARNING,
    "Sent without its blanks, to fit into 4,096 bytes",
    _SIZE,
    "Only blanks between values make the document too long, so it is sent without them. Nothing else is changed.",
    bad='{"Id": "id"' + " " * 4096 + "}",
    good='{"Id": "id" }',
)
HUGE = Rule(
    "policy-huge",
    _ERROR,
    "More than 64 KiB without blanks: not looked into",
    "batchpol",
    "Sixteen times what SES takes is not a policy; it is not examined further.",
    bad='{"Id": "' + "i" * 65536 + '"}',
    good='{"Id": "id"}',
    always=True,
)

RULES = rules_in(vars())


class Parsed(NamedTuple):
    """A text as read: its value (None where there is none), whether it is JSON to the letter, what is wrong.

    ``faulty`` are the pointers of values that are themselves none: nothing is concluded from what they were taken for.
    """

    value: Any
    is_json: bool
    findings: tuple[Finding, ...]
    faulty: frozenset[str] = frozenset()


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_MSGSPEC_SAYS_NO = (msgspec.MsgspecError, RecursionError, UnicodeError, OverflowError, ValueError)


def parse(text: str) -> Parsed:
    """Read a document's text. Never raises; faults are findings at ``policy``, duplicate keys at their pointer."""
    if len(text) <= _HUGE and text.count("{") + text.count("[") <= MAX_DEPTH and "\\" not in text:
        try:
            value = _decode(text)
            # Without backslashes every quotation mark delimits a string, so none missing means no key dropped.
            if type(value) is dict and text.count('"') == _encode(value).count(b'"'):
                return Parsed(value, True, ())
        except _MSGSPEC_SAYS_NO:
            pass
    return parse_slowly(text)


def parse_slowly(text: str) -> Parsed:
    """Read a document's text character by character, naming every fault with its place."""
    if len(text) - sum(map(text.count, " \t\r\n")) > _HUGE:
        message = f"The document has {len(text)} characters, more than 64 KiB without blanks; it was not examined"
        return Parsed(None, False, (HUGE.at("policy", message),))
    return _Reader(text).read()


def size(text: str) -> int:
    """Bytes of ``text`` as UTF-8; lone surrogates count three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


_BLANKS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+', re.DOTALL)


def minify(text: str) -> str:
    """The same JSON without the blanks between its values; strings, numbers and order stay to the letter.

    ``text`` must be JSON.
    """
    return _BLANKS.sub(lambda match: match[1] or "", text)


_ENCODINGS = (
    (r"\{\s*&amp;|&amp;#(?:123|x7b);", "HTML-escaped twice", "decode it twice"),
    (r"\{\s*&(?:quot|#0*34|#x0*22);|&(?:#0*123|#x0*7b|lbrace|lcub);", "HTML-escaped", "decode it once"),
    (r"%257b", "URL-encoded twice", "decode it twice"),
    (r"%7b|\{\s*%22|\{%0a", "URL-encoded", "decode it once"),
    (r"\{\s*\\+[\"nrt]", "escaped as a string of a program", "write its quotation marks without backslashes"),
    (r"'\s*\{|\u2018\s*\{|`\s*\{", "in quotation marks, as for a shell", "remove them"),
    (r"(?:eyA?[IiogKJ]|ewo|ewog|ew0K)[A-Za-z0-9+/=\s_-]*\Z", "Base64", "decode it once"),
)
_ENCODED = [(re.compile(rf"\s*(?:{begins})", re.IGNORECASE), what, mend) for begins, what, mend in _ENCODINGS]


def encoding_of(text: str) -> tuple[str, str] | None:
    """How a document was encoded on its way, as its first characters show, and the mend; None if it was not."""
    return next(((what, mend) for begins, what, mend in _ENCODED if begins.match(text)), None)


class _Stopped(Exception):
    """The reader met a fault beyond which it cannot go on."""


class _Frame:
    """A list or object being read, and how far."""

    __slots__ = ("comma_at", "key", "needs_comma", "opened_at", "value")

    def __init__(self, value: dict[str, Any] | list[Any], opened_at: int) -> None:
        self.value = value
        self.key = ""
        self.opened_at = opened_at
        self.needs_comma = False
        self.comma_at = -1

    def add(self, value: Any) -> None:
        if isinstance(self.value, dict):
            self.value[self.key] = value
        else:
            self.value.append(value)
        self.needs_comma = True

    def token(self) -> str | int:
        """Which member is being read: a key, or an index."""
        return self.key if isinstance(self.value, dict) else len(self.value) - 1


_SPACE = re.compile(r"[ \t\r\n]*")
_STRANGE_SPACE = re.compile(r"[\s\ufeff\u200b\u2060]+")
_COMMENT = re.compile(r"//[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_WORD = re.compile(r"[A-Za-z0-9_+.$-]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER_LIKE = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|\.?[0-9][0-9_.eE+-]*)")
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS = {"true": True, "false": False, "null": None}
_CLOSERS = {
    "'": "'",
    "\u2018": "\u2019",
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u201e": "\u201c",
    "\u00ab": "\u00bb",
}
_MAX_FINDINGS = 100
_MAX_DIGITS = 4300  # what int() accepts


class _Scanner:
    """A place in a text, the faults found up to it, and whatever stands there that holds nothing else."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.findings: list[Finding] = []
        self.is_json = True

    def _where(self, at: int) -> str:
        at = min(at, len(self.text))
        line = self.text.count("\n", 0, at) + 1
        column = at - self.text.rfind("\n", 0, at)
        return f"line {line}, column {column}"

    def _fault(self, rule: Rule, at: int, what: str, hint: str = "", where: str = "policy") -> None:
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(rule.at(where, f"{self._where(at)} of the document: {what}", hint))

    def _bend(self, rule: Rule, at: int, what: str, hint: str = "") -> None:
        """A fault that can be read past, though the text is no JSON."""
        self.is_json = False
        self._fault(rule, at, what, hint)

    def _stop(self, rule: Rule, at: int, what: str, hint: str = "") -> NoReturn:
        self._fault(rule, at, what, hint)
        raise _Stopped

    def _ahead(self) -> str:
        return shown(self.text[self.at : self.at + 21], 20)

    def _skip_blanks(self) -> None:
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            here = self.text[self.at : self.at + 1]
            if here in ("/", "#") and (comment := _COMMENT.match(self.text, self.at)):
                self._bend(COMMENT, self.at, f"a comment, {shown(comment[0], 30)}", "JSON has none: remove it")
                self.at = comment.end()
            elif here and (strange := _STRANGE_SPACE.match(self.text, self.at)):
                self._bend(BLANK, self.at, f"the blank U+{ord(here):04X}", "replace it by a space")
                self.at = strange.end()
            else:
                return

    def _read_word(self) -> Any:
        at, text = self.at, self.text
        if number := _NUMBER_LIKE.match(text, at) or _NUMBER.match(text, at):
            self.at = number.end()
            return self._number(number[0], at)
        word = _WORD.match(text, at)
        if word is None:
            self._stop(SYNTAX, at, f"{shown(text[at])} where a value was expected")
        self.at = word.end()
        if word[0] in _LITERALS:
            return _LITERALS[word[0]]
        mend = mend_of_word(word[0]) or f'"{excerpt(word[0])}"'
        self._bend(WORD, at, f"{shown(word[0])} is no JSON value", f"write {mend}")
        return _LITERALS.get(mend, word[0])

    def _number(self, digits: str, at: int) -> int | float | str:
        if not _NUMBER.fullmatch(digits):
            self._bend(NUMBER, at, f"{shown(digits, 30)} is no JSON number", "write it as a string")
            return digits
        if len(digits) > _MAX_DIGITS:
            return float("-inf") if digits[0] == "-" else float("inf")
        return int(digits) if digits.lstrip("-").isdecimal() else float(digits)

    def _read_string(self) -> str:
        opener = self.text[self.at]
        if opener != '"':
            return self._read_bent_string(_CLOSERS[opener])
        begun = self.at
        self.at += 1
        parts: list[str] = []
        told = False
        while True:
            run = _PLAIN.match(self.text, self.at)
            assert run is not None
            parts.append(run[0])
            self.at = run.end()
            here = self.text[self.at : self.at + 1]
            if here == '"':
                self.at += 1
                return "".join(parts)
            if not here:
                self._stop(TRUNCATED, self.at, f"the text ends within the string begun at {self._where(begun)}")
            if here == "\\":
                parts.append(self._read_escape())
                continue
            if not told:
                self._bend(CONTROL, self.at, f"the control character U+{ord(here):04X} in a string", "escape it")
            told = True
            parts.append(here)
            self.at += 1

    def _read_bent_string(self, closer: str) -> str:
        begun = self.at
        end = self.text.find(closer, begun + 1)
        if end < 0 or "\n" in self.text[begun:end]:
            self._stop(QUOTES, begun, f"the quotation mark {shown(self.text[begun])}", 'strings stand in "…"')
        content = self.text[begun + 1 : end]
        self._bend(QUOTES, begun, f"{shown(content)} stands in {self.text[begun]}…{closer}", 'strings stand in "…"')
        self.at = end + 1
        return content

    def _read_escape(self) -> str:
        at = self.at
        letter = self.text[at + 1 : at + 2]
        if not letter:
            self.at += 1
            return ""
        if letter in _ESCAPES:
            self.at += 2
            return _ESCAPES[letter]
        digits = _HEX.match(self.text, at + 2) if letter == "u" else None
        if digits is None:
            self._bend(ESCAPE, at, f"the escape {shown(self.text[at : at + 2])}", r"a backslash is written \\")
            self.at += 2
            return letter
        self.at += 6
        code = int(digits[0], 16)
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)
        low = _HEX.match(self.text, self.at + 2) if self.text.startswith("\\u", self.at) else None
        if code < 0xDC00 and low and 0xDC00 <= int(low[0], 16) <= 0xDFFF:
            self.at += 6
            return chr(0x10000 + ((code - 0xD800) << 10) + int(low[0], 16) - 0xDC00)
        self._fault(SURROGATE, at, f"the escape {shown(self.text[at : at + 6])} is half a character")
        return "\ufffd"


class _Reader(_Scanner):
    """One reading of one text. Keeps its own stack, so depth costs memory and never the interpreter's stack."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.stack: list[_Frame] = []
        self.faulty: set[str] = set()

    def read(self) -> Parsed:
        root = _Frame([], 0)
        self.stack.append(root)
        try:
            self._check_encoding()
            self._start()
            while len(self.stack) > 1 or not root.value:
                self._step(self.stack[-1])
            self._finish()
        except _Stopped:
            self.is_json = False
        if len(self.stack) > 1 or not root.value:
            return Parsed(None, False, tuple(self.findings))
        value = root.value[0]  # type: ignore[index]
        if not isinstance(value, dict) and (self.is_json or isinstance(value, list)):
            self._not_object(value)
        return Parsed(value, self.is_json, tuple(self.findings), frozenset(self.faulty))

    # The whole

    def _check_encoding(self) -> None:
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            self._bend(ENCODING, error.start, f"{shown(self.text[error.start])} is half a character")

    def _start(self) -> None:
        if encoding := encoding_of(self.text):
            self._stop(SYNTAX, 0, f"it is {encoding[0]}", encoding[1])
        if self.text.startswith("\ufeff"):
            self._bend(BOM, 0, "a byte order mark (U+FEFF)", "save the document as UTF-8 without BOM")
            self.at = 1

    def _finish(self) -> None:
        self._skip_blanks()
        if self.at < len(self.text):
            self._stop(TRAILING_TEXT, self.at, f"{self._ahead()} after the end of the document")

    def _not_object(self, value: Any) -> None:
        hint = "a policy is one object: {…}"
        if isinstance(value, str) and value.lstrip()[:1] == "{":
            hint = "the document was encoded as JSON twice: decode it once"
        elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            hint = "remove the square brackets around it"
        self.findings.append(NOT_OBJECT.at("policy", f"The document is {shown(value)}, not an object", hint))

    # Lists and objects

    def _step(self, frame: _Frame) -> None:
        """Read on in ``frame``: its end, a comma, or its next member."""
        self._skip_blanks()
        here = self.text[self.at : self.at + 1]
        is_object = isinstance(frame.value, dict)
        if not here:
            self._ended(frame)
        elif here == ("}" if is_object else "]") and len(self.stack) > 1:
            if frame.comma_at >= 0:
                self._bend(COMMA, frame.comma_at, f"a comma before the closing {here}", "remove the comma")
            self.stack.pop()
            self.at += 1
        elif here == "," and frame.needs_comma:
            frame.needs_comma, frame.comma_at = False, self.at
            self.at += 1
        elif here in ",:]}":
            self._stop(SYNTAX, self.at, f"{shown(here)} where a {'key' if is_object else 'value'} was expected")
        else:
            if frame.needs_comma:
                self._bend(COMMA, self.at, f"no comma before {self._ahead()}", "put a comma there")
            frame.comma_at = -1
            if is_object:
                self._read_key(frame)
            self._read_value(frame)

    def _ended(self, frame: _Frame) -> NoReturn:
        if len(self.stack) == 1:
            self._stop(TRUNCATED, self.at, "the document is empty")
        what = "object" if isinstance(frame.value, dict) else "list"
        self._stop(TRUNCATED, self.at, f"the text ends within the {what} opened at {self._where(frame.opened_at)}")

    def _read_key(self, frame: _Frame) -> None:
        at = self.at
        here = self.text[at]
        if here == '"' or here in _CLOSERS:
            key = self._read_string()
        elif (word := _WORD.match(self.text, at)) is not None:
            key = word[0]
            self.at = word.end()
            self._bend(QUOTES, at, f"the key {shown(key)} has no quotation marks", f'write "{excerpt(key)}"')
        else:
            self._stop(SYNTAX, at, f"{shown(here)} where a key was expected")
        assert isinstance(frame.value, dict)
        if key in frame.value:
            self._fault(DUPLICATE_KEY, at, f"the key {shown(key)} is there twice", "merge the two", self._pointer(key))
        frame.key = key
        self._skip_blanks()
        if self.text[self.at : self.at + 1] == ":":
            self.at += 1
        elif self.at >= len(self.text):
            self._ended(frame)
        else:
            hint = ""
            if self.text.lstrip().startswith('{""'):
                hint = "its quotation marks are doubled: the CSV cell is quoted twice, or not at all"
            found = self._ahead()
            self._stop(SYNTAX, self.at, f"{found} where a colon was expected after the key {shown(key)}", hint)

    def _read_value(self, frame: _Frame) -> None:
        self._skip_blanks()
        if self.at >= len(self.text):
            self._ended(frame)
        here = self.text[self.at]
        if here in "{[":
            if len(self.stack) > MAX_DEPTH:
                self._stop(DEPTH, self.at, f"nested more than {MAX_DEPTH} deep")
            child = _Frame({} if here == "{" else [], self.at)
            frame.add(child.value)
            self.stack.append(child)
            self.at += 1
        elif here == '"' or here in _CLOSERS:
            frame.add(self._read_string())
        elif here in ",:]}":
            self._stop(SYNTAX, self.at, f"{shown(here)} where a value was expected")
        else:
            before = len(self.findings)
            frame.add(self._read_word())
            if len(self.findings) > before:
                self.faulty.add(pointer(*(it.token() for it in self.stack[1:])))

    def _pointer(self, *last: str) -> str:
        return pointer(*(frame.token() for frame in self.stack[1:-1]), *last)
