"""Debian's Chromium for tests, driven through ``browser.mjs`` beside this file."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from support.programs import node, tool

_HERE = Path(__file__).parent
_PATIENCE_SECONDS = 30.0


class Browser:
    """One page at a time, as a visitor sees it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def open(self, url: str, **look: Any) -> dict[str, Any]:
        """Open an address in a fresh window; ``look`` is ``width``, ``height``, ``scheme`` (light or dark)."""
        result: dict[str, Any] = self._tell({"open": url, **look})
        return result

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        return self._tell({"evaluate": expression})

    def texts(self, selector: str) -> list[str]:
        """Return what a visitor reads in each element."""
        result: list[str] = self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(each => each.innerText)"
        )
        return result

    def barriers(self) -> list[str]:
        """Return what axe-core finds to keep people out."""
        result: list[str] = self._tell({"axe": True})
        return result

    def click(self, selector: str) -> dict[str, Any]:
        """Click, and wait for the page that this leads to."""
        result: dict[str, Any] = self._tell({"click": selector})
        return result

    def fill(self, selector: str, value: str) -> dict[str, Any]:
        """Write into a field, press Enter, and wait for the page that this leads to."""
        result: dict[str, Any] = self._tell({"fill": selector, "value": value})
        return result

    def screenshot(self, path: Path) -> None:
        """Take a picture of what is in the window."""
        self._tell({"screenshot": str(path)})

    def seen(self) -> dict[str, list[str]]:
        """Return the ``requests`` that the window made, and the ``complaints`` of the browser."""
        result: dict[str, list[str]] = self._tell({"seen": True})
        return result

    def _tell(self, command: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        readable, _, _ = select.select([self._process.stdout], [], [], _PATIENCE_SECONDS)
        assert readable, f"the browser did not answer: {command}"
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start Chromium; without it, or Node and the packages, a test fails in CI and is skipped elsewhere."""
    command = [node(_HERE), str(_HERE / "browser.mjs"), tool("chromium")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_HERE) as process:
        try:
            yield Browser(process)
        finally:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=10)
            process.kill()
