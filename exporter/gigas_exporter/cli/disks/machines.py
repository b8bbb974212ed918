"""Find a virtual machine by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gigas_exporter import formatting
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import ReadClient
from gigas_exporter.model import VirtualMachine

_SHOWN: Final = 5


class NoMachineError(GigasError):
    """An account has no virtual machine of that name."""


def find_machine(client: ReadClient, account_id: str, given: str, *, must_exist: bool = False) -> str:
    """Return the id of the machine with an id, label or hostname.

    A number is an id and no name. It is looked up only where it ``must_exist`` and the machines can be listed.

    Raises:
        NoMachineError: There is none.
        GigasError: The machines cannot be read, or several have the name.
    """
    is_id = given.isascii() and given.isdigit()
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
    found = [] if is_id else _named(machines, given)
    if len(found) == 1:
        return found[0].id
    if found:
        several = ", ".join(each.id for each in found)
        raise GigasError(f"account {account_id} has several virtual machines named {given}: give an id ({several})")
    raise NoMachineError(f"account {account_id} has no virtual machine {given}{_others(machines, given, is_id)}")


def no_disk_but_machine(client: ReadClient, account_id: str, given: str) -> GigasError | None:
    """Return the error for a disk's id that is a machine's name, else ``None``.

    For use after a 404: asks for the machines, unless the id is a number.
    """
    if given.isascii() and given.isdigit():
        return None
    try:
        found = _named(client.list_virtual_machines(account_id).items, given)
    except GigasError:
        return None
    if not found:
        return None
    command = f"gigas-exporter disks list --account {account_id} --virtual-machine-id"
    if len(found) > 1:
        several = ", ".join(each.id for each in found)
        return GigasError(
            f"{given} is a name of several virtual machines, not a disk's id (see {command} ID: {several})"
        )
    return GigasError(f"{given} is a virtual machine, not a disk's id (see its disks: {command} {found[0].id})")


def _named(machines: Iterable[VirtualMachine], given: str) -> list[VirtualMachine]:
    """Return the machines with a label, or else with a hostname, in any case."""
    known, name = list(machines), given.casefold()
    return [each for each in known if (each.label or "").casefold() == name] or [
        each for each in known if (each.hostname or "").casefold() == name
    ]


def _others(machines: Iterable[VirtualMachine], given: str, is_id: bool) -> str:
    """Return the nearest machine in words, or else which there are."""
    known = list(machines)
    names = [text for each in known for text in ((each.id,) if is_id else (each.label, each.hostname)) if text]
    if hint := formatting.did_you_mean(given, names):
        return hint
    shown = [each.id if is_id else each.label or each.hostname or each.id for each in known]
    shown.sort(key=lambda name: given.casefold() not in name.casefold())
    rest = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f" (there are: {', '.join(shown[:_SHOWN])}{rest})" if shown else " (there are none)"
