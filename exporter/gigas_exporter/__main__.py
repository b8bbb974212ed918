"""The command ``gigas-exporter``, also run as ``python -m gigas_exporter``."""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line, with shutdown signals held until it is known which command runs.

    A container's first process would otherwise ignore a SIGTERM that comes while modules are imported.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    from gigas_exporter.cli.main import main as run  # noqa: PLC0415  (takes a tenth of a second)

    return run()


if __name__ == "__main__":
    sys.exit(main())
