"""Does SES refuse what is doubtful in a policy?

Each is put alone, in a policy that is right otherwise and allows nobody anything: an Effect in another case, elements,
condition keys and actions that do not exist, a key twice, Resource as ``*``, another identity's or a list of one, and
so on, by the codes of findings. Taken once is taken; refused is what is refused three times in the same words.

With what is known here, batchpol rejects offline what is refused, and is silent about what is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from batchpol.facts import Told
from batchpol.probe.asking import Asker, Reply
from batchpol.probe.place import PREFIX, Place
from batchpol.probe.question import Question, told_of, weighed

Doubts = Iterator[tuple[str, str]]


def doubtful(place: Place) -> list[tuple[str, str]]:
    """Policies with one doubtful thing each, by the code of the finding; of several with one, each must be refused."""
    senseless = {"principal-number": place.account[0] == "0", "resource-case": "@" in place.identity}
    found = chain(_elements(place), _principals(place), _actions(place), _resources(place), _conditions(place))
    return [(doubt, document) for doubt, document in found if not senseless.get(doubt)]


def _elements(place: Place) -> Doubts:
    document, statement = place.document, place.statement()

    def top(**elements: Any) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]} | elements)

    yield "json-duplicate-key", document().replace('"Sid":', '"Sid":"first","Sid":', 1)
    yield "policy-element", top(Comment="probe")
    yield "policy-version", top(Version="2020-01-01")
    yield "statement-element", document(Comment="probe")
    yield "statement-sid", top(Statement=[statement, statement])
    yield "statement-not-action", document(Action=None, NotAction="ses:SendRawEmail")
    yield "statement-not-principal", document(Principal=None, NotPrincipal=statement["Principal"])
    yield "statement-both", document(NotResource=place.arn("other." + place.identity))
    yield "statement-both", document(NotAction="ses:SendRawEmail")
    yield "statement-both", document(NotPrincipal=statement["Principal"])
    yield "effect-case", document(Effect="ALLOW")


def _principals(place: Place) -> Doubts:
    root = place.statement()["Principal"]["AWS"]
    for doubt, principal in (
        ("principal-key", {"AWS": root, "Human": "probe"}),
        ("principal-key-unlisted", {"Federated": "cognito-identity.amazonaws.com"}),
        ("principal-empty", {"AWS": []}),
        ("principal-number", {"AWS": int(place.account)}),
        ("principal-wildcard", {"AWS": root.replace(":root", ":user/*")}),
        ("principal-arn", {"AWS": "somebody"}),
        ("principal-service", {"Service": "https://ses.amazonaws.com"}),
    ):
        yield doubt, place.document(Principal=principal)


def _actions(place: Place) -> Doubts:
    yield "action-case", place.document(Action="ses:sendemail")
    yield "action-unlisted", place.document(Action="ses:SendBounce")
    yield "action-unknown", place.document(Action=["ses:SendEmail", "ses:SendEmial"])


def _resources(place: Place) -> Doubts:
    arn = place.arn()
    yield "resource-list", place.document(Resource=[arn])
    yield "resource-repeated", place.document(Resource=[arn, arn])
    yield "resource-case", place.document(Resource=place.arn(place.identity.upper()))
    yield "resource-wildcard", place.document(Resource="*")
    yield "resource-mismatch", place.document(Resource=place.arn("other." + place.identity))


def _conditions(place: Place) -> Doubts:
    statement = place.statement()
    never, root = statement["Condition"], statement["Principal"]["AWS"]
    yield "condition-empty", place.document(Condition=never | {"StringLike": {}})
    for doubt, operator, key, value in (
        ("condition-operator", "StringResembles", "ses:FromDisplayName", "probe"),
        ("condition-operator-case", "stringlike", "ses:FromDisplayName", "probe"),
        ("condition-key", "StringLike", "probe", "probe"),
        ("condition-key-case", "StringLike", "ses:fromdisplayname", "probe"),
        ("condition-key-prefix", "StringLike", "AWS:SourceAccount", place.account),
        ("condition-key-unlisted", "StringLike", "aws:PrincipalArn", root),
        ("condition-boolean", "Bool", "aws:SecureTransport", "maybe"),
        ("condition-number", "NumericLessThan", "aws:EpochTime", "many"),
        ("condition-date", "DateLessThan", "aws:CurrentTime", "yesterday"),
        ("condition-cidr", "IpAddress", "aws:SourceIp", "here"),
        ("condition-arn", "ArnLike", "aws:SourceArn", "somewhere"),
        ("condition-binary", "BinaryEquals", "aws:UserAgent", "%%%"),
        ("condition-variable", "StringLike", "ses:FromDisplayName", "${aws:username}"),
    ):
        document = place.document(Condition=never | {operator: {key: value}})
        old = doubt == "condition-variable"  # that is what it is doubtful in
        yield doubt, document.replace("2012-10-17", "2008-10-17") if old else document


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    doubts: dict[str, Reply] = {}
    for doubt, document in doubtful(asker.place):
        before = doubts.get(doubt)
        if before is None or not before.taken:
            reply = await asker.told(asker.place.put(PREFIX + "01", document))
            doubts[doubt] = before if before is not None and before.taken is None and not reply.taken else reply
    return weighed(doubts, told_of())


QUESTION = Question(
    "document", "what is refused of what is doubtful in a policy", "which findings are errors", 100, 110, ask
)
