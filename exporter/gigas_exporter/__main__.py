"""The command ``gigas-exporter``, also run as ``python -m gigas_exporter``."""

from __future__ import annotations

import os
import signal
import sys

from gigas_exporter.cli import LONG_RUNNING


def main() -> int:
    """Run the command line; signals are held until a command waits.

    A container's first process would otherwise ignore a SIGTERM that comes while modules are imported. Until all files
    are read, it ends a long-running command at once and well: nothing has begun yet. Later it ends without the
    interpreter's own shutdown, which waits for threads that check a password or read from a file system that hangs.
    """
    is_long_running = bool(LONG_RUNNING.intersection(sys.argv[1:2]))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    if is_long_running:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    from gigas_exporter.cli.main import main as run  # noqa: PLC0415  (takes a tenth of a second)

    status = run()
    if is_long_running:
        import logging  # noqa: PLC0415  (as above)

        logging.shutdown()
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
