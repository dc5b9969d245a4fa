"""The caller's own SES client in the place of all connections."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from batchpol.model import Target
from batchpol.model.errors import AccessRefused
from batchpol.model.settings import Connection
from batchpol.ses import Aws, Caller, Ses, adopt, elsewhere, redaction


class Adopted(Aws):
    """The caller's own SES client in the place of all connections of a run: of one target, and never closed."""

    def __init__(self, connection: Connection, client: Any, account: str) -> None:
        self.connection, self._stack = connection, ExitStack()
        self._ses = self._stack.enter_context(adopt(client))
        self._target = Target(account, str(client.meta.region_name))

    async def __aexit__(self, *_: object) -> None:
        redaction.end()
        self._stack.close()

    def region(self) -> str:
        return self._target.region

    async def caller(self, region: str, account: str = "") -> Caller:
        return Caller(self._target.account, "the owner of the client")

    async def endpoint(self, region: str) -> str:
        return elsewhere(self._ses.client)

    async def ses(self, target: Target, service: str = "ses") -> Ses:
        if target != self._target:
            raise AccessRefused(
                f"the client is of {self._target}, and the records are of {target}",
                code="WrongRegion",
                hint="give each target its own client and its own call",
            )
        return self._ses

    async def renew(self, target: Target, used: Ses) -> Ses | None:
        return None
