"""One export: who we are, its targets at once, the rows in order. It prints nothing and handles no signals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import anyio.to_thread

from batchpol.exporting.ending import end
from batchpol.exporting.observer import Exported, ExportObserver
from batchpol.exporting.options import ANY, ExportOptions, named_in
from batchpol.exporting.partial import Partial, PartialHeader
from batchpol.exporting.reading import Deliver, Readers
from batchpol.model import Target
from batchpol.outputs import check_outputs
from batchpol.sending.stopping import Stoppable
from batchpol.sending.targets import Targets

PARTIAL = ".partial"
"""How the name ends of what is kept beside an output until it is complete."""


class Export(Stoppable):
    """One export; :meth:`run` once, :meth:`stop` from anywhere on its loop.

    Args:
        options: every choice.
        observer: who wants to know.
        deliver: given the rows of one identity after the other, each with its line end, those of the first target
            first; ``None`` where only the file counts.

    Raises:
        UsageError: what is to be exported cannot be.
    """

    def __init__(
        self, options: ExportOptions, *, observer: ExportObserver | None = None, deliver: Deliver | None = None
    ) -> None:
        super().__init__()
        self.options, self._observer, self._deliver = options, observer or ExportObserver(), deliver
        self._named = options.named()

    async def run(self, targets: Targets) -> Exported:
        """Export from targets that are open, and stay so.

        Raises:
            UsageError: configuration or output unusable; nothing was read.
            JournalError: what is read cannot be kept, or what was kept cannot be used.
        """
        begun, options = time.monotonic(), self.options
        if options.output is not None:
            check_outputs([options.output], {}, setting="output")
        here = None
        with self._stoppable(0):
            here = await targets.here()
        if here is None:
            reason, code = self.stopped or ("stopped", 3)
            return Exported(reason=reason, exit_code=code, seconds=time.monotonic() - begun)
        wanted = {target: named_in(target, self._named) for target in options.wanted(here.target, self._named)}
        targets.check_expected(wanted)
        with self._open_partial(list(wanted), here.endpoint) as partial:
            if partial.earlier:
                targets.heed(None, datetime.now(UTC))
            self._observer.begun(here, list(wanted), partial)
            reading = Readers(self, targets, wanted, partial, options, self._observer)
            with self._stoppable(options.drain, reading.halt):
                await reading.read(self._deliver)
            result = await anyio.to_thread.run_sync(end, reading, partial, options.output, self.early)
        result.seconds = time.monotonic() - begun
        return result

    def _open_partial(self, targets: Sequence[Target], endpoint: str) -> Partial:
        scope, output = self.options.scope, self.options.output
        header = PartialHeader(
            begun=datetime.now(UTC).isoformat(timespec="seconds"),
            endpoint=endpoint,
            targets=tuple(map(str, targets)),
            identities=tuple(sorted({it.text for it in self._named})),
            match=scope.match or ANY,
            match_name=scope.match_name or ANY,
        )
        if output is None:
            return Partial.temporary(header)
        return Partial.at(output.with_name(output.name + PARTIAL), header, fresh=self.options.fresh)
