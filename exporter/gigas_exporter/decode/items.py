"""Decodes parsed JSON into objects of the domain."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeVar

from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.decode.fields import (
    AHEAD,
    MAX_TEXT_LENGTH,
    NOT_UNDERSTOOD,
    InvalidFields,
    Problem,
    decode_flag,
    decode_host,
    decode_id,
    decode_reference,
    decode_size,
    decode_text,
    decode_timestamp,
    kind_of,
    report_problems,
    text_of,
)
from gigas_exporter.decode.owner import decode_owner
from gigas_exporter.decode.state_fields import (
    STATE_FIELDS,
    StateField,
    backup_contradictions,
    decode_error,
    disk_contradictions,
    is_gone,
    soonest_expiry,
    state_fields,
)
from gigas_exporter.model import NONE_UNKNOWN, Account, Backup, Disk, VirtualMachine
from gigas_exporter.status_words import DISK_ERROR_WORDS, means_error, parse_words, type_in_text

SizeUnit = Literal["B", "KB", "KiB", "MB", "MiB", "GB", "GiB"]
SIZE_UNITS: Mapping[SizeUnit, int] = MappingProxyType(
    {"B": 1, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}
)
FIELDS = parse_words(
    "id, virtual_machine_id, disk_size, status, error, locked, is_swap, autobackup, mount_point, add_to_linux_fstab,"
    " data_store_id, data_store_group_id, created_at, updated_at, disk_id, date_created, operating_system,"
    " operating_system_distro, template_id, backup_size, backup_type, built, label, hostname, type, domain"
) | frozenset(STATE_FIELDS)
"""All fields that are read, of whatever object."""
_WITHOUT_KEY = ("error", "autobackup", "is_swap", "mount_point", "virtual_machine_id")
_WITHOUT_VALUE = frozenset({"autobackup", "is_swap"})
_NO_MACHINE = "0"
_BACKUP_STATUSES = BackupStatuses()

_T_co = TypeVar("_T_co", covariant=True)
_Item = TypeVar("_Item", Account, Backup, Disk, VirtualMachine)


class Decode(Protocol[_T_co]):
    """Decodes one JSON value into a domain object."""

    def __call__(self, raw: object, invalid: Counter[str], latest: float = ...) -> _T_co | None:
        """Return the object; ``None`` without a readable id."""
        ...


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How to read what the API's documentation leaves open.

    Attributes:
        time_zone: The zone of dates that name none.
        disk_size_unit: The unit of ``disk_size``.
        backup_size_unit: The unit of ``backup_size``.
        fields: By documented field, the name to read where the field is absent; ``None`` accepts that the API has no
            such field.
        disk_error_words: Folded words in a disk's status that mean an error.
        backup_statuses: The words in a backup's status, and in its undocumented state fields.
    """

    time_zone: tzinfo = UTC
    disk_size_unit: SizeUnit = "GiB"
    backup_size_unit: SizeUnit = "KiB"
    fields: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    disk_error_words: frozenset[str] = DISK_ERROR_WORDS
    backup_statuses: BackupStatuses = _BACKUP_STATUSES


class Decoder:
    """Decodes objects as the settings say.

    Each method takes one parsed JSON value, and returns ``None`` if that has no readable id. Values that are not
    understood are counted by field in ``invalid``; so is a date after ``latest`` (UNIX seconds), which is kept.
    """

    def __init__(self, settings: DecodeSettings | None = None) -> None:
        self._settings = settings or DecodeSettings()
        self._aliases = tuple((ours, theirs) for ours, theirs in self._settings.fields.items() if theirs is not None)
        self._required = tuple(name for name in _WITHOUT_KEY if self._settings.fields.get(name, name) is not None)
        accepted = {name for name, theirs in self._settings.fields.items() if theirs is None}
        self._ignored = frozenset(accepted & STATE_FIELDS.keys())
        self._needs_status = self._settings.fields.get("status", "status") is not None
        self._sets: dict[frozenset[str], frozenset[str]] = {NONE_UNKNOWN: NONE_UNKNOWN}

    def disk(self, raw: object, invalid: Counter[str], latest: float = math.inf) -> Disk | None:
        """Decode a disk (Gigas docs, page Disk)."""
        problems: list[Problem] = []
        if (found := self._require_id(raw, invalid)) is None:
            return None
        identity, item = found
        get, settings = item.get, self._settings
        status = get("status")
        machine_id = decode_reference(get("virtual_machine_id"), "virtual_machine_id", problems)
        error = decode_error(item["error"], problems) if "error" in item else None
        is_swap = decode_flag(get("is_swap"), "is_swap", problems)
        autobackup = decode_flag(get("autobackup"), "autobackup", problems)
        mount_point = decode_text(get("mount_point"), "mount_point", problems)
        size_bytes = decode_size(get("disk_size"), "disk_size", problems, SIZE_UNITS[settings.disk_size_unit])
        locked = decode_flag(get("locked"), "locked", problems)
        fstab = decode_flag(get("add_to_linux_fstab"), "add_to_linux_fstab", problems)
        store = decode_reference(get("data_store_id"), "data_store_id", problems)
        group = decode_reference(get("data_store_group_id"), "data_store_group_id", problems)
        created_at = decode_timestamp(get("created_at"), "created_at", problems, latest, settings.time_zone)
        updated_at = decode_timestamp(get("updated_at"), "updated_at", problems, latest, settings.time_zone)
        status_is_error = self._is_error(status, problems)
        if not error and not status_is_error and (contradicting := self._contradicting(item)):
            error = None
            problems += contradicting
        missing = unknown = NONE_UNKNOWN
        if problems or None in (error, is_swap, autobackup, mount_point, machine_id):
            missing, unknown = self._not_known(item, problems)
            report_problems(problems, invalid)
        return Disk(  # by position, which is faster: in the order of the fields
            sys.intern(identity),
            None if machine_id == _NO_MACHINE else machine_id,
            size_bytes,
            decode_text(status, "status", []),
            error,
            locked,
            is_swap,
            autobackup,
            mount_point,
            fstab,
            store,
            group,
            created_at,
            updated_at,
            status_is_error,
            unknown,
            missing,
        )

    def backup(self, raw: object, invalid: Counter[str], latest: float = math.inf) -> Backup | None:
        """Decode a backup (Gigas docs, page Backup)."""
        problems: list[Problem] = []
        if (found := self._require_id(raw, invalid)) is None:
            return None
        identity, item = found
        get, settings = item.get, self._settings
        status = get("status")
        is_text = status is None or isinstance(status, str)
        owner = decode_owner(item, problems)
        fields = state_fields(item, self._ignored)
        built = False if is_gone(fields, latest, settings.time_zone) else decode_flag(get("built"), "built", problems)
        has_error = decode_error(get("error"), problems) is True
        text = decode_text(status, "status", problems) if is_text else text_of(status)
        backup = Backup(  # by position, as Disk
            identity,
            owner.disk_id,
            decode_timestamp(get("date_created"), "date_created", problems, latest, settings.time_zone),
            text,
            decode_text(get("operating_system"), "operating_system", problems),
            decode_text(get("operating_system_distro"), "operating_system_distro", problems),
            decode_reference(get("template_id"), "template_id", problems),
            decode_size(get("backup_size"), "backup_size", problems, SIZE_UNITS[settings.backup_size_unit]),
            decode_flag(get("locked"), "locked", problems),
            decode_text(get("backup_type"), "backup_type", problems),
            built,
            _status_type(status),
            self._unknown(problems, invalid, without_status=text is None and not built),
            has_error,
            owner.virtual_machine_id,
            owner.disk_ids,
        )
        return self._contradicted(backup, fields, invalid, latest) if fields else backup

    def virtual_machine(self, raw: object, invalid: Counter[str], latest: float = math.inf) -> VirtualMachine | None:
        """Decode a virtual machine (Gigas docs, page Virtual Machines)."""
        del latest  # no date of a virtual machine is kept
        problems: list[Problem] = []
        if (found := self._require_id(raw, invalid)) is None:
            return None
        identity, item = found
        machine = VirtualMachine(
            sys.intern(identity),
            decode_text(item.get("label"), "label", problems),
            decode_text(item.get("hostname"), "hostname", problems),
            decode_text(item.get("type"), "type", problems),
            decode_text(item.get("status"), "status", problems),
        )
        unknown = self._reported(problems, invalid) if problems else NONE_UNKNOWN
        if "label" not in item and "label" not in self._settings.fields:
            unknown |= {"label"}
        return replace(machine, unknown=self._set(unknown)) if unknown else machine

    def account(self, raw: object, invalid: Counter[str], latest: float = math.inf) -> Account | None:
        """Decode an account (Gigas docs, page Accounts), named by its ``domain``."""
        del latest  # no date of an account is kept
        problems: list[Problem] = []
        if (found := self._require_id(raw, invalid)) is None:
            return None
        name, status = (decode_text(found[1].get(field), field, problems) for field in ("domain", "status"))
        product_id, host = decode_id(found[1].get("product_id")), decode_host(found[1].get("api_url"))
        account = Account(found[0], name, status, product_id, host)
        report_problems(problems, invalid)
        return account

    def _require_id(self, raw: object, invalid: Counter[str]) -> tuple[str, dict[str, Any]] | None:
        """Return an item's id and fields, unwrapped."""
        if not isinstance(raw, dict):
            report_problems([("id", raw, NOT_UNDERSTOOD)], invalid)
            return None
        item: dict[str, Any] = raw
        if len(raw) == 1 and "id" not in raw:
            inner = next(iter(raw.values()))
            item = inner if isinstance(inner, dict) else raw
        if self._aliases:
            item = {
                **item,
                **{ours: item[theirs] for ours, theirs in self._aliases if item.get(ours) is None and theirs in item},
            }
        value = item.get("id")
        identity = decode_id(value)
        if identity is None:
            report_problems([("id", value, NOT_UNDERSTOOD)], invalid)
            return None
        return identity, item

    def _not_known(self, item: dict[str, Any], problems: list[Problem]) -> tuple[frozenset[str], frozenset[str]]:
        """Return a disk's missing fields, and all that are not known."""
        invalid = _names(problems)
        missing = {
            name
            for name in self._required
            if name not in item or (name in _WITHOUT_VALUE and name not in invalid and _is_blank(item[name]))
        }
        return self._set(missing), self._set(missing | invalid)

    def _contradicting(self, item: dict[str, Any]) -> list[Problem]:
        return list(disk_contradictions(state_fields(item, self._ignored)))

    def _contradicted(self, backup: Backup, fields: list[StateField], invalid: Counter[str], latest: float) -> Backup:
        """Return the backup, made unclear if an undocumented field contradicts it."""
        statuses, time_zone = self._settings.backup_statuses, self._settings.time_zone
        if statuses.outcome(backup) != "usable":
            return backup
        problems = list(backup_contradictions(fields, statuses, latest, time_zone, is_built=backup.built is True))
        if problems:
            return replace(backup, unknown=self._set(backup.unknown | self._reported(problems, invalid) | {"error"}))
        if isinstance(invalid, InvalidFields):
            invalid.valid_until = min(invalid.valid_until, soonest_expiry(fields, time_zone))
        return backup

    def _reported(self, problems: list[Problem], invalid: Counter[str]) -> frozenset[str]:
        report_problems(problems, invalid)
        return self._set(_names(problems))

    def _unknown(self, problems: list[Problem], invalid: Counter[str], *, without_status: bool) -> frozenset[str]:
        unknown = self._reported(problems, invalid) if problems else NONE_UNKNOWN
        return self._set(unknown | {"status"}) if without_status and self._needs_status else unknown

    def _set(self, names: Iterable[str]) -> frozenset[str]:
        """Return one shared object for equal sets."""
        made = frozenset(names)
        return self._sets.setdefault(made, made)

    def _is_error(self, status: object, problems: list[Problem]) -> bool:
        if status is None:
            return False
        text = status if isinstance(status, str) else text_of(status)
        is_error = means_error(self._settings.disk_error_words, text)
        is_read = is_error is not None and _status_type(status) is None and len(text) <= MAX_TEXT_LENGTH
        if not is_error and not is_read and self._needs_status:
            problems.append(("status", status, NOT_UNDERSTOOD))
        return is_error is True


def _names(problems: Iterable[Problem]) -> set[str]:
    """Return the fields whose value is not known."""
    return {name for name, _, detail in problems if detail != AHEAD}


def _status_type(status: object) -> str | None:
    """Return the JSON type of a status, ``None`` for ordinary text."""
    if isinstance(status, str):
        return type_in_text(status)
    return None if status is None else kind_of(status)


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def decode_items(
    raw_items: Iterable[object], decode: Decode[_Item], invalid: Counter[str], latest: float = math.inf
) -> dict[str, _Item]:
    """Decode a list's items by id; the last one with the same id wins."""
    items: dict[str, _Item] = {}
    for raw in raw_items:
        item = decode(raw, invalid, latest)
        if item is not None:
            items[item.id] = item
    return items
