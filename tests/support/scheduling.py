"""pytest-xdist's distribution by file, made to go on after a worker's death.

xdist gives the files of a worker that died to others, also those of which nothing is left, and the very test that it
died of. A worker that is given nothing, or a single test, waits for more for ever, and the run with it.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling

# Files that go to one worker, for the sake of what takes a quarter of a minute or more to make: file to first file.
WITH = {
    "tests/dashboards/test_dashboards_rendering.py": "tests/dashboards/test_dashboards_queries.py",
    "tests/deploy/test_deploy_stack.py": "tests/deploy/test_deploy_image.py",
}


class FileScheduling(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """All tests of a file in one worker; the test that a worker died of has failed and is not run again."""

    def _split_scope(self, nodeid: str) -> str:
        """Return what a test goes with, by the name of a file."""
        file: str = super()._split_scope(nodeid)
        return WITH.get(file, file)

    def remove_node(self, node: Any) -> str | None:
        """Queue what is left of a worker's files; return the test that it died of, if any."""
        files = self.assigned_work.pop(node)
        left = (test for tests in files.values() for test, is_done in tests.items() if not is_done)
        crashed_by: str | None = next(left, None)
        if crashed_by is None:
            return None
        files[self._split_scope(crashed_by)][crashed_by] = True
        self.workqueue.update({file: tests for file, tests in files.items() if not all(tests.values())})
        for other in self.nodes:
            self._reschedule(other)
        return crashed_by

    def _reschedule(self, node: Any) -> None:
        """Give a worker files until it has three tests: it runs one when it knows the next, or that there is none."""
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) <= 2:
            super()._reschedule(node)
