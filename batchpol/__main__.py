"""The command: ``batchpol`` and ``python -m batchpol``."""

from __future__ import annotations

import sys

try:
    from batchpol.cli import main
except KeyboardInterrupt:  # on a slow disk it takes long enough for somebody to think better of it
    sys.exit(130)

if __name__ == "__main__":
    main()
