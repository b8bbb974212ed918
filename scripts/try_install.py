"""Check that an installed `gigas-exporter` runs: start its demo on a free port and scrape it.

usage: scripts/try_install.py PATH_TO_GIGAS_EXPORTER
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

_READY_TIMEOUT_SECONDS = 30.0


def main(command: str) -> int:
    """Return 0 once the demo is ready and its metrics page has disks."""
    port = _free_port()
    address = f"127.0.0.1:{port}"
    process = subprocess.Popen(  # noqa: S603 - the command is the one that was just installed
        [command, "demo", "--web.listen-address", address], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        if not _wait_until_ready(f"http://{address}/-/ready", process):
            process.kill()
            print(f"error: the demo did not become ready: {process.communicate()[1][-2000:]}", file=sys.stderr)
            return 1
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            disks = answer.read().decode().count("\ngigas_disk_info{")
        process.terminate()
        process.communicate(timeout=10)
    finally:
        process.kill()
    if not disks or process.returncode:
        print(f"error: {disks} disks, exit status {process.returncode}", file=sys.stderr)
        return 1
    return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(url: str, process: subprocess.Popen[str]) -> bool:
    deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - an http URL
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    return False


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
