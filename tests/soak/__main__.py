"""``make soak``: the exporter under random faults for a while; prints figures, and exits with 1 when something grew."""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    sys.exit(importlib.import_module("soak.run").main())
