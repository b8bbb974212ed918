"""Follow a requested backup until it is usable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from gigas_exporter import formatting
from gigas_exporter.backup_summary import BackupStatuses
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
    words = selection.settings.status_words
    with progress(f"waiting for the backup of disk {disk_id}") as tell:
        while True:
            found, state = _find_backup(
                client,
                account_id,
                disk_id,
                deadline,
                words=words,
                rank=lambda each: _match_rank(each, known_ids, new_id),
            )
            waited = selection.clock.monotonic() - began
            outcome = None if found is None else words.outcome(found)
            if found is not None and outcome == "failed":
                raise GigasError(f"backup {found.id} of disk {disk_id} failed: its status is {found.status}")
            if found is not None and outcome == "usable":
                return f"backup {found.id} of disk {disk_id} can be used; it took {formatting.format_age(waited)}"
            tell(f"waiting for the backup of disk {disk_id}: {state}; {formatting.format_age(waited)} so far")
            step = min(max(_SHORTEST_STEP_SECONDS, waited * _STEP_SHARE), _LONGEST_STEP_SECONDS)
            if not deadline.wait(min(step, deadline.remaining())) or deadline.remaining() <= 0:
                raise GigasError(
                    f"disk {disk_id} has no new backup that can be used after {formatting.format_age(timeout_seconds)}"
                    f" ({state}); it may still come"
                )


def _find_backup(
    client: ReadClient,
    account_id: str,
    disk_id: str,
    deadline: Deadline,
    *,
    words: BackupStatuses,
    rank: Callable[[Backup], int],
) -> tuple[Backup | None, str]:
    """Return the new backup where it can be seen, and the state of things in words."""
    try:
        listed: Iterable[Backup] = client.list_disk_backups(account_id, disk_id, deadline=deadline).items
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise GigasError(f"account {account_id} has no disk {disk_id} any more") from None
        if error.reason not in _RETRYABLE_REASONS:
            raise
        return None, str(error)
    except GigasError as error:
        if error.reason not in _RETRYABLE_REASONS:
            raise
        return None, str(error)
    new = (backup for backup in listed if rank(backup))
    found = max(new, key=lambda backup: (rank(backup), backup.date_created or 0.0), default=None)
    if found is None:
        return None, "it cannot be seen yet"
    state = {"unclear": "; this is not understood", "unconfirmed": "; this is not known to be usable"}
    return found, f"backup {found.id} is {found.status or 'without a status'}{state.get(words.outcome(found), '')}"


def _match_rank(backup: Backup, known_ids: frozenset[str], new_id: str | None) -> int:
    return 2 if backup.id == new_id else int(backup.id not in known_ids)
