"""The findings that a disk can have, and their severities."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Severity(enum.IntEnum):
    """How much a finding matters; higher is worse."""

    OK = 0
    NOTICE = 1
    WARNING = 2
    UNKNOWN = 3
    CRITICAL = 4


class Finding(enum.Enum):
    """What can be found about a disk, in the order of severity, worst first."""

    NEVER_BACKED_UP = "never backed up"
    BACKUP_MISSED = "backup missed"
    DISK_ERROR = "disk error"
    NOT_UNDERSTOOD = "not understood"
    BACKUPS_UNREADABLE = "backups unreadable"
    BACKUP_STALE = "backup stale"
    LOCKED_LONG = "locked long"
    BACKUP_FAILED = "last backup failed"
    UNPROTECTED = "unprotected"
    BACKUP_SHRANK = "backup shrank"
    DETACHED = "detached"
    AWAITING = "awaiting first backup"
    EXEMPT = "exempt"

    @property
    def metric(self) -> str:
        """The value of the label ``finding``."""
        return self.name.lower()

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return _SEVERITIES[self]

    @classmethod
    def parse(cls, text: str) -> Finding | None:
        """Return the finding with this name, such as ``backup_stale`` or ``Backup stale``."""
        given = text.strip().casefold().replace(" ", "_").replace("-", "_")
        return next((each for each in cls if given in {each.metric, each.value.replace(" ", "_")}), None)

    def words(self, count: int) -> str:
        """Return the words for ``count`` disks, such as ``backups missed``."""
        one, more = _COUNTED.get(self, (self.value, self.value))
        return one if count == 1 else more


_SEVERITIES: Final[Mapping[Finding, Severity]] = {
    Finding.NEVER_BACKED_UP: Severity.CRITICAL,
    Finding.BACKUP_MISSED: Severity.CRITICAL,
    Finding.DISK_ERROR: Severity.CRITICAL,
    Finding.NOT_UNDERSTOOD: Severity.UNKNOWN,
    Finding.BACKUPS_UNREADABLE: Severity.UNKNOWN,
    Finding.BACKUP_STALE: Severity.WARNING,
    Finding.LOCKED_LONG: Severity.WARNING,
    Finding.BACKUP_FAILED: Severity.WARNING,
    Finding.UNPROTECTED: Severity.WARNING,
    Finding.BACKUP_SHRANK: Severity.NOTICE,
    Finding.DETACHED: Severity.NOTICE,
    Finding.AWAITING: Severity.OK,
    Finding.EXEMPT: Severity.OK,
}
_COUNTED: Final[Mapping[Finding, tuple[str, str]]] = {
    Finding.BACKUP_MISSED: ("backup missed", "backups missed"),
    Finding.DISK_ERROR: ("disk error", "disk errors"),
    Finding.BACKUPS_UNREADABLE: ("with backups unreadable", "with backups unreadable"),
    Finding.BACKUP_STALE: ("backup stale", "backups stale"),
    Finding.BACKUP_FAILED: ("last backup failed", "last backups failed"),
    Finding.BACKUP_SHRANK: ("backup shrank", "backups shrank"),
}
RANK: Final = {finding: rank for rank, finding in enumerate(Finding)}
"""The rank of each finding; 0 is the worst."""

AGAINST_LIMIT: Final = frozenset({Finding.NEVER_BACKED_UP, Finding.BACKUP_MISSED, Finding.BACKUP_STALE})
"""The findings of a disk that exceeds its limit in the policy."""

METRIC_FINDINGS: Final = tuple(finding for finding in Finding if finding not in {Finding.AWAITING, Finding.EXEMPT})
"""The findings that have series of ``gigas_disk_finding``."""

NEED_BACKUPS: Final = AGAINST_LIMIT | {
    Finding.BACKUPS_UNREADABLE,
    Finding.BACKUP_FAILED,
    Finding.BACKUP_SHRANK,
}
"""The findings that are not known while the backups of the account are unread or stale."""
