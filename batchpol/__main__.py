"""The command: ``batchpol`` and ``python -m batchpol``."""

from __future__ import annotations

from batchpol.cli import main

if __name__ == "__main__":
    main()
