"""What polls leave behind for the collector, which holds up every thread while it looks for it: nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from support.polling import Watching
from support.simulator import SimulatorServer

_OURS = ("gigas_exporter.", "requests.", "urllib3.")
_NOT_OURS = ("gigas_exporter.simulator",)


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """Everything that only the collector could have freed during the test."""
    gc.collect()
    gc.freeze()  # what other tests still hold is not this one's
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


@pytest.mark.parametrize(("source", "fault"), [("account", None), ("disk", "status")])
def test_polls_leave_no_cycles(
    server: SimulatorServer, watch: Callable[..., Watching], garbage: list[object], source: str, fault: str | None
) -> None:
    """Neither those that succeed nor those that fail, whichever way backups are read."""
    watching = watch(backups_source=source)
    if fault is not None:
        server.faults.add(fault, "list_*")
    watching.await_polls("disks")
    watching.await_polls("backups")
    gc.collect()
    left = [type(each) for each in garbage if type(each).__module__.startswith(_OURS)]
    assert [kind for kind in left if not kind.__module__.startswith(_NOT_OURS)] == []
