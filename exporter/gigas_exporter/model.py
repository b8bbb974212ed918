"""The domain's objects, named as in the API.

It imports nothing of the package, and knows neither JSON nor metrics. What is absent is ``None``; 0 is a value that the
API gave.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NONE_UNKNOWN: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Account:
    """An account (Gigas docs, page Accounts).

    Attributes:
        id: Identifier, as text whatever the API sent.
        name: The configured name. The API has none, so a discovered account is named by its ``domain``.
        status: Free text with undocumented values; only of a discovered account.
        product_id: Which product it is, as text; only of a discovered account.
        api_host: The host of its API; only of a discovered account that names one.
    """

    id: str
    name: str | None = None
    status: str | None = field(default=None, compare=False)
    product_id: str | None = field(default=None, compare=False)
    api_host: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk (Gigas docs, page Disk); every field but ``id`` may be ``None``.

    Attributes:
        size_bytes: ``disk_size``, by default × 2^30: the documentation says GB, the platform means GiB.
        status: Free text with undocumented values.
        error: The API's error flag; also ``None`` if only an undocumented field reports an error. See
            :attr:`has_error`.
        created_at: UNIX seconds.
        updated_at: UNIX seconds.
        status_is_error: Whether the status means an error.
        unknown: Fields whose value is not known: not understood, or absent where absence means nothing. The latter are
            ``error``, ``autobackup``, ``is_swap``, ``mount_point`` and ``virtual_machine_id`` without their key, and
            ``autobackup`` and ``is_swap`` without a value. The attribute of a field that is not known is ``None``, or a
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
        """Whether flag or status reports an error; ``None`` if not known."""
        if self.status_is_error or self.error:
            return True
        return None if "status" in self.unknown else self.error


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup of a disk (Gigas docs, page Backup).

    Attributes:
        date_created: UNIX seconds.
        status: Free text with undocumented values; the JSON of a value that is not text.
        size_bytes: ``backup_size``, by default × 1024: undocumented; we take OnApp's unit, KB of 1024 bytes.
        backup_type: ``gigas`` (made by hand) or ``gigas-automatic``.
        built: Whether the backup is finished, if the API says so; false if it is gone, or soon will be.
        status_type: The JSON type of a status that is not text, or reads as a number or boolean; else ``None``.
        unknown: Fields that were not understood; ``status`` also if it is absent and the backup is not built,
            ``error`` also if another field contradicts that the backup is usable (``progress: 40``).
        has_error: Whether ``error`` reports an error.
        virtual_machine_id: The backed-up machine, if the API names one; the only owner of a backup without a disk.
        disk_ids: The disks that it names, if several; ``disk_id`` is not understood then.
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
        unknown: Fields whose value is not known; ``label`` also without its key.
    """

    id: str
    label: str | None = None
    hostname: str | None = None
    type: str | None = None
    status: str | None = None
    unknown: frozenset[str] = NONE_UNKNOWN
