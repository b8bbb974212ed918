"""``python tests/fuzz -max_total_time=600 CORPUS``: let atheris look for what breaks the fuzz target."""

import importlib
import logging
import sys
from typing import Any

if __name__ == "__main__":
    atheris: Any = importlib.import_module("atheris")  # it has no types
    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=["gigas_exporter"]):
        target = importlib.import_module("decoding")
    atheris.Setup(sys.argv, target.fuzz)
    atheris.Fuzz()
