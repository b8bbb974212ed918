"""The backup policy: which disks need a backup, and how recent.

A policy is a list of rules; the first that matches decides. An empty field matches nothing. A field whose value is not
known is tried with each value that it could have; where the requirements differ, the strictest applies.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from typing import Final

from gigas_exporter.model import Disk, VirtualMachine

_HOUR = 3600.0
_FLAGS: Final = ("is_swap", "autobackup")
GLOBS: Final = ("mount_point", "virtual_machine_label")
"""The conditions that are shell globs."""
_MAX_COMBINATIONS = 4096
_MAX_CACHED = 4096

_Conditions = frozenset[tuple[str, str | bool]]
"""Conditions of a policy that one field of a disk meets: pairs of the field and the value that a rule asks for."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits on how long a disk may stay locked or without a backup.

    Attributes:
        locked_seconds: How long a disk may be locked.
        missed_factor: A backup older than its limit times this counts as missed.
    """

    locked_seconds: float = 2 * _HOUR
    missed_factor: float = 2.0


@dataclass(frozen=True, slots=True)
class Requirement:
    """What the policy asks of one disk.

    Attributes:
        required: Whether the disk must have a backup.
        max_age_seconds: How old its newest backup may be; ``None`` exactly when none is required.
        reason: Why the disk is exempt, in the rule's words; ``None`` without a reason.
        undecided: Fields that decide for the disk but whose value is not known. If there are any, this is the strictest
            requirement that the disk could have.
    """

    required: bool
    max_age_seconds: float | None = None
    reason: str | None = None
    undecided: tuple[str, ...] = ()

    @property
    def is_exempt(self) -> bool:
        """Whether a rule exempts it, with a reason."""
        return not self.required and self.reason is not None


def max_ages(requirements: Mapping[str, Requirement]) -> dict[str, float]:
    """Return the maximum backup age by id of each disk with a limit."""
    limits = ((disk_id, asked.max_age_seconds) for disk_id, asked in requirements.items())
    return {disk_id: limit for disk_id, limit in limits if limit is not None}


NOT_REQUIRED = Requirement(required=False)


@dataclass(frozen=True)
class Match:
    """A rule's conditions; ``None`` matches every disk.

    Attributes:
        mount_point: A case-sensitive shell glob.
        virtual_machine_label: A case-sensitive shell glob.
    """

    account_id: str | None = None
    disk_id: str | None = None
    virtual_machine_id: str | None = None
    mount_point: str | None = None
    is_swap: bool | None = None
    autobackup: bool | None = None
    virtual_machine_label: str | None = None

    @cached_property
    def conditions(self) -> _Conditions:
        """The conditions that are given."""
        return frozenset((each.name, value) for each in fields(self) if (value := getattr(self, each.name)) is not None)

    def is_superset_of(self, other: Match) -> bool:
        """Return whether it certainly matches every disk that ``other`` matches."""
        others = dict(other.conditions)
        return all(
            name in others
            and (value == others[name] or (name in GLOBS and _glob_contains(str(value), str(others[name]))))
            for name, value in self.conditions
        )


def _glob_contains(wide: str, narrow: str) -> bool:
    """Return whether a glob certainly matches every text that another matches."""
    return not set("?[]") & set(wide) and not set("[]") & set(narrow) and fnmatch.fnmatchcase(narrow, wide)


@dataclass(frozen=True, slots=True)
class Rule:
    """A match and what it decides."""

    requirement: Requirement
    match: Match = field(default_factory=Match)


@dataclass(frozen=True)
class Policy:
    """Ordered rules. A disk that none matches needs no backup."""

    rules: tuple[Rule, ...]

    def requirements(
        self, account_id: str, disks: Mapping[str, Disk], machines: Mapping[str, VirtualMachine]
    ) -> dict[str, Requirement]:
        """Return the requirement of each disk by id.

        The label of a virtual machine that is not in ``machines`` is not known.
        """
        decided: dict[tuple[_Conditions | None, ...], Requirement] = {}
        requirements = {}
        for disk in disks.values():
            met = self._met_conditions(account_id, disk, machines)
            requirement = decided.get(met)
            if requirement is None:
                requirement = decided[met] = self._decide(met)
            requirements[disk.id] = requirement
        return requirements

    @cached_property
    def _conditions(self) -> Mapping[str, Mapping[str | bool, re.Pattern[str] | None]]:
        """By field, the values that rules ask for; each glob with its pattern."""
        found: dict[str, dict[str | bool, re.Pattern[str] | None]] = {}
        for rule in self.rules:
            for name, value in rule.match.conditions:
                glob = re.compile(fnmatch.translate(str(value))) if name in GLOBS else None
                found.setdefault(name, {})[value] = glob
        return found

    @cached_property
    def _met_globs(self) -> dict[tuple[str, str | bool | None], _Conditions]:
        """Cache of conditions by field and value."""
        return {}

    def _met_conditions(
        self, account_id: str, disk: Disk, machines: Mapping[str, VirtualMachine]
    ) -> tuple[_Conditions | None, ...]:
        """Return by field which conditions are met, ``None`` where not known."""
        met: list[_Conditions | None] = []
        for name in self._conditions:
            value: str | bool | None
            if name == "account_id":
                value = account_id
            elif name == "disk_id":
                value = disk.id
            elif name == "virtual_machine_label":
                machine_id = disk.virtual_machine_id
                machine = machines.get(machine_id) if machine_id is not None else None
                if _is_label_unknown(disk, machine):
                    met.append(None)
                    continue
                value = machine.label if machine is not None else None
            elif name in disk.unknown:
                met.append(None)
                continue
            else:
                value = getattr(disk, name)
            met.append(self._met_by(name, value))
        return tuple(met)

    def _met_by(self, name: str, value: str | bool | None) -> _Conditions:
        """Return the conditions that a value meets; an empty value meets none.

        White space around a text, which nobody sees, is ignored.
        """
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            return frozenset()
        conditions = self._conditions[name]
        if name not in GLOBS:
            return frozenset({(name, value)}) if value in conditions else frozenset()
        known = self._met_globs.get((name, value))
        if known is None:
            if len(self._met_globs) >= _MAX_CACHED:
                self._met_globs.clear()
            known = self._met_globs[name, value] = frozenset(
                (name, glob) for glob, pattern in conditions.items() if pattern and pattern.match(str(value))
            )
        return known

    def _decide(self, met: tuple[_Conditions | None, ...]) -> Requirement:
        """Return the requirement of a disk that meets these conditions."""
        unknown = [name for name, each in zip(self._conditions, met, strict=True) if each is None]
        known: _Conditions = frozenset().union(*(each for each in met if each is not None))
        choices = [self._possible(name) for name in unknown]
        if math.prod(map(len, choices)) > _MAX_COMBINATIONS:
            return replace(self._strictest_left(known, unknown), undecided=tuple(sorted(unknown)))
        asked = {tried: self._first(known.union(*tried)) for tried in product(*choices)}
        strictest = min(asked.values(), key=_strictness)
        decide = {
            name
            for place, name in enumerate(unknown)
            for tried, requirement in asked.items()
            if any(
                _strictness(asked[(*tried[:place], other, *tried[place + 1 :])]) != _strictness(requirement)
                for other in choices[place]
            )
        }
        return replace(strictest, undecided=tuple(sorted(decide))) if decide else strictest

    def _possible(self, name: str) -> list[_Conditions]:
        """Return the sets of conditions that a field may meet."""
        conditions = self._conditions[name]
        if name in _FLAGS:
            return [self._met_by(name, value) for value in (True, False)]
        values: Iterable[str | bool | None] = conditions
        if name in GLOBS:
            values = [text for glob in conditions for text in _examples(str(glob))]
        return list(dict.fromkeys(self._met_by(name, value) for value in (None, "\x00", *values)))

    def _first(self, met: _Conditions) -> Requirement:
        for rule in self.rules:
            if rule.match.conditions <= met:
                return rule.requirement
        return NOT_REQUIRED

    def _strictest_left(self, known: _Conditions, unknown: list[str]) -> Requirement:
        """Return the strictest requirement of the rules that may match."""
        left = [NOT_REQUIRED]
        for rule in self.rules:
            conditions = rule.match.conditions
            if all(condition in known or condition[0] in unknown for condition in conditions):
                left.append(rule.requirement)
                if conditions <= known:
                    break
        return min(left, key=_strictness)


def _is_label_unknown(disk: Disk, machine: VirtualMachine | None) -> bool:
    if machine is None:
        return disk.virtual_machine_id is not None or "virtual_machine_id" in disk.unknown
    return "label" in machine.unknown


def _strictness(requirement: Requirement) -> tuple[float, bool]:
    """Return a sort key of requirements, strictest first."""
    limit = requirement.max_age_seconds
    return (math.inf if limit is None else limit), requirement.is_exempt


def _examples(glob: str) -> tuple[str, str]:
    """Return two texts that few other globs match, with and without text for the stars."""
    text = re.sub(r"\[(!?)(.)[^\]]*\]", lambda found: "\x01" if found[1] else found[2], glob).replace("?", "\x02")
    return text.replace("*", "\x03"), text.replace("*", "")


DEFAULT_POLICY = Policy(
    (
        Rule(Requirement(required=False, reason="swap needs no backup"), Match(is_swap=True)),
        Rule(Requirement(required=True, max_age_seconds=26 * _HOUR), Match(autobackup=True)),
        Rule(NOT_REQUIRED),
    )
)
"""Swap is exempt; other disks with autobackup on must have a backup younger than 26 h; the rest is unprotected."""
