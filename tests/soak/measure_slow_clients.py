"""Print what scrapes take among rude clients: ``python tests/soak/measure_slow_clients.py``."""

import importlib
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    crowd = importlib.import_module("soak.slow_clients")
    sys.stdout.write(crowd.HEADER)
    for tls in (False, True):
        with tempfile.TemporaryDirectory(prefix="gigas-rude-") as directory:
            for figures in crowd.measure(Path(directory), tls=tls):
                sys.stdout.write(f"{figures}\n")
