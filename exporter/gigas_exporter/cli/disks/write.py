"""``disks backup``, ``template``, ``edit``, ``build`` and ``delete``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click
from click.core import ParameterSource

from gigas_exporter.cli.accounts import account_options
from gigas_exporter.cli.disks.change import Change, Plan
from gigas_exporter.cli.disks.lookup import disk_argument, find_machine
from gigas_exporter.cli.options import (
    GIBIBYTES,
    NAME,
    GroupedCommand,
    Parsed,
    compose,
    env_var_used_for,
    output_option,
    size_for_api,
)
from gigas_exporter.config.parsers import parse_duration
from gigas_exporter.decode import SIZE_UNITS
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import ReadClient
from gigas_exporter.gigas.api_requests import (
    build_disk_request,
    create_backup_request,
    create_template_request,
    delete_disk_request,
    edit_disk_request,
)
from gigas_exporter.model import Disk

_DATA_LOSS_WARNING: Final = "ALL DATA ON THIS DISK WILL BE LOST."
_EDITED: Final = ("disk_size", "virtual_machine_id", "autobackup", "mount_point", "add_to_linux_fstab", "force_reboot")


_change_options = compose(
    account_options(),
    disk_argument,
    output_option("table", "json", "yaml", help="Output format of the API's response."),
    click.option("--yes", is_flag=True, help="Do not ask for confirmation."),
    click.option("--dry-run", is_flag=True, help="Show the disk and the request, and send nothing."),
)


def _describe_value(name: str, value: object) -> str:
    """Return a value in words, with the variable that set it, if any."""
    variable = env_var_used_for(name)
    words = _in_words(name, value)
    return words if variable is None else f"{words} (from {variable})"


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks backup --account 4242 17 --wait")
@click.option("--wait", is_flag=True, help="Wait until the new backup is usable.")
@click.option(
    "--timeout", type=Parsed("duration", parse_duration), default="2h", show_default=True, help="Time limit of --wait."
)
@_change_options
def backup(disk: str, wait: bool, timeout: float, account: str | None, **options: Any) -> None:
    """Make a backup of DISK."""
    if not wait and click.get_current_context().get_parameter_source("timeout") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--timeout: needs --wait")
    change = Change(account, disk, options)
    known = change.backup_ids() if wait and not change.dry_run else frozenset()
    answer = change.run(
        lambda _, account_id, found: Plan(
            create_backup_request(account_id, found.id), "A backup of this disk will be made."
        )
    )
    if answer is None:
        return
    if not wait:
        change.print_status_hint(answer)
        return
    try:
        change.wait_for_backup(known, answer.value.id if answer.value is not None else None, timeout)
    except (GigasError, KeyboardInterrupt):
        change.print_status_hint(answer)  # the backup continues all the same
        raise


@click.command(
    cls=GroupedCommand,
    epilog="\b\nExample:\n  gigas-exporter disks template --account 4242 17 --label base --console-id 3",
)
@click.option("--label", required=True, help="The template's name.")
@click.option("--console-id", required=True, metavar="ID", help="The API's console_id.")
@_change_options
def template(disk: str, label: str, console_id: str, account: str | None, **options: Any) -> None:
    """Make a template of DISK."""
    create_template_request("0", disk, label=label, console_id=console_id)  # validates before any request
    Change(account, disk, options).run(
        lambda _, account_id, found: Plan(
            create_template_request(account_id, found.id, label=label, console_id=console_id),
            f"A template named {_describe_value('label', label)} will be made of this disk.",
        )
    )


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Examples:
  gigas-exporter disks edit --account 4242 17 --autobackup
  gigas-exporter disks edit --account 4242 17 --size 40 --force-reboot""",
)
@click.option("--size", "disk_size", type=GIBIBYTES, help="New size.")
@click.option("--virtual-machine-id", type=NAME, metavar="VM", help="Attach it to this machine, by id or name.")
@click.option("--autobackup/--no-autobackup", default=None, help="Turn automatic backups on or off.")
@click.option("--mount-point", metavar="TEXT", help="New mount point.")
@click.option("--add-to-linux-fstab/--no-add-to-linux-fstab", default=None, help="Add a line to /etc/fstab.")
@click.option("--force-reboot/--no-force-reboot", default=None, help="Allow a reboot.")
@_change_options
def edit(disk: str, account: str | None, **options: Any) -> None:
    """Change DISK."""
    changes = {name: options.pop(name) for name in _EDITED}
    machine = changes["virtual_machine_id"]
    if all(value is None for name, value in changes.items() if name != "force_reboot"):
        raise click.UsageError("nothing to change; give --size, --mount-point or another option with a new value")

    def plan(client: ReadClient, account_id: str, found: Disk) -> Plan:
        if machine is not None:
            changes["virtual_machine_id"] = find_machine(client, account_id, machine, must_exist=True)
        size = size_for_api(changes["disk_size"], change.settings.api.decoding.disk_size_unit)
        request = edit_disk_request(account_id, found.id, **{**changes, "disk_size": size})
        return Plan(request, _edit_consequence(found, changes), _differences(found, changes))

    change = Change(account, disk, options)
    change.run(plan)


def _edit_consequence(disk: Disk, changes: Mapping[str, Any]) -> str:
    wanted = {name: new for name, new in changes.items() if new is not None and name != "force_reboot"}
    is_forced = changes["force_reboot"]
    if not is_forced and wanted and all(_value_of(disk, name) == new for name, new in wanted.items()):
        return "Nothing will change: this disk has these values already."
    reboot = "Its machine will be rebooted if that is needed." if is_forced else "Some changes need a reboot."
    size, new_size = _value_of(disk, "disk_size"), wanted.get("disk_size")
    is_smaller = size is not None and new_size is not None and new_size < size
    smaller = " IT BECOMES SMALLER: data beyond the new size is lost." if is_smaller else ""
    return f"This disk will be changed.{smaller} {reboot}"


def _value_of(disk: Disk, name: str) -> Any:
    if name != "disk_size":
        return getattr(disk, name, None)
    return disk.size_bytes / SIZE_UNITS["GiB"] if disk.size_bytes else None


def _differences(disk: Disk, changes: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        name: ("no" if name == "force_reboot" else _in_words(name, _value_of(disk, name)), _describe_value(name, new))
        for name, new in changes.items()
        if new is not None
    }


def _in_words(name: str, value: object) -> str:
    if value is None or value == "":
        return "unknown" if name in {"disk_size", "autobackup", "add_to_linux_fstab"} else "none"
    if isinstance(value, bool):
        return ("no", "yes")[value]
    # Not rounded: 20.0000001 GiB must not show as 20, nor 60 GB (55.87935447692871 GiB) as 55.88.
    return f"{str(value).removesuffix('.0')} GiB" if isinstance(value, int | float) else str(value)


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks build --account 4242 17")
@_change_options
def build(disk: str, account: str | None, **options: Any) -> None:
    """Build DISK again, which formats it: all data is lost."""
    consequence = f"This disk will be built, which formats it. {_DATA_LOSS_WARNING}"
    Change(account, disk, options).run(
        lambda _, account_id, found: Plan(build_disk_request(account_id, found.id), consequence), type_id=True
    )


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks delete --account 4242 17")
@_change_options
def delete(disk: str, account: str | None, **options: Any) -> None:
    """Delete DISK and all data on it."""
    consequence = f"This disk will be deleted. {_DATA_LOSS_WARNING}"
    Change(account, disk, options).run(
        lambda _, account_id, found: Plan(delete_disk_request(account_id, found.id), consequence), type_id=True
    )
