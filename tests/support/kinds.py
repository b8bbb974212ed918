"""The kind of each test, by its file, and the check that no test does more than its kind allows.

``unit`` needs no socket and no other process; ``http`` uses sockets of this process; ``system`` starts programs. A file
that is not listed is ``system``, which may do anything. A mark on a test overrides the kind of its file; ``field`` is
only given as a mark.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
import urllib3  # noqa: F401  # its first import binds a socket, which must not happen in a unit test

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
_PROCESSES = ((subprocess.Popen, "__init__"), (os, "fork"), (os, "posix_spawn"), (os, "system"))
_SOCKETS = ((socket.socket, "bind"), (socket.socket, "connect"), (socket.socket, "connect_ex"), (socket, "getaddrinfo"))
_EXCLUDED: Mapping[str, Sequence[tuple[object, str]]] = {"unit": (*_PROCESSES, *_SOCKETS), "http": _PROCESSES}


class DoesMoreError(BaseException):
    """A test does what its kind forbids. No ``except Exception`` in the tested code catches it."""


def kind_of(item: pytest.Item) -> str:
    """Return the kind of a test."""
    own = [mark.name for mark in item.iter_markers() if mark.name in {*_EXCLUDED, "system", "field"}]
    if own:
        return own[0]
    return kind_of_file(item.path)


@cache
def kind_of_file(path: Path) -> str:
    """Return the kind of the unmarked tests of a file."""
    file = path.relative_to(_TESTS).as_posix()
    for kind, patterns in (("system", _SYSTEM), ("unit", _UNIT), ("http", _HTTP)):
        if any(fnmatch(file, pattern) for pattern in patterns):
            return kind
    return "system"


@contextmanager
def doing_no_more_than(kind: str) -> Iterator[None]:
    """Fail if the block does more than a kind allows, in any thread."""
    broken: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _EXCLUDED.get(kind, ()):

            def refuse(*_arguments: object, _name: str = name, **_options: object) -> NoReturn:
                broken.append(_name)
                raise DoesMoreError(f"a {kind} test must not call {_name}: list its file as another kind in {__name__}")

            patch.setattr(owner, name, refuse)
        yield
    if broken:  # in a thread, or caught
        raise DoesMoreError(f"a {kind} test must not call {broken[0]}")
