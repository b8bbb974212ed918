"""The command ``gigas-exporter``, also run as ``python -m gigas_exporter``."""

from __future__ import annotations

import os
import signal
import sys

from gigas_exporter.cli import LONG_RUNNING


def main() -> int:
    """Run the command line, with signals held until a command waits for them.

    A container's first process would otherwise ignore a SIGTERM that comes while modules are imported. It ends a
    long-running command at once and well: nothing has begun yet.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    if LONG_RUNNING.intersection(sys.argv[1:2]):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    from gigas_exporter.cli.main import main as run  # noqa: PLC0415  (takes a tenth of a second)

    return run()


if __name__ == "__main__":
    sys.exit(main())
