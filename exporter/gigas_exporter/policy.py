"""The backup policy: which disks must have a backup, and how old the newest may be.

A policy is a list of rules; the first whose match fits decides. What is not known about a disk matches nothing.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

from gigas_exporter.model import Disk, VirtualMachine

__all__ = ["DEFAULT_POLICY", "Match", "Policy", "Requirement", "Rule"]

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Requirement:
    """What the policy asks of one disk.

    Attributes:
        required: Whether the disk must have a backup.
        max_age_seconds: How old its newest backup may be; ``None`` exactly when none is required.
        reason: Why the disk is exempt, in the operator's words, where the rule says so.
    """

    required: bool
    max_age_seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Match:
    """The conditions of a rule; those that are ``None`` hold for every disk.

    Attributes:
        mount_point: A shell glob, matched with case.
        virtual_machine_label: A shell glob, matched with case.
    """

    account_id: str | None = None
    disk_id: str | None = None
    virtual_machine_id: str | None = None
    mount_point: str | None = None
    is_swap: bool | None = None
    autobackup: bool | None = None
    virtual_machine_label: str | None = None

    @cached_property
    def _globs(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        return tuple(  # type: ignore[return-value]
            None if glob is None else re.compile(fnmatch.translate(glob))
            for glob in (self.mount_point, self.virtual_machine_label)
        )

    def fits(self, account_id: str, disk: Disk, machine: VirtualMachine | None) -> bool:
        """Return whether every condition holds for the disk."""
        for wanted, got in (
            (self.account_id, account_id),
            (self.disk_id, disk.id),
            (self.virtual_machine_id, disk.virtual_machine_id),
            (self.is_swap, disk.is_swap),
            (self.autobackup, disk.autobackup),
        ):
            if wanted is not None and wanted != got:
                return False
        for pattern, text in zip(self._globs, (disk.mount_point, machine.label if machine else None), strict=True):
            if pattern is not None and (text is None or pattern.match(text) is None):
                return False
        return True

    def covers(self, other: Match) -> bool:
        """Return whether it certainly fits every disk that another match fits; two globs are compared as text."""
        return all(getattr(self, each.name) in {None, getattr(other, each.name)} for each in fields(self))


@dataclass(frozen=True, slots=True)
class Rule:
    """A match and what it decides."""

    requirement: Requirement
    match: Match = field(default_factory=Match)


@dataclass(frozen=True, slots=True)
class Policy:
    """An ordered list of rules. A disk that none fits is not required to have backups."""

    rules: tuple[Rule, ...]

    def requirement(self, account_id: str, disk: Disk, machine: VirtualMachine | None) -> Requirement:
        """Return what the first fitting rule asks of the disk."""
        for rule in self.rules:
            if rule.match.fits(account_id, disk, machine):
                return rule.requirement
        return _NOT_REQUIRED

    def requirements(
        self, account_id: str, disks: Mapping[str, Disk], machines: Mapping[str, VirtualMachine]
    ) -> dict[str, Requirement]:
        """Return the requirement of every disk of an account by disk id."""
        return {
            disk.id: self.requirement(account_id, disk, machines.get(disk.virtual_machine_id or ""))
            for disk in disks.values()
        }


_NOT_REQUIRED = Requirement(required=False)

DEFAULT_POLICY = Policy(
    (
        Rule(Requirement(required=False, reason="swap needs no backup"), Match(is_swap=True)),
        Rule(Requirement(required=True, max_age_seconds=26 * _HOUR), Match(autobackup=True)),
        Rule(_NOT_REQUIRED),
    )
)
"""Swap is exempt; every other disk with autobackup on must have a backup younger than 26 h; the rest is reported."""
