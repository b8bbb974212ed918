"""The API's requests as values.

It owns paths, parameters and bodies (Gigas docs, pages Disk, Backup, Virtual Machines, Accounts), so that a request can
be shown without being sent. It knows no transport and no credential.
"""

from __future__ import annotations

import json as json_module
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode

from gigas_exporter.decode import Decoder
from gigas_exporter.errors import ConfigError
from gigas_exporter.model import Backup, Disk

Method = Literal["GET", "POST", "PUT", "DELETE"]
_T = TypeVar("_T")


def _no_object(decoder: Decoder, raw: object, invalid: Counter[str]) -> None:
    del decoder, raw, invalid


@dataclass(frozen=True, slots=True)
class ApiRequest(Generic[_T]):
    """A request that can be shown, compared and sent.

    Attributes:
        operation: Its name in metrics and messages.
        method: The HTTP method.
        path: The encoded path below the API's URL.
        query: Parameters, not encoded.
        json: The JSON body, if any.
        form: The body of a form, instead of ``json``.
        decode: Decodes the object in the response.
    """

    operation: str
    method: Method
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    decode: Callable[[Decoder, object, Counter[str]], _T | None] = field(default=_no_object, compare=False, repr=False)

    @property
    def account(self) -> str:
        """The encoded account id, or empty."""
        parts = self.path.split("/")
        return parts[2] if parts[1] == "account" else ""

    @property
    def quotes_api_message(self) -> bool:
        """Whether an error quotes the API's message: for changes and filters."""
        return self.method != "GET" or bool(self.query.keys() - {"limit", "offset"})

    @property
    def body(self) -> bytes | None:
        """The encoded body."""
        if self.form is not None:
            return urlencode(self.form).encode()
        return None if self.json is None else json_module.dumps(self.json).encode()

    @property
    def target(self) -> str:
        """The encoded path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def account_path(account_id: str, *parts: str) -> str:
    """Return an encoded path in an account; each part becomes one segment."""
    segments = ("account", account_id, *parts)
    return "".join(f"/{_segment(segment)}" for segment in segments)


def disk_path(account_id: str, disk_id: str, *parts: str) -> str:
    """Return the encoded path of a disk."""
    return account_path(account_id, "disk", disk_id, *parts)


def filters(**values: str | float | bool | None) -> dict[str, str]:
    """Return query parameters without those that are ``None``.

    Flags become 1 and 0, as documented for editing a disk.
    """
    return {name: _parameter(value) for name, value in values.items() if value is not None}


def edit_disk_request(
    account_id: str,
    disk_id: str,
    *,
    disk_size: float | None = None,
    virtual_machine_id: str | None = None,
    autobackup: bool | None = None,
    mount_point: str | None = None,
    add_to_linux_fstab: bool | None = None,
    force_reboot: bool | None = None,
) -> ApiRequest[Disk]:
    """Return the request that edits a disk; ``None`` keeps a field.

    Args:
        account_id: The account.
        disk_id: The disk.
        disk_size: The new size in the API's unit, by default GiB, which it calls GB.
        virtual_machine_id: The machine to attach the disk to.
        autobackup: Whether the platform makes backups automatically.
        mount_point: Where the disk is mounted.
        add_to_linux_fstab: Whether it gets a line in ``/etc/fstab``.
        force_reboot: Whether the machine may be rebooted; some changes need it.

    Raises:
        ConfigError: No change was given, or the size is not above 0.
    """
    changes: dict[str, Any] = {
        "disk_size": disk_size,
        "virtual_machine_id": virtual_machine_id,
        "autobackup": autobackup,
        "mount_point": mount_point,
        "add_to_linux_fstab": add_to_linux_fstab,
    }
    body = {name: _wire(value) for name, value in changes.items() if value is not None}
    if not body:
        raise ConfigError(f"disk {disk_id}: nothing to change was given")
    if disk_size is not None and not 0 < disk_size < float("inf"):
        raise ConfigError(f"disk {disk_id}: the size must be a number above 0")
    if force_reboot is not None:
        body["force_reboot"] = _wire(force_reboot)
    return ApiRequest("edit_disk", "PUT", disk_path(account_id, disk_id), json=body, decode=Decoder.disk)


def build_disk_request(account_id: str, disk_id: str) -> ApiRequest[Disk]:
    """Return the request that builds a disk, which erases its data."""
    return ApiRequest("build_disk", "POST", disk_path(account_id, disk_id, "build"), decode=Decoder.disk)


def delete_disk_request(account_id: str, disk_id: str) -> ApiRequest[None]:
    """Return the request that deletes a disk, which erases its data."""
    return ApiRequest("delete_disk", "DELETE", disk_path(account_id, disk_id))


def create_backup_request(account_id: str, disk_id: str) -> ApiRequest[Backup]:
    """Return the request that makes a backup."""
    return ApiRequest("create_backup", "POST", disk_path(account_id, disk_id, "backup"), decode=Decoder.backup)


def create_template_request(account_id: str, disk_id: str, *, label: str, console_id: str) -> ApiRequest[Backup]:
    """Return the request that makes a template of a disk.

    Raises:
        ConfigError: The label or the console id is empty.
    """
    for name, value in (("label", label), ("console_id", console_id)):
        if not value.strip():
            raise ConfigError(f"disk {disk_id}: a template needs a {name}")
    return ApiRequest(
        "create_template",
        "POST",
        disk_path(account_id, disk_id, "template"),
        json={"label": label, "console_id": console_id},
        decode=Decoder.backup,
    )


def _segment(text: str) -> str:
    # On the way "." and ".." would be removed from the path, even encoded, and so name another resource.
    if not text.strip() or text in {".", ".."}:
        raise ConfigError("an id must not be empty or consist of dots")
    return quote(text, safe="", errors="replace")


def _parameter(value: str | float | bool) -> str:
    return str(_wire(value))


def _wire(value: str | float | bool) -> str | float:
    return int(value) if isinstance(value, bool) else value
