"""The command ``gigas-exporter``, also run as ``python -m gigas_exporter``."""

from __future__ import annotations

import os
import signal
import sys

from gigas_exporter.cli import LONG_RUNNING


def main() -> int:
    """Run the command line; handle signals from the start.

    As a container's first process it would otherwise ignore a SIGTERM during imports. A SIGTERM that comes before all
    files are read ends a long-running command at once with status 0: nothing has started yet. Later such a command
    skips the interpreter's shutdown, which waits for threads that check a password or read from a hanging file system.
    """
    is_long_running = bool(LONG_RUNNING.intersection(sys.argv[1:2]))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    if is_long_running:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    from gigas_exporter.cli.main import main as run  # noqa: PLC0415  (importing takes 0.1 s)

    status = run()
    if is_long_running:
        import logging  # noqa: PLC0415  (as above)

        logging.shutdown()
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
