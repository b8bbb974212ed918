"""A process with very many accounts, most of which hang."""

from __future__ import annotations

import time
from pathlib import Path

from support.programs import await_true, exporter
from support.raw_api import RawApi
from support.timing import within
from support.usage import threads

ACCOUNTS = 600
MOST_THREADS = 64


def test_scrapes_are_answered_while_600_accounts_hang(tmp_path: Path, clean: dict[str, str]) -> None:
    """Discovery finds them, three quarters never answer, and no thread is made for each."""
    accounts = [str(number) for number in range(1, ACCOUNTS + 1)]
    hanging = {each for each in accounts if int(each) % 4}
    config = tmp_path / "config.yml"
    with RawApi(accounts, hanging) as api:
        config.write_text(
            f"api: {{url: '{api.url}', timeout: 2s, max_requests_per_second: 0}}\n"
            "discover: true\ncredential: {token: a-token}\npoll: {interval: 5s}\n"
        )
        with exporter(tmp_path, clean, f"--config.file={config}", ready=False) as served:
            await_true(lambda: f"gigas_exporter_accounts {ACCOUNTS}" in served.get("/metrics").text)
            most = read = 0
            until = time.monotonic() + 6.0
            while time.monotonic() < until:
                with within(1.0):
                    page = served.get("/metrics").text
                read = page.count("gigas_exporter_poll_last_success_timestamp_seconds{")
                most = max(most, threads(served.process.popen.pid))
                time.sleep(0.1)
            assert served.answers("/-/healthy")
            assert most < MOST_THREADS
            assert read > 0, "no account was read"
            with within(5.0):
                assert served.process.end() == 0
