"""Follow a backup that was asked for until it can be used."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from gigas_exporter import human
from gigas_exporter.cli.disks.access import Access
from gigas_exporter.clock import Budget
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import ReadClient
from gigas_exporter.model import Backup

__all__ = ["wait_for_backup"]

_STEP_SECONDS = 5.0


def wait_for_backup(
    client: ReadClient,
    access: Access,
    account_id: str,
    disk_id: str,
    *,
    known_ids: frozenset[str],
    new_id: str | None,
    timeout_seconds: float,
) -> None:
    """Wait until a disk has a new backup whose status is neither failed nor unfinished.

    The new one is that with the id that the API gave, else any whose id was not known before. An API that cannot be
    read for a while is waited for as well.

    Raises:
        GigasError: It failed, or there is none in time.
    """
    budget = Budget(access.clock, timeout_seconds)
    began = access.clock.monotonic()
    with _progress() as tell:
        while True:
            try:
                listed = client.list_disk_backups(account_id, disk_id, budget=budget).items
            except GigasError as error:
                tell(f"cannot be read now: {error}")
                listed = ()
            found = _newest(each for each in listed if each.id == new_id or each.id not in known_ids)
            status = human.printable(found.status) if found is not None else "not to be seen yet"
            word = (found.status or "").casefold() if found is not None else ""
            if found is not None and word in access.settings.status_words.failed:
                raise GigasError(f"backup {found.id} of disk {disk_id} failed: its status is {status}")
            if found is not None and word not in access.settings.status_words.unfinished:
                break
            tell(f"{human.age(access.clock.monotonic() - began)}: {status}")
            if not budget.wait(_STEP_SECONDS):
                raise GigasError(f"disk {disk_id} has no new backup after {human.age(timeout_seconds)} ({status})")
    took = human.age(access.clock.monotonic() - began)
    click.echo(f"backup {human.printable(found.id)} of disk {disk_id} can be used; it took {took}")


def _newest(backups: Iterable[Backup]) -> Backup | None:
    return max(backups, key=lambda backup: backup.date_created or 0.0, default=None)


@contextmanager
def _progress() -> Iterator[Any]:
    """Yield a function that shows one line on a terminal, each in place of the last; elsewhere nothing is shown."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415  # costs what only a terminal needs
    from rich.markup import escape  # noqa: PLC0415

    with Console(stderr=True).status("waiting for the backup") as status:
        yield lambda text: status.update(f"waiting for the backup, {escape(text)}")
