"""The domain, in the API's own words.

This module owns the shapes and nothing else: it imports nothing of the package, reads no wire format and knows no
metric. Absent is always ``None``; 0 and the empty string are values that the API gave.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NONE_UNKNOWN: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Account:
    """An account (Gigas docs, page Accounts).

    Attributes:
        id: Identifier, as text whatever the API sent.
        name: The name that the operator configured; the API has none, so a discovered account has its ``domain``.
        status: Free text, of a discovered account; the possible values are documented nowhere.
        product_id: Which product it is, of a discovered account, as text.
        api_host: Where its API is, of a discovered account that says so.
    """

    id: str
    name: str | None = None
    status: str | None = field(default=None, compare=False)
    product_id: str | None = field(default=None, compare=False)
    api_host: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk (Gigas docs, page Disk). Every field but ``id`` may be missing or unreadable, and is then ``None``.

    Attributes:
        size_bytes: ``disk_size`` × 2^30: the documentation says GB, the platform counts 1024s.
        status: Free text; the possible values are documented nowhere.
        error: Whether the API's flag says so; ``None`` where an undocumented field contradicts that there is none. See
            :attr:`has_error`.
        created_at: UNIX seconds.
        updated_at: UNIX seconds.
        status_is_error: Whether the status is a word that means an error.
        unknown: The fields whose value is not known. They were not understood, or are absent where absence says
            nothing: ``error``, ``autobackup``, ``is_swap``, ``mount_point`` and ``virtual_machine_id`` without their
            key, ``autobackup`` and ``is_swap`` without a value. The field's own attribute is ``None`` then, but for a
            text that was cut.
        missing: Those of ``unknown`` that are absent, rather than not understood.
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
    status_is_error: bool = False
    unknown: frozenset[str] = NONE_UNKNOWN
    missing: frozenset[str] = NONE_UNKNOWN

    @property
    def has_error(self) -> bool | None:
        """Whether flag or status says error; ``None`` where that is not known."""
        if self.status_is_error or self.error:
            return True
        return None if "status" in self.unknown else self.error


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup of a disk (Gigas docs, page Backup).

    Attributes:
        date_created: UNIX seconds.
        status: Free text; the possible values are documented nowhere. Of a value that is no text, its JSON.
        size_bytes: ``backup_size`` × 1024: the unit is documented nowhere; we take OnApp's, which is KB of 1024 bytes.
        backup_type: ``gigas`` (made by hand) or ``gigas-automatic``.
        built: Whether the backup is finished, where the API says so; one that is deleted or soon will be is not.
        status_type: JSON's name for the type of a status that is no text, or a number or boolean in one; else ``None``.
        unknown: The fields that were not understood; ``status`` also where it is absent and the backup is not built,
            ``error`` also where another field contradicts that the backup is usable (``progress: 40``).
        has_error: Whether ``error`` says so.
        virtual_machine_id: The machine that it is of, where the API says so; all that a backup without a disk names.
        disk_ids: The disks that it names where they are several; ``disk_id`` is not understood then.
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
    built: bool | None = None
    status_type: str | None = None
    unknown: frozenset[str] = NONE_UNKNOWN
    has_error: bool = False
    virtual_machine_id: str | None = None
    disk_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A virtual machine (Gigas docs, page Virtual Machines), without ``initial_password``.

    Attributes:
        unknown: The fields whose value is not known; ``label`` also without its key.
    """

    id: str
    label: str | None = None
    hostname: str | None = None
    type: str | None = None
    status: str | None = None
    unknown: frozenset[str] = NONE_UNKNOWN
