"""Find a virtual machine by name."""

from __future__ import annotations

from gigas_exporter import formatting
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import ReadClient


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
    if is_id:
        ids = [machine.id for machine in machines]
        raise NoMachineError(
            f"account {account_id} has no virtual machine {given}{formatting.did_you_mean(given, ids)}"
        )
    name = given.casefold()
    found = [each for each in machines if (each.label or "").casefold() == name] or [
        each for each in machines if (each.hostname or "").casefold() == name
    ]
    if len(found) == 1:
        return found[0].id
    if found:
        several = ", ".join(each.id for each in found)
        raise GigasError(f"account {account_id} has several virtual machines named {given}: give an id ({several})")
    names = [text for each in machines for text in (each.label, each.hostname) if text]
    raise NoMachineError(f"account {account_id} has no virtual machine {given}{formatting.did_you_mean(given, names)}")
