"""Encode records as the API's JSON, in several styles.

Booleans are true/false, 1/0 or strings of these; ids are numbers or strings; dates have one of six forms. The named
styles differ more; the exporter understands ``unclear`` only with settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

from gigas_exporter.simulator.records import AccountRecord, BackupRecord, DiskRecord, MachineRecord

Json = dict[str, object]
_encode = json.JSONEncoder(separators=(",", ":")).encode
_MADRID = timezone(timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Style:
    """How values of each type are encoded."""

    flag: Callable[[bool], object]
    id: Callable[[int], object]
    date: Callable[[int], object]
    change: Callable[[Json], Json] = lambda item: item
    wraps: bool = False

    def item(self, kind: str, item: Json) -> Json:
        """Return an item in this style."""
        changed = self.change(item)
        return {kind: changed} if self.wraps else changed


def _timestamp(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _written_out(seconds: int, separator: str = "T") -> str:
    return _timestamp(seconds).replace(tzinfo=None).isoformat(separator)


def _plain_date(seconds: int) -> str:
    return _written_out(seconds) + "Z"


_STYLES = (
    Style(bool, int, _plain_date),
    Style(int, str, lambda seconds: _written_out(seconds, " ")),
    Style(lambda flag: str(int(flag)), int, int),
    Style(bool, str, _written_out),
    Style(lambda flag: str(flag).lower(), int, lambda seconds: _timestamp(seconds).astimezone(_MADRID).isoformat()),
    Style(int, str, str),
)


def _in_words(item: Json) -> Json:
    """Encode a missing mount point as empty text, a missing machine as 0."""
    nothing = {"mount_point": "", "virtual_machine_id": 0}
    return {**item, **{name: value for name, value in nothing.items() if name in item and item[name] is None}}


def _as_onapp(item: Json) -> Json:
    """Encode backups as OnApp does: ``built`` instead of disk and status."""
    if "backup_size" not in item:
        return item
    done, failed = item["status"] == "completed", item["status"] == "failed"
    return {**item, "disk_id": None, "status": item["status"] if failed else None, "built": done}


def _unclear(item: Json) -> Json:
    """Encode with names and types that the exporter understands only with settings."""
    if "backup_size" in item:
        return {**item, "status": {"completed": 3, "failed": 4}.get(str(item["status"]), 2)}
    if "autobackup" not in item:
        return item
    changed = {name: value for name, value in item.items() if name not in {"error", "autobackup"}}
    return {**changed, "has_autobackups": item["autobackup"]}


_NAMED = {
    "wrapped": Style(bool, int, _plain_date, wraps=True),
    "words": Style(
        lambda flag: "Yes" if flag else "no ",
        lambda number: f" {number}",
        lambda seconds: format_datetime(_timestamp(seconds), usegmt=True),
        _in_words,
    ),
    "onapp": Style(bool, int, _plain_date, _as_onapp, wraps=True),
    "unclear": Style(bool, int, _plain_date, _unclear),
}
STYLES = ("plain", "account", "mixed", *_NAMED)
"""The names of the styles."""


def encoding_for(name: str, account_position: int, item: int) -> Style:
    """Return how an item is encoded in a style."""
    if name in _NAMED:
        return _NAMED[name]
    return _STYLES[{"plain": 0, "account": account_position, "mixed": item}[name] % len(_STYLES)]


def dump(value: object) -> bytes:
    """Return compact JSON."""
    return _encode(value).encode()


def dump_items(items: Iterable[object]) -> bytes:
    """Return the inside of a JSON array; faster than encoding item by item."""
    return dump(list(items))[1:-1]


def encode_disk(disk: DiskRecord, style: Style) -> Json:
    """Return a disk's JSON object (Gigas docs, page Disk)."""
    item: Json = {
        "id": style.id(disk.number),
        "virtual_machine_id": None if disk.machine is None else style.id(disk.machine),
        "disk_size": disk.size_gb,
        "status": disk.status,
        "error": style.flag(disk.error),
        "locked": style.flag(disk.locked),
        "is_swap": style.flag(disk.is_swap),
        "autobackup": style.flag(disk.autobackup),
        "primary": style.flag(disk.primary),
        "mount_point": disk.mount_point,
        "add_to_linux_fstab": style.flag(disk.fstab),
        "data_store_id": style.id(disk.store),
        "data_store_group_id": style.id(disk.store_group),
        "created_at": style.date(disk.created_at),
        "updated_at": style.date(disk.updated_at),
    }
    return style.item("disk", item)


def encode_backup(disk: DiskRecord, backup: BackupRecord, style: Style) -> Json:
    """Return a backup's JSON object (Gigas docs, page Backup)."""
    item: Json = {
        "id": style.id(backup.number),
        "disk_id": style.id(disk.number),
        "date_created": style.date(backup.created_at),
        "status": backup.status,
        "operating_system": disk.system.name,
        "operating_system_distro": disk.system.distro,
        "template_id": style.id(disk.system.template_id),
        "backup_size": backup.size_kb,
        "locked": style.flag(backup.locked),
        "backup_type": "gigas-automatic" if backup.automatic else "gigas",
    }
    return style.item("backup", item)


def encode_machine(machine: MachineRecord, style: Style) -> Json:
    """Return a machine's JSON object, with its password as in the real API."""
    item: Json = {
        "id": style.id(machine.number),
        "label": machine.label,
        "hostname": machine.hostname,
        "status": machine.status,
        "type": machine.type,
        "locked": style.flag(False),
        "suspended": style.flag(False),
        "memory": machine.memory_mb,
        "cpus": machine.cpus,
        "operating_system": machine.system.name,
        "operating_system_distro": machine.system.distro,
        "location_id": style.id(machine.location),
        "initial_password": machine.initial_password,
        "created_at": style.date(machine.created_at),
        "updated_at": style.date(machine.created_at),
    }
    return style.item("virtual_machine", item)


def encode_account(account: AccountRecord, style: Style) -> Json:
    """Return an account's JSON object (Gigas docs, page Accounts)."""
    item: Json = {
        "id": style.id(account.number),
        "status": "active",
        "product_id": style.id(7),
        "domain": account.domain,
    }
    return style.item("account", item)
