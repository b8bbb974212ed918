"""Which test is of which kind: by its file, in this one table; and the watch that no test does more than its kind says.

``unit`` needs no socket and no other process; ``http`` speaks over sockets of this process; ``system`` starts programs.
A file that is not named here is ``system``, which may do anything. A test's own mark goes before its file's; ``field``
is always such a mark.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
import urllib3  # noqa: F401  # its first import binds a socket, which must not fall into a unit test

__all__ = ["DoesMoreError", "doing_no_more_than", "kind_of", "kind_of_file"]

_TESTS = Path(__file__).resolve().parent.parent
_UNIT = (
    "alerts/test_alerts_lint.py",
    "alerts/test_alerts_runbooks.py",
    "config/*",
    "dashboards/test_dashboards_bundle.py",
    "dashboards/test_dashboards_linter.py",
    "dashboards/test_dashboards_structure.py",
    "decode/*",
    "docs/test_docs_names.py",
    "logs/*",
    "metrics/*",
    "report/*",
    "repository/test_repository_architecture.py",
    "repository/test_repository_packaging.py",
    "web/test_web_yaml.py",
    "web/test_web_config_file.py",
    "web/test_web_negotiation.py",
)
_SYSTEM = ("client/test_client_wire.py",)  # the others in its folder are not
_HTTP = (
    "cli/test_cli_check.py",
    "cli/test_cli_config.py",
    "cli/test_cli_disks_read.py",
    "cli/test_cli_probe.py",
    "client/*",
    "poller/*",
    "sharding/test_sharding_requests.py",
    "simulator/*",
    "statuspage/test_statuspage_render.py",
    "web/test_web_head.py",
    "web/test_web_routes.py",
    "web/test_web_server.py",
)
_PROCESS_EVENTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"})
_EVENTS = {
    "unit": _PROCESS_EVENTS | {"socket.bind", "socket.connect", "socket.getaddrinfo"},
    "http": _PROCESS_EVENTS,
}


class DoesMoreError(BaseException):
    """A test does what its kind excludes. No ``except Exception`` in what is tested hides it."""


def kind_of(item: pytest.Item) -> str:
    """Return the kind of a test."""
    own = [mark.name for mark in item.iter_markers() if mark.name in {*_EVENTS, "system", "field"}]
    if own:
        return own[0]
    return kind_of_file(item.path)


@cache
def kind_of_file(path: Path) -> str:
    """Return the kind of the tests of a file that have no mark of their own."""
    file = path.relative_to(_TESTS).as_posix()
    for kind, patterns in (("system", _SYSTEM), ("unit", _UNIT), ("http", _HTTP)):
        if any(fnmatch(file, pattern) for pattern in patterns):
            return kind
    return "system"


class _Excluded:
    """The name of an event that a test must not cause, as a key of a dictionary."""

    def __init__(self, event: str, kind: str) -> None:
        self._event, self._kind = event, kind

    def __hash__(self) -> int:
        return hash(self._event)

    def __eq__(self, event: object) -> bool:
        """Called when the event itself is looked up, that is, when it has happened."""
        if event == self._event:
            _broken.append(self._event)
            raise DoesMoreError(
                f"a {self._kind} test must not cause {event}: name its file otherwise in tests/support/kinds.py"
            )
        return self is event


# Python tells a hook of all that happens, and the hook cannot be taken out again. This one looks the event up without
# running any Python: where it did, another thread might run meanwhile, and Python 3.11 ends a thread of which tracing
# begins while it does for another.
_excluded: dict[object, None] = {}
_broken: list[str] = []
_hooks: list[object] = []


@contextmanager
def doing_no_more_than(kind: str) -> Iterator[None]:
    """Fail when what is done in the block exceeds a kind, whichever thread does it."""
    if not _hooks:
        _hooks.append(_excluded.get)
        sys.addaudithook(_excluded.get)
    _broken.clear()
    for event in _EVENTS.get(kind, ()):
        _excluded[_Excluded(event, kind)] = None
    try:
        yield
    finally:
        _excluded.clear()
    if _broken:  # in a thread, or caught
        raise DoesMoreError(f"a {kind} test must not cause {_broken[0]}")
