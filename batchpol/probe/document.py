"""Does SES refuse what is doubtful in a policy?

Each is put alone, in a policy that is right otherwise and allows nobody anything: an Effect in another case, elements,
condition keys and actions that do not exist, a key twice, Resource as ``*``, another identity's or a list of one, and
so on, by the codes of findings. Taken once is taken; refused is what is refused three times in the same words.

With what is known here, batchpol rejects offline what is refused, and is silent about what is taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from batchpol.facts import Told
from batchpol.probe.asking import Asker, Reply
from batchpol.probe.place import PREFIX, Place
from batchpol.probe.question import Question, told_of, weighed


def doubtful(place: Place) -> list[tuple[str, str]]:
    """Policies with one doubtful thing each, by the code of the finding; of several with one, each must be refused."""
    document, statement = place.document, place.statement()
    never, arn = statement["Condition"], place.arn()
    own, root = place.account, statement["Principal"]["AWS"]

    def top(**elements: Any) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]} | elements)

    def when(operator: str, key: str, value: Any) -> str:
        condition = {name: dict(fields) for name, fields in never.items()}
        condition.setdefault(operator, {})[key] = value
        return document(Condition=condition)

    senseless = {"principal-number": own[0] == "0", "resource-case": "@" in place.identity}
    variable = when("StringLike", "ses:FromDisplayName", "${aws:username}")
    found = [
        ("json-duplicate-key", document().replace('"Sid":', '"Sid":"first","Sid":', 1)),
        ("policy-element", top(Comment="probe")),
        ("policy-version", top(Version="2020-01-01")),
        ("statement-element", document(Comment="probe")),
        ("statement-sid", top(Statement=[statement, statement])),
        ("statement-not-action", document(Action=None, NotAction="ses:SendRawEmail")),
        ("statement-not-principal", document(Principal=None, NotPrincipal={"AWS": root})),
        ("statement-both", document(NotResource=place.arn("other." + place.identity))),
        ("statement-both", document(NotAction="ses:SendRawEmail")),
        ("statement-both", document(NotPrincipal={"AWS": root})),
        ("effect-case", document(Effect="ALLOW")),
        ("principal-key", document(Principal={"AWS": root, "Human": "probe"})),
        ("principal-key-unlisted", document(Principal={"Federated": "cognito-identity.amazonaws.com"})),
        ("principal-empty", document(Principal={"AWS": []})),
        ("principal-number", document(Principal={"AWS": int(own)})),
        ("principal-wildcard", document(Principal={"AWS": root.replace(":root", ":user/*")})),
        ("principal-arn", document(Principal={"AWS": "somebody"})),
        ("principal-service", document(Principal={"Service": "https://ses.amazonaws.com"})),
        ("action-case", document(Action="ses:sendemail")),
        ("action-unlisted", document(Action="ses:SendBounce")),
        ("action-unknown", document(Action=["ses:SendEmail", "ses:SendEmial"])),
        ("resource-list", document(Resource=[arn])),
        ("resource-repeated", document(Resource=[arn, arn])),
        ("resource-case", document(Resource=place.arn(place.identity.upper()))),
        ("resource-wildcard", document(Resource="*")),
        ("resource-mismatch", document(Resource=place.arn("other." + place.identity))),
        ("condition-empty", document(Condition=never | {"StringLike": {}})),
        ("condition-operator", when("StringResembles", "ses:FromDisplayName", "probe")),
        ("condition-operator-case", when("stringlike", "ses:FromDisplayName", "probe")),
        ("condition-key", when("StringLike", "probe", "probe")),
        ("condition-key-case", when("StringLike", "ses:fromdisplayname", "probe")),
        ("condition-key-prefix", when("StringLike", "AWS:SourceAccount", own)),
        ("condition-key-unlisted", when("StringLike", "aws:PrincipalArn", root)),
        ("condition-boolean", when("Bool", "aws:SecureTransport", "maybe")),
        ("condition-number", when("NumericLessThan", "aws:EpochTime", "many")),
        ("condition-date", when("DateLessThan", "aws:CurrentTime", "yesterday")),
        ("condition-cidr", when("IpAddress", "aws:SourceIp", "here")),
        ("condition-arn", when("ArnLike", "aws:SourceArn", "somewhere")),
        ("condition-binary", when("BinaryEquals", "aws:UserAgent", "%%%")),
        ("condition-variable", variable.replace("2012-10-17", "2008-10-17")),
    ]
    return [(doubt, it) for doubt, it in found if not senseless.get(doubt)]


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
