"""The domain: what a Gigas account holds, in the API's own words.

This module owns the shapes and nothing else: it imports nothing of the package, reads no wire format and knows no
metric. Absent is always ``None``; 0 and the empty string are values that the API gave.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Account", "Backup", "Disk", "VirtualMachine"]


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a credential may see (Gigas docs, page Accounts).

    Attributes:
        id: Identifier, as text whatever the API sent.
        name: The name that the operator configured; the API has none, so a discovered account has its ``domain``.
    """

    id: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk (Gigas docs, page Disk). Every field but ``id`` may be missing or unreadable, and is then ``None``.

    Attributes:
        size_bytes: ``disk_size`` × 2^30: the documentation says GB, the platform counts 1024s.
        status: Free text; the possible values are documented nowhere.
        created_at: UNIX seconds.
        updated_at: UNIX seconds.
    """

    id: str
    virtual_machine_id: str | None = None
    size_bytes: int | None = None
    status: str | None = None
    error: bool | None = None
    locked: bool | None = None
    is_swap: bool | None = None
    autobackup: bool | None = None
    mount_point: str | None = None
    add_to_linux_fstab: bool | None = None
    data_store_id: str | None = None
    data_store_group_id: str | None = None
    created_at: float | None = None
    updated_at: float | None = None


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup of a disk (Gigas docs, page Backup).

    Attributes:
        date_created: UNIX seconds.
        status: Free text; the possible values are documented nowhere.
        size_bytes: ``backup_size`` × 1024: the unit is documented nowhere; we take OnApp's, which is KB of 1024 bytes.
        backup_type: ``gigas`` (made by hand) or ``gigas-automatic``.
    """

    id: str
    disk_id: str | None = None
    date_created: float | None = None
    status: str | None = None
    operating_system: str | None = None
    operating_system_distro: str | None = None
    template_id: str | None = None
    size_bytes: int | None = None
    locked: bool | None = None
    backup_type: str | None = None


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A virtual machine (Gigas docs, page Virtual Machines), without its ``initial_password``, which is never kept."""

    id: str
    label: str | None = None
    hostname: str | None = None
    type: str | None = None
    status: str | None = None
