"""The cost of findings in a poll: evaluating all disks and rendering the findings, in this process."""

from __future__ import annotations

import time
from dataclasses import replace

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.cli.poll_once import poll_once
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.gigas import ApiKeyCredential, ApiSettings, FixedSecret
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.metrics.account_renderer import AccountRenderer
from gigas_exporter.metrics.families import DISK_LABELS
from gigas_exporter.metrics.render import labels_text
from gigas_exporter.model import Account
from gigas_exporter.secret import Secret
from processes_under_test import ACCOUNT, KEY, Cloud
from results import Figure
from sampling import TARGETS, Sampling

__all__ = ["measure_findings"]

_EVERY = 10
_LATE_SECONDS = 30 * 3600.0


def measure_findings(cloud: Cloud, sampling: Sampling) -> list[Figure]:
    """Poll alternately with late and recent backups of every tenth disk."""
    inventory = _read(cloud)
    wall, now = time.time(), time.monotonic()
    disks = inventory.current_disks(now) or {}
    labels = [labels_text(DISK_LABELS, (ACCOUNT, disk.id, disk.virtual_machine_id)) for disk in disks.values()]
    part = AccountRenderer()
    samples = []
    for turn in range(2 * sampling.judgements):
        polled = _polled(inventory, _LATE_SECONDS if turn % 2 else 0.0)
        summaries = [polled.backup_summary(disk_id, now) for disk_id in disks]
        before = time.thread_time()
        part.update_findings(polled, labels, summaries, now=now, wall=wall)
        samples.append(time.thread_time() - before)
    target = TARGETS["findings"].get(cloud.disks)
    found = samples[3::2]  # the polls with late backups; the first two polls warm up
    return [Figure.median("findings of a poll, processor time", cloud.disks, "s", found, target)]


def _read(cloud: Cloud) -> AccountInventory:
    """Return the account as a poll reads it."""
    key = ApiKeyCredential(FixedSecret(Secret(KEY), "the benchmark"))
    api = ApiSettings(url=cloud.url, max_requests_per_second=0.0)
    (inventory,) = poll_once(Settings(accounts=(AccountSettings(Account(ACCOUNT), key),), api=api)).inventories
    return inventory


def _polled(inventory: AccountInventory, late_seconds: float) -> AccountInventory:
    """Return the account after a poll in which the backups of every tenth disk are older."""
    backups = inventory.backups
    if backups is None:
        raise RuntimeError("the backups could not be read")
    summaries = {
        disk_id: summary if index % _EVERY else _older(summary, late_seconds)
        for index, (disk_id, summary) in enumerate(backups.summaries.items())
    }
    return replace(inventory, backups=replace(backups, summaries=summaries))


def _older(summary: BackupSummary, seconds: float) -> BackupSummary:
    return summary if summary.newest_at is None else replace(summary, newest_at=summary.newest_at - seconds)
