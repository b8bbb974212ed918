"""Follow a requested backup until it is usable."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from gigas_exporter import formatting
from gigas_exporter.cli.accounts import AccountSelection
from gigas_exporter.cli.progress import progress
from gigas_exporter.clock import Deadline
from gigas_exporter.errors import ApiError, GigasError, Reason
from gigas_exporter.gigas import ReadClient
from gigas_exporter.model import Backup

_RETRYABLE_REASONS: Final[frozenset[Reason]] = frozenset(
    {"timeout", "connection", "rate_limited", "server", "invalid", "incomplete"}
)
"""What the API can get over by itself, so that a wait goes on."""

_SHORTEST_STEP_SECONDS, _LONGEST_STEP_SECONDS = 0.5, 10.0
_STEP_SHARE = 0.1
_OUTCOMES: Final = {"unclear": "; this is not understood", "unconfirmed": "; this is not known to be usable"}


def wait_for_backup(
    client: ReadClient,
    selection: AccountSelection,
    account_id: str,
    disk_id: str,
    *,
    known_ids: frozenset[str],
    new_id: str | None,
    timeout_seconds: float,
) -> str:
    """Wait until a disk has a new usable backup; return a sentence on it.

    The new one is that with the id that the API gave; while that is not listed, any whose id was not known before. An
    API that cannot be read for a while is waited for as well.

    Raises:
        GigasError: The backup failed, there is none in time, or it cannot be known.
    """
    deadline = Deadline(selection.clock, timeout_seconds)
    began = selection.clock.monotonic()
    with progress(f"waiting for the backup of disk {disk_id}") as tell:
        while True:
            listed, state = _list_backups(client, account_id, disk_id, deadline)
            new = [each for each in listed if each.id == new_id or each.id not in known_ids]
            found = max(new, key=lambda each: (each.id == new_id, each.date_created or 0.0), default=None)
            waited = selection.clock.monotonic() - began
            if found is not None:
                outcome = selection.settings.status_words.outcome(found)
                if outcome == "failed":
                    raise GigasError(f"backup {found.id} of disk {disk_id} failed: its status is {found.status}")
                if outcome == "usable":
                    return f"backup {found.id} of disk {disk_id} can be used; it took {formatting.format_age(waited)}"
                state = f"backup {found.id} is {found.status or 'without a status'}{_OUTCOMES.get(outcome, '')}"
            tell(f"waiting for the backup of disk {disk_id}: {state}; {formatting.format_age(waited)} so far")
            step = min(max(_SHORTEST_STEP_SECONDS, waited * _STEP_SHARE), _LONGEST_STEP_SECONDS)
            if not deadline.wait(min(step, deadline.remaining())) or deadline.remaining() <= 0:
                raise GigasError(
                    f"disk {disk_id} has no new backup that can be used after {formatting.format_age(timeout_seconds)}"
                    f" ({state}); it may still come"
                )


def _list_backups(
    client: ReadClient, account_id: str, disk_id: str, deadline: Deadline
) -> tuple[tuple[Backup, ...], str]:
    """Return the disk's backups, and why the new one is not among them."""
    try:
        return client.list_disk_backups(account_id, disk_id, deadline=deadline).items, "it cannot be seen yet"
    except GigasError as error:
        if isinstance(error, ApiError) and error.status == HTTPStatus.NOT_FOUND:
            raise GigasError(f"account {account_id} has no disk {disk_id} any more") from None
        if error.reason not in _RETRYABLE_REASONS:
            raise
        return (), str(error)
