"""Every code that a report can have has a remedy: of each rule, of each answer of SES's, and of our own."""

from __future__ import annotations

import ast
from pathlib import Path

import batchpol
from batchpol.batch.check import RULES
from batchpol.journal import UNANSWERED
from batchpol.model import Status
from batchpol.model.remedies import REMEDIES, remedy_of
from batchpol.ses.configuration import WORDS
from batchpol.ses.translation import ACCESS_REFUSED, THROTTLED, TRANSIENT, UNKNOWN_OPERATION

PACKAGE = Path(batchpol.__file__).parent


def our_own() -> set[str]:
    """Codes that stand as such in an error made in the package; the embedded SES's are SES's."""
    found = {UNANSWERED, *(said.code for said in WORDS.values())}
    for path in PACKAGE.rglob("*.py"):
        if "sandbox" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                    found.add(str(node.value.value))
    return found - {""}


def test_every_code_has_a_remedy_and_every_remedy_a_code() -> None:
    answers = {*THROTTLED, *TRANSIENT, *ACCESS_REFUSED, *UNKNOWN_OPERATION}
    documented = {"InvalidPolicy", "InvalidParameterValue", "ValidationError"}
    documented |= {"InternalError", "InternalFailure", "ServiceUnavailable"}
    assert REMEDIES.keys() == RULES.keys() | answers | documented | our_own()


def test_a_remedy_is_a_sentence() -> None:
    for code, text in REMEDIES.items():
        assert text[0].isupper() and text.endswith("."), code
        assert len(text) <= 200, code


def test_what_nobody_knows_has_a_remedy_too() -> None:
    assert remedy_of(Status.FAILED, "SomethingNew").startswith("See SES's words")
    assert "HTTP" not in remedy_of(Status.UNKNOWN, "HTTP503") != remedy_of(Status.FAILED, "HTTP302")
    assert remedy_of(Status.APPLIED, "") == ""
