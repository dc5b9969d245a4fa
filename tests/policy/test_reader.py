"""The text of a document: every fault of JSON with its place, duplicate keys, size, lossless minifying."""

from __future__ import annotations

import html
import json
import time
from base64 import b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchpol.identity import PolicyOwner
from batchpol.model import Target
from batchpol.policy.reader import MAX_BYTES, Parsed, minify, parse, parse_slowly, size
from batchpol.validation.rules import check_document
from tests.validation.checks import codes, errors, of_text

FAULTS = [
    # text, code, place, whether the rest could be read, hint
    ("", "json-truncated", (1, 1), False, ""),
    ("  ", "json-truncated", (1, 3), False, ""),
    ("{", "json-truncated", (1, 2), False, ""),
    ('{"a"', "json-truncated", (1, 5), False, ""),
    ('{"a":', "json-truncated", (1, 6), False, ""),
    ('{"a": "b', "json-truncated", (1, 9), False, ""),
    ('{\n "a": [1,\n', "json-truncated", (3, 1), False, ""),
    ('{"a": "b\\', "json-truncated", (1, 10), False, ""),
    ('{"a": 1}}', "json-trailing-text", (1, 9), True, ""),
    ('{"a": 1}\n{"b": 2}', "json-trailing-text", (2, 1), True, ""),
    ('{"a": 1}\0', "json-trailing-text", (1, 9), True, ""),
    ('{"a": 1,}', "json-comma", (1, 8), True, "remove the comma"),
    ('{"a": [1,\n2 ,\n]}', "json-comma", (2, 3), True, "remove the comma"),
    ('{"a": 1 "b": 2}', "json-comma", (1, 9), True, "put a comma there"),
    ('{"a": [1 2]}', "json-comma", (1, 10), True, "put a comma there"),
    ("{,}", "json-syntax", (1, 2), False, ""),
    ('{"a": 1,,"b": 2}', "json-syntax", (1, 9), False, ""),
    ('{"a": ,}', "json-syntax", (1, 7), False, ""),
    ('{"a" 1}', "json-syntax", (1, 6), False, ""),
    ('{"a": [1}', "json-syntax", (1, 9), False, ""),
    ('{"a": 1]', "json-syntax", (1, 8), False, ""),
    ("{[1]: 2}", "json-syntax", (1, 2), False, ""),
    ('{"a": @}', "json-syntax", (1, 7), False, ""),
    (
        '{""Version"": ""1""}',
        "json-syntax",
        (1, 4),
        False,
        "its quotation marks are doubled: the CSV cell is quoted twice, or not at all",
    ),
    ('{"a": 1} // note', "json-comment", (1, 10), True, "JSON has none: remove it"),
    ('{/* note */ "a": 1}', "json-comment", (1, 2), True, "JSON has none: remove it"),
    ('{"a": 1 # note\n}', "json-comment", (1, 9), True, "JSON has none: remove it"),
    ("{'a': 1}", "json-quotes", (1, 2), True, 'strings stand in "…"'),
    ('{"a": \u201cb\u201d}', "json-quotes", (1, 7), True, 'strings stand in "…"'),
    ("{a: 1}", "json-quotes", (1, 2), True, 'write "a"'),
    ("{'a: 1}", "json-quotes", (1, 2), False, 'strings stand in "…"'),
    ('{"a": NaN}', "json-word", (1, 7), True, "write null"),
    ('{"a": -Infinity}', "json-word", (1, 7), True, "write null"),
    ('{"a": True}', "json-word", (1, 7), True, "write true"),
    ('{"a": None}', "json-word", (1, 7), True, "write null"),
    ('{"a": Allow}', "json-word", (1, 7), True, 'write "Allow"'),
    ('{"a": 012345678901}', "json-number", (1, 7), True, "write it as a string"),
    ('{"a": +1}', "json-number", (1, 7), True, "write it as a string"),
    ('{"a": .5}', "json-number", (1, 7), True, "write it as a string"),
    ('{"a": 1.}', "json-number", (1, 7), True, "write it as a string"),
    ('{"a": 0x1F}', "json-number", (1, 7), True, "write it as a string"),
    (r'{"a": "\x41"}', "json-escape", (1, 8), True, r"a backslash is written \\"),
    (r'{"a": "\u12g4"}', "json-escape", (1, 8), True, r"a backslash is written \\"),
    ('{"a": "b\nc"}', "json-control-character", (1, 9), True, "escape it"),
    ('{"a": "b\tc"}', "json-control-character", (1, 9), True, "escape it"),
    ('{"a": "b\0c"}', "json-control-character", (1, 9), True, "escape it"),
    (r'{"a": "\ud800"}', "json-surrogate", (1, 8), True, ""),
    (r'{"a": "\udc00\ud800"}', "json-surrogate", (1, 8), True, ""),
    (r'{"a": "\ud800x"}', "json-surrogate", (1, 8), True, ""),
    (r'{"a": "\ud800\u0041"}', "json-surrogate", (1, 8), True, ""),
    ('{"a": "\ud800"}', "json-encoding", (1, 8), True, ""),
    ('\ufeff{"a": 1}', "json-bom", (1, 1), True, "save the document as UTF-8 without BOM"),
    ('{"a":\u00a01}', "json-blank", (1, 6), True, "replace it by a space"),
    ('{"a":\x0b1}', "json-blank", (1, 6), True, "replace it by a space"),
    ("[" * 101, "json-depth", (1, 101), False, ""),
    ('{"a": 1, "b": 2, "a": 3}', "json-duplicate-key", (1, 18), True, "merge the two"),
]


@pytest.mark.parametrize(("text", "code", "place", "readable", "hint"), FAULTS)
def test_a_fault_has_its_place(text: str, code: str, place: tuple[int, int], readable: bool, hint: str) -> None:
    parsed = parse(text)
    first = parsed.findings[0]
    assert first.code == code
    assert first.message.startswith(f"line {place[0]}, column {place[1]} of the document: ")
    assert first.hint == hint
    assert (parsed.value is not None) == readable
    assert parsed.is_json == (code in ("json-duplicate-key", "json-surrogate"))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("null", "a policy is one object: {…}"),
        ('"text"', "a policy is one object: {…}"),
        ("[]", "a policy is one object: {…}"),
        ('[{"Version": "1"}]', "remove the square brackets around it"),
        (json.dumps('{"Version": "1"}'), "the document was encoded as JSON twice: decode it once"),
    ],
)
def test_only_an_object_is_a_policy(text: str, hint: str) -> None:
    (fault,) = parse(text).findings
    assert (fault.code, fault.hint) == ("json-not-object", hint)


def test_every_fault_is_found_and_the_rest_is_read() -> None:
    text = '\ufeff{\'Version\': \'2012-10-17\', // old\n "Statement": [{"Effect": Allow,}], "Id": "a", "Id": 01}'
    parsed = parse(text)
    assert codes(parsed.findings) == {
        "json-bom",
        "json-quotes",
        "json-comment",
        "json-word",
        "json-comma",
        "json-duplicate-key",
        "json-number",
    }
    assert parsed.value == {"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}], "Id": "01"}


def test_duplicate_keys_are_found_at_their_pointer() -> None:
    text = '{"S": [{"x": 1}, {"C": {"a/b~c": 1, "a\\/b~c": 2}}]}'
    (fault,) = parse(text).findings
    assert (fault.code, fault.where) == ("json-duplicate-key", "/S/1/C/a~1b~0c")


def test_a_duplicate_hidden_by_an_escape_is_found() -> None:
    assert codes(parse('{"Effect": "Deny", "Ef\\u0066ect": "Allow"}').findings) == {"json-duplicate-key"}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1e999, "b": -1e999}',
        '{"a": ' + "1" * 60000 + "}",
        '{"a": -0, "b": 0.1e-7, "c": 1E+2}',
        '{"a": "\\u0000\\ud83d\\ude00\\/"}',
        '{"a": "\u2028\x7f\u200b"}',
        ' \t\r\n{ \n"a"\t:\r{} , "b" : [ ] } \n',
        '{"": {"": ""}}',
        '{"a": ' + "[" * 99 + "]" * 99 + "}",
    ],
)
def test_odd_but_json(text: str) -> None:
    parsed = parse(text)
    assert parsed.is_json
    assert parsed.findings == ()


MEGABYTE = 1_000_000
BOMBS = {
    "open lists": "[" * MEGABYTE,
    "open objects": '{"a":' * (MEGABYTE // 5),
    "closed lists": '{"a":' + "[" * (MEGABYTE // 2) + "]" * (MEGABYTE // 2) + "}",
    "blanks": " " * MEGABYTE + "{}",
    "blanks between faults": ("1" + " " * 20) * (MEGABYTE // 21),
    "a string": '{"a": "' + "x" * MEGABYTE,
    "backslashes": '{"a": "' + "\\" * 60000,
    "escapes": '{"a": "' + "\\u0041" * 10000 + '"}',
    "quotation marks": '"' * 60000,
    "equal keys": "{" + '"a":1,' * 10000 + '"a":1}',
    "equal keys with escapes": "{" + '"\\u0061":1,' * 5000 + '"a":1}',
    "digits": '{"a": ' + "9" * 60000 + "}",
    "digits with an exponent": '{"a": 1' + "0" * 30000 + "e" + "9" * 30000 + "}",
    "dots": "[" + "1." * 30000,
    "open comments": "/*" * 30000,
    "comments": "//\n" * 20000,
    "single quotes": "'" * 60000,
    "single quotes never closed": "[" + "'a\n" * 20000,
    "words": "[" + "x " * 30000,
    "strange blanks": "\u00a0" * 60000,
    "line ends in strings": '{"a": "' + "\n" * 60000,
    "surrogates": '{"a": "' + "\\ud800" * 10000 + '"}',
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_bomb_gets_an_answer_in_bounded_time(text: str) -> None:
    begun = time.process_time()
    checked = of_text(text)
    assert time.process_time() - begun < 2
    assert errors(checked)
    assert len(checked.findings) <= 101


def test_more_than_64_kib_without_blanks_are_not_looked_into() -> None:
    assert codes(of_text('{"Id": "' + "x" * 70000 + '"}')) == {"policy-huge", "policy-too-long"}
    assert "policy-huge" not in codes(of_text('{"Id": "x"' + " " * 70000 + "}"))


def test_size_is_counted_in_bytes_of_utf_8() -> None:
    def of_size(count: int, letter: str = "x") -> str:
        start = of_size.start  # type: ignore[attr-defined]
        return start.replace("@@", letter * count)

    of_size.start = '{"Id":"@@","Statement":{"Effect":"Allow"}}'  # type: ignore[attr-defined]
    room = MAX_BYTES - size(of_size(0))
    assert size(of_size(room)) == 4096
    assert "policy-too-long" not in codes(of_text(of_size(room)))
    assert "policy-too-long" in codes(of_text(of_size(room + 1)))
    assert "policy-too-long" in codes(of_text(of_size(room // 2 + 1, "é")))
    assert "policy-too-long" in codes(of_text(of_size(room // 4 + 1, "\U0001f600")))
    assert "policy-too-long" not in codes(of_text(of_size(room // 4, "\U0001f600")))


# Reading slowly and quickly

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab\\"é', max_size=2), inner, max_size=3),
    max_leaves=10,
)
PIECES = ['"a"', '"b\\n"', "1", "-1.5e3", "true", "null", *"{}[],: \n'x\ufeff\\\"", "//"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=20).map("".join) | st.text(max_size=40)


@given(JSON, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_what_json_writes_is_read_back(value: object, indent: int | str | None, to_ascii: bool) -> None:
    text = json.dumps({"v": value}, indent=indent, ensure_ascii=to_ascii)
    for parsed in (parse(text), parse_slowly(text)):
        assert parsed == Parsed({"v": value}, True, ())


@given(TEXTS)
@example('{"a":1,"a":1}')
@example('{"a":{"b":1,"b":2}}')
def test_reading_quickly_and_slowly_agree(text: str) -> None:
    quick, slow = parse(text), parse_slowly(text)
    assert (quick.is_json, quick.findings) == (slow.is_json, slow.findings)
    assert quick.value == slow.value or quick.value != quick.value


@given(TEXTS)
def test_json_to_the_letter_is_what_python_takes_for_it(text: str) -> None:
    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        assert not parse(text).is_json
    else:
        assert parse(text).is_json


@given(JSON, st.sampled_from([None, 0, 3, "\t"]))
def test_minifying_loses_blanks_only(value: object, indent: int | str | None) -> None:
    text = json.dumps({"v": value, "  ": '" \\" \n'}, indent=indent, ensure_ascii=False)
    assert minify(text) == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{ "b" : 1.50e+2 , "a" : "x  y" }', '{"b":1.50e+2,"a":"x  y"}'),
        ('{"a":\n\t"\\u0041 \\" }"\r}\n', '{"a":"\\u0041 \\" }"}'),
        ('[ -0 , 1E5 ,\n"\\\\" , " "]', '[-0,1E5,"\\\\"," "]'),
    ],
)
def test_minifying_keeps_spelling_and_order(text: str, expected: str) -> None:
    assert minify(text) == expected


DOCUMENT = '{"Version": "2012-10-17", "Statement": []}'
ENCODED = [
    (html.escape(DOCUMENT), "it is HTML-escaped", "decode it once"),
    (DOCUMENT.replace('"', "&#34;"), "it is HTML-escaped", "decode it once"),
    (DOCUMENT.replace('"', "&#x22;"), "it is HTML-escaped", "decode it once"),
    ("\n  " + html.escape(DOCUMENT).replace("{", "{ "), "it is HTML-escaped", "decode it once"),
    (html.escape(html.escape(DOCUMENT)), "it is HTML-escaped twice", "decode it twice"),
    (quote(DOCUMENT), "it is URL-encoded", "decode it once"),
    (quote(DOCUMENT, safe="{}"), "it is URL-encoded", "decode it once"),
    (quote(DOCUMENT).lower(), "it is URL-encoded", "decode it once"),
    (quote_plus(quote(DOCUMENT)), "it is URL-encoded twice", "decode it twice"),
    (b64encode(DOCUMENT.encode()).decode(), "it is Base64", "decode it once"),
    (b64encode(json.dumps(json.loads(DOCUMENT), indent=2).encode()).decode(), "it is Base64", "decode it once"),
    (
        json.dumps(DOCUMENT)[1:-1],
        "it is escaped as a string of a program",
        "write its quotation marks without backslashes",
    ),
    (f"'{DOCUMENT}'", "it is in quotation marks, as for a shell", "remove them"),
]


@pytest.mark.parametrize("text, what, mend", ENCODED)
def test_a_document_encoded_on_its_way_is_named_once(text: str, what: str, mend: str) -> None:
    (fault,) = parse(text).findings
    assert fault.code == "json-syntax"
    assert fault.message.endswith(what)
    assert fault.hint == mend


@pytest.mark.parametrize("text", ["NaN", "p.txt", "None", "-Infinity", "<p>"])
def test_a_text_that_is_no_document_is_named_once(text: str) -> None:
    assert len(parse(text).findings) == 1


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"Version": NaN, "Statement": []}', {"json-word", "policy-statement"}),
        ('{"Id": None, "Statement": []}', {"json-word", "policy-statement"}),
        ('{"Id": 012, "Statement": []}', {"json-number", "policy-statement"}),
        ('{"Statement": [None, 1]}', {"json-word", "statement-type"}),
    ],
)
def test_nothing_is_concluded_from_a_value_that_is_none(text: str, expected: set[str]) -> None:
    found, _ = check_document(text, PolicyOwner(None, Target("", "")))
    assert sorted(it.code for it in found) == sorted(expected)
