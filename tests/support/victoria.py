"""VictoriaMetrics as a site runs it: vmagent scrapes, the store keeps the samples, vmalert evaluates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.programs import Process, await_start, field_tool, free_port, running


@contextmanager
def victoria(directory: Path, scrapes: str, rules: Path, notifier: str, label: str) -> Iterator[str]:
    """Run all three until the end of the block; yield the URL of the store.

    Args:
        directory: For their data.
        scrapes: vmagent's configuration.
        rules: The rule files, as a pattern.
        notifier: Where Alertmanager is.
        label: A label that vmalert adds, as name=value.
    """
    more = (f"-notifier.url={notifier}", f"-external.label={label}")
    with store_and_vmalert(directory, rules, more) as store, vmagent(directory, scrapes, store):
        yield store


@contextmanager
def vmagent(directory: Path, scrapes: str, store: str) -> Iterator[Process]:
    """Run vmagent until the end of the block; it sends samples to the store."""
    (directory / "scrapes.yml").write_text(scrapes, encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        *(field_tool("vmagent"), f"-httpListenAddr={address}", f"-promscrape.config={directory}/scrapes.yml"),
        *(f"-remoteWrite.url={store}/api/v1/write", f"-remoteWrite.tmpDataPath={directory}/vmagent"),
        "-remoteWrite.flushInterval=1s",
    ]
    with _healthy(command, address, directory) as process:
        yield process


@contextmanager
def store_and_vmalert(directory: Path, rules: Path, more: Sequence[str]) -> Iterator[str]:
    """Run the store, and vmalert with further arguments; yield the URL of the store."""
    store, alert = (f"127.0.0.1:{free_port()}" for _ in range(2))
    keeping = [
        *(field_tool("victoria-metrics"), f"-httpListenAddr={store}", f"-storageDataPath={directory}/victoria"),
        *("-search.latencyOffset=0s", "-search.disableCache", "-inmemoryDataFlushInterval=1s"),
    ]
    evaluating = [
        *(field_tool("vmalert"), f"-httpListenAddr={alert}", f"-rule={rules}", f"-datasource.url=http://{store}"),
        *(f"-remoteWrite.url=http://{store}", f"-remoteRead.url=http://{store}"),
        *("-rule.evalDelay=0s", "-disableAlertgroupLabel", *more),
    ]
    with _healthy(keeping, store, directory), _healthy(evaluating, alert, directory):
        yield f"http://{store}"


@contextmanager
def _healthy(command: Sequence[str], address: str, directory: Path) -> Iterator[Process]:
    with running(command, directory) as process:
        await_start(process, f"http://{address}/health")
        yield process
