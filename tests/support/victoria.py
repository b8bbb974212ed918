"""VictoriaMetrics as a site runs it: vmagent scrapes and sends, the store keeps, vmalert evaluates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.programs import answers, await_true, field_tool, free_port, running

__all__ = ["victoria"]


@contextmanager
def victoria(directory: Path, scrapes: str, rules: Path, notifier: str, label: str) -> Iterator[str]:
    """Run all three until the end of the block, and yield the address of the store.

    Args:
        directory: For their data.
        scrapes: vmagent's configuration.
        rules: The rule files, as a pattern.
        notifier: Where Alertmanager is.
        label: A label that vmalert adds, as name=value.
    """
    store, agent, alert = (f"127.0.0.1:{free_port()}" for _ in range(3))
    (directory / "scrapes.yml").write_text(scrapes, encoding="utf-8")
    commands = {
        store: [
            *(field_tool("victoria-metrics"), f"-httpListenAddr={store}", f"-storageDataPath={directory}/victoria"),
            *("-search.latencyOffset=0s", "-search.disableCache", "-inmemoryDataFlushInterval=1s"),
        ],
        agent: [
            *(field_tool("vmagent"), f"-httpListenAddr={agent}", f"-promscrape.config={directory}/scrapes.yml"),
            *(f"-remoteWrite.url=http://{store}/api/v1/write", f"-remoteWrite.tmpDataPath={directory}/vmagent"),
            "-remoteWrite.flushInterval=1s",
        ],
        alert: [
            *(field_tool("vmalert"), f"-httpListenAddr={alert}", f"-rule={rules}", f"-datasource.url=http://{store}"),
            *(f"-remoteWrite.url=http://{store}", f"-remoteRead.url=http://{store}", f"-notifier.url={notifier}"),
            *(f"-external.label={label}", "-rule.evalDelay=0s", "-disableAlertgroupLabel"),
        ],
    }
    with ExitStack() as stack:
        for address, command in commands.items():
            process = stack.enter_context(running(command, directory))
            await_true(lambda a=address, p=process: p.popen.poll() is not None or answers(f"http://{a}/health"))  # type: ignore[misc]
            assert process.popen.poll() is None, process.stderr
        yield f"http://{store}"
