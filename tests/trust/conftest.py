"""An account of four disks, of which one may have missed its backups, and the commands that tell of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.commands import run_command
from support.small_api import SmallApi, ago, healthy

ACCOUNT = "/account/4242"
DISKS, BACKUPS, MACHINES = f"{ACCOUNT}/disks", f"{ACCOUNT}/backups", f"{ACCOUNT}/virtual_machines"
MISSED = 2
"""The id of the disk that has missed its backups, where one has."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the commands tell of an account: the exit status and words of ``check``, and the metrics."""

    status: int
    words: str
    nagios: int
    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def metric(self, name: str, **labels: str) -> list[float]:
        """Return the values of a metric's series that have these labels."""
        wanted = labels.items()
        return [value for (each, has), value in self.samples.items() if each == name and wanted <= has]

    def finding(self, finding: str) -> set[str]:
        """Return the ids of the disks of which a metric tells the finding."""
        series = [dict(labels) for name, labels in self.samples if name == "gigas_disk_finding"]
        return {labels["disk_id"] for labels in series if labels["finding"] == finding}


@pytest.fixture
def api() -> Iterator[SmallApi]:
    """Four disks that are well."""
    with SmallApi(healthy()) as server:
        yield server


@pytest.fixture
def missed(api: SmallApi) -> SmallApi:
    """The second disk's newest usable backup is sixty hours old."""
    for item in backups_of(api, MISSED):
        item["date_created"] = ago(hours=60 + 24 * (item["id"] % 10))
    return api


def backups_of(api: SmallApi, disk: int | None = None) -> list[dict[str, Any]]:
    """Return a disk's backups, or all, each as it stands in the account's list and in the disk's own."""
    lists = [items for path, items in api.lists.items() if path == BACKUPS or path.startswith(f"{ACCOUNT}/disk/")]
    return [item for items in lists for item in items if disk is None or item["disk_id"] == disk]


@pytest.fixture
def tell(api: SmallApi, tmp_path: Path) -> Callable[..., Told]:
    """Run the commands in this process against the account."""

    def run(*arguments: str, config: str = "", page_size: int = 200) -> Any:
        environ = {"GIGAS_API_PAGE_SIZE": str(page_size)}
        if config:
            path = tmp_path / "exporter.yml"
            path.write_text(config)
            environ["GIGAS_CONFIG_FILE"] = str(path)
        return run_command(api.url, *arguments, **environ)

    def tell(**settings: Any) -> Told:
        check, nagios, collect = (run(*line.split(), **settings) for line in ("check", "check --nagios", "collect"))
        samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(collect.stdout)
            for sample in family.samples
        }
        return Told(check.exit_code, check.output, nagios.exit_code, samples)

    return tell
