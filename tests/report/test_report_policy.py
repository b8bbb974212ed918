"""Which unknown fields decide, and what a disk keeps while they are not known."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.policy import DEFAULT_POLICY, Match, Policy, Requirement, Rule
from support.timing import allowed

HOUR = 3600.0
EXEMPT = Requirement(required=False, reason="scratch")
FREE = Requirement(required=False)
DISK = Disk("17", "501", is_swap=False, autobackup=True, mount_point="/srv")


def limit(hours: float) -> Requirement:
    return Requirement(required=True, max_age_seconds=hours * HOUR)


def policy(*rules: tuple[Match, Requirement]) -> Policy:
    return Policy(tuple(Rule(requirement, match) for match, requirement in rules))


def without(*fields: str) -> Disk:
    """Return the disk with these fields not known."""
    gone: dict[str, Any] = dict.fromkeys(fields)
    return replace(DISK, unknown=frozenset(fields), **gone)


def required(rules: Policy, disk: Disk, machine: VirtualMachine | None = None) -> Requirement:
    machines = {} if machine is None else {machine.id: machine}
    return rules.requirements("4242", {disk.id: disk}, machines)[disk.id]


def asked(rules: Policy, disk: Disk, machine: VirtualMachine | None = None) -> tuple[float | None, Any]:
    """Return the limit in hours, and the fields that decide."""
    requirement = required(rules, disk, machine)
    seconds = requirement.max_age_seconds
    return None if seconds is None else seconds / HOUR, requirement.undecided


DB_FIRST = policy((Match(virtual_machine_label="db*"), limit(6)), (Match(), EXEMPT))
BOTH_WAYS = policy((Match(autobackup=True), limit(26)), (Match(autobackup=False), limit(26)), (Match(), EXEMPT))
MOUNTS = policy((Match(mount_point="/srv/*"), limit(6)), (Match(mount_point="*"), limit(26)))
SHADOWED = policy((Match(mount_point="/db"), FREE), (Match(mount_point="*/db"), limit(6)), (Match(), limit(26)))
BY_MACHINE = policy((Match(virtual_machine_id="501"), limit(6)), (Match(), limit(26)))


@pytest.mark.parametrize(
    ("rules", "disk", "expected"),
    [
        (DEFAULT_POLICY, DISK, (26, ())),
        (DEFAULT_POLICY, replace(DISK, is_swap=True), (None, ())),
        (DEFAULT_POLICY, replace(DISK, autobackup=False), (None, ())),
        (DEFAULT_POLICY, without("autobackup"), (26, ("autobackup",))),
        (DEFAULT_POLICY, without("is_swap"), (26, ("is_swap",))),
        (DEFAULT_POLICY, without("is_swap", "autobackup"), (26, ("autobackup", "is_swap"))),
        (DEFAULT_POLICY, replace(without("autobackup"), is_swap=True), (None, ())),
        (DEFAULT_POLICY, replace(without("is_swap"), autobackup=False), (None, ("is_swap",))),
        (DEFAULT_POLICY, without("mount_point", "error"), (26, ())),
        (BOTH_WAYS, without("autobackup"), (26, ())),
        (MOUNTS, without("mount_point"), (6, ("mount_point",))),
        (SHADOWED, without("mount_point"), (6, ("mount_point",))),
        (BY_MACHINE, without("virtual_machine_id"), (6, ("virtual_machine_id",))),
        (policy((Match(), limit(26))), without("is_swap", "autobackup", "mount_point"), (26, ())),
        (policy((Match(mount_point="/[!a]?v/[d-f]b"), limit(6))), without("mount_point"), (6, ("mount_point",))),
    ],
)
def test_a_field_decides_where_its_values_ask_different_things(
    rules: Policy, disk: Disk, expected: tuple[float | None, tuple[str, ...]]
) -> None:
    """Each value that an unknown field could have is tried; the strictest requirement stays."""
    assert asked(rules, disk) == expected


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"account_id": "4242"}, True),
        ({"account_id": "04242"}, False),
        ({"disk_id": "17"}, True),
        ({"disk_id": "18"}, False),
        ({"virtual_machine_id": "501"}, True),
        ({"virtual_machine_id": "50"}, False),
        ({"mount_point": "/s*"}, True),
        ({"mount_point": "?sr[a-v]"}, True),
        ({"mount_point": "?sr[!a-v]"}, False),
        ({"mount_point": "/SRV"}, False),
        ({"mount_point": "*"}, True),
        ({"is_swap": True}, False),
        ({"is_swap": False}, True),
        ({"autobackup": True}, True),
        ({"autobackup": False}, False),
        ({"autobackup": True, "disk_id": "17"}, True),
        ({"autobackup": True, "disk_id": "18"}, False),
    ],
)
def test_a_rule_applies_to_the_disks_that_it_describes(match: dict[str, Any], fits: bool) -> None:
    """Each key of a match, ids as text, globs with case; what does not fit falls to the next rule."""
    assert asked(policy((Match(**match), limit(5)), (Match(), limit(7))), DISK) == (5 if fits else 7, ())


def test_the_first_rule_that_fits_decides() -> None:
    """A later rule that fits as well, or better, changes nothing; what no rule fits needs no backup."""
    rules = policy(
        (Match(virtual_machine_id="501"), FREE), (Match(disk_id="17"), limit(1)), (Match(disk_id="18"), FREE)
    )
    assert required(rules, DISK) == FREE
    assert asked(policy((Match(disk_id="18"), limit(1))), DISK) == (None, ())


def test_an_exemption_is_weaker_than_none() -> None:
    """Where an unknown field may exempt a disk, it is unprotected until that is known."""
    rules = policy((Match(is_swap=True), EXEMPT), (Match(), FREE))
    assert required(rules, without("is_swap")) == replace(FREE, undecided=("is_swap",))
    reasons = policy((Match(is_swap=True), EXEMPT), (Match(), replace(EXEMPT, reason="another")))
    assert required(reasons, without("is_swap")).undecided == ()


@pytest.mark.parametrize(
    ("disk", "machine", "expected"),
    [
        (DISK, None, (6, ("virtual_machine_label",))),
        (DISK, VirtualMachine("501", "db-1"), (6, ())),
        (DISK, VirtualMachine("501", "web-1"), (None, ())),
        (DISK, VirtualMachine("501", None), (None, ())),
        (DISK, VirtualMachine("501", None, unknown=frozenset({"label"})), (6, ("virtual_machine_label",))),
        (replace(DISK, virtual_machine_id=None), None, (None, ())),
        (without("virtual_machine_id"), None, (6, ("virtual_machine_label",))),
    ],
)
def test_a_label_that_was_not_read_is_not_known(
    disk: Disk, machine: VirtualMachine | None, expected: tuple[float | None, tuple[str, ...]]
) -> None:
    """While a disk's machine is not known its label may be any; a detached disk truly has none."""
    assert asked(DB_FIRST, disk, machine) == expected


def test_an_empty_mount_point_matches_nothing() -> None:
    """Truly empty is not unknown, and matches no glob, not even one for everything."""
    assert asked(MOUNTS, replace(DISK, mount_point="")) == (None, ())
    assert asked(MOUNTS, replace(DISK, mount_point=None)) == (None, ())


def test_too_many_combinations_take_the_strictest_rule_left() -> None:
    """Where all cannot be tried, the strictest rule that may match holds, and every unknown field decides."""
    rules = [
        (Match(mount_point=f"/a{n}/*", virtual_machine_label=f"b{n}-*", virtual_machine_id=str(n)), limit(50 - n))
        for n in range(40)
    ]
    big = policy(*rules, (Match(autobackup=False), limit(1)), (Match(autobackup=True), limit(26)), (Match(), limit(2)))
    began = time.process_time()
    assert asked(big, without("mount_point", "virtual_machine_id")) == (
        11,
        ("mount_point", "virtual_machine_id", "virtual_machine_label"),
    )
    assert time.process_time() - began < allowed(0.5)


def test_ten_thousand_disks_are_decided_by_kind() -> None:
    """Disks of which the policy sees the same are decided once, also where much is not known."""
    rules = policy(
        *((Match(virtual_machine_label=f"db-{n}*", mount_point=f"/srv/{n}/*"), limit(6 + n)) for n in range(20)),
        (Match(autobackup=True), limit(26)),
    )
    disks = {
        str(n): replace(without("autobackup", "mount_point"), id=str(n), virtual_machine_id=str(n % 3000))
        for n in range(10_000)
    }
    began = time.process_time()
    requirements = rules.requirements("4242", disks, {})
    assert time.process_time() - began < allowed(2.0)
    assert {each.max_age_seconds for each in requirements.values()} == {6 * HOUR}
