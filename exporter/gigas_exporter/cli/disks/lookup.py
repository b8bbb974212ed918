"""Look up an account's disks and virtual machines, and report on disks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Final

import click

from gigas_exporter import formatting
from gigas_exporter.cli.accounts import no_such_account
from gigas_exporter.cli.messages import warn
from gigas_exporter.cli.options import DISK_ID
from gigas_exporter.cli.poll_once import poll_account
from gigas_exporter.clock import SystemClock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.errors import ApiError, GigasError
from gigas_exporter.gigas import ReadClient
from gigas_exporter.inventory import DiskSnapshot, Resource, locked_since
from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.poller.account import AccountPoller, PollOutcome
from gigas_exporter.report import DiskReport, account_errors, report_account, worst_first

disk_argument: Final = click.argument("disk", type=DISK_ID)
"""A disk's id."""

_SHOWN: Final = 5


def get_disk(client: ReadClient, account_id: str, disk_id: str) -> Disk:
    """Return a disk.

    Raises:
        NoDiskError: The disk does not exist.
        GigasError: The disk cannot be read, or the API returned another one.
    """
    try:
        disk = client.get_disk(account_id, disk_id)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise no_such_account(client, account_id) or _no_such_disk(client, account_id, disk_id) from None
        if error.status == HTTPStatus.FORBIDDEN:
            raise GigasError(f"account {account_id}, disk {disk_id}: {error}") from None
        raise
    if disk.id != disk_id:  # if the API reads 17x as 17, the wrong disk would be changed
        raise GigasError(f"asked for disk {disk_id}, the API answered with disk {disk.id}; nothing was done")
    return disk


def report_disks(
    settings: Settings,
    account: AccountSettings,
    client: ReadClient,
    disks: Iterable[Disk] | None = None,
) -> list[DiskReport]:
    """Report on some disks, by default all; warn on stderr about what cannot be read.

    It polls as ``check`` does, including the list of all disks, without which backups cannot be assigned to disks.

    Raises:
        GigasError: No disks are given, and they cannot be listed.
    """
    clock, given = SystemClock(), {disk.id: disk for disk in disks or ()}

    def on_end(resource: Resource, outcome: PollOutcome) -> None:
        if disks is None and resource == "disks" and outcome.failure is not None:
            raise outcome.failure

    with _without_log(AccountPoller.__module__):
        inventory, _ = poll_account(settings, account, client, clock, shown=given, on_end=on_end)
    if disks is not None:
        first_seen = inventory.disks.first_seen if inventory.disks is not None else {}
        snapshot = DiskSnapshot(given, first_seen, clock.monotonic(), locked_since(given, None, clock.wall()))
        inventory = replace(inventory, disks=snapshot).with_requirements(settings.policy)
    if error := inventory.outcomes["virtual_machines"].error:
        warn(f"account {account.account.id}: names of virtual machines are unknown: {error}")
    for sentence in account_errors(inventory, clock.monotonic()):
        warn(sentence)
    return worst_first(report_account(inventory, wall=clock.wall(), monotonic=clock.monotonic()))


@contextmanager
def _without_log(name: str) -> Iterator[None]:
    """Silence a logger below errors, so that its lines do not mix with the command's messages."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class NoDiskError(GigasError):
    """An account has no disk of that id."""


class NoMachineError(GigasError):
    """An account has no virtual machine of that name."""


def find_machine(client: ReadClient, account_id: str, given: str, *, must_exist: bool = False) -> str:
    """Return the id of the virtual machine with this id, label or hostname.

    A number is always an id. It is looked up only with ``must_exist``, and only if the machines can be listed.

    Raises:
        NoMachineError: The account has no such machine.
        GigasError: The machines cannot be read, or several have the name.
    """
    is_id = _is_number(given)
    if is_id and not must_exist:
        return given
    try:
        machines = client.list_virtual_machines(account_id).items
    except GigasError:
        if is_id:
            return given
        raise
    if any(machine.id == given for machine in machines):
        return given
    labels, hostnames = (
        [each for each in machines if not is_id and (getattr(each, name) or "").casefold() == given.casefold()]
        for name in ("label", "hostname")
    )
    found = labels or hostnames
    if len(found) == 1:
        return found[0].id
    if found:
        several = ", ".join(each.id for each in found)
        raise GigasError(f"account {account_id} has several virtual machines named {given}: give an id ({several})")
    raise NoMachineError(f"account {account_id} has no virtual machine {given}{_others(machines, given, is_id)}")


def _no_such_disk(client: ReadClient, account_id: str, given: str) -> GigasError:
    """Return the error for an id that no disk has; it may be the name of a machine."""
    command = f"gigas-exporter disks list --account {account_id}"
    if not _is_number(given):
        with suppress(GigasError):
            command += f" --virtual-machine-id {find_machine(client, account_id, given)}"
            return GigasError(f"{given} is a virtual machine, not a disk (see its disks: {command})")
    return NoDiskError(f"account {account_id} has no disk {given} (see: {command})")


def _is_number(given: str) -> bool:
    return given.isascii() and given.isdigit()


def _others(machines: Iterable[VirtualMachine], given: str, is_id: bool) -> str:
    """Return the machine that may be meant, or some of those that exist, in words."""
    known = list(machines)
    names = [text for each in known for text in ((each.id,) if is_id else (each.label, each.hostname)) if text]
    if hint := formatting.did_you_mean(given, names):
        return hint
    shown = [each.id if is_id else each.label or each.hostname or each.id for each in known]
    shown.sort(key=lambda name: given.casefold() not in name.casefold())
    rest = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f" (it has {', '.join(shown[:_SHOWN])}{rest})" if shown else " (it has none)"
