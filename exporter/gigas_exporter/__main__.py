"""The command ``gigas-exporter``, also run as ``python -m gigas_exporter``."""

from __future__ import annotations

import sys

from gigas_exporter.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
