"""pytest-xdist's distribution by file, corrected for workers that crash.

xdist reassigns all files of a crashed worker, including finished ones, and the test that crashed it. A worker that gets
no test or a single one waits forever, and the run hangs.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling

# Files that share a worker because they share a fixture that takes 15 s or more: file to first file.
WITH = {
    "tests/dashboards/test_dashboards_rendering.py": "tests/dashboards/test_dashboards_queries.py",
    "tests/deploy/test_deploy_stack.py": "tests/deploy/test_deploy_image.py",
}


class FileScheduling(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Runs all tests of a file in one worker; a test that crashed its worker has failed and is not run again."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the file with whose tests a test is run."""
        file: str = super()._split_scope(nodeid)
        return WITH.get(file, file)

    def remove_node(self, node: Any) -> str | None:
        """Queue the unfinished files of a worker; return the test that crashed it, if any."""
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
        """Give a worker files until it has three tests: it runs a test only when it knows the next, if any."""
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) <= 2:
            super()._reschedule(node)
