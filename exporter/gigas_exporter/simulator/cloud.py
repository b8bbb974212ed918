"""The simulated cloud, in the exporter's model.

Every method is thread-safe. Ids are text, as in the model; an unknown id raises :class:`KeyError`. All values are
checked before anything is changed, so that the state can always be encoded.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gigas_exporter.model import Backup, Disk, VirtualMachine
from gigas_exporter.simulator.credentials import Credentials, DemoCredential
from gigas_exporter.simulator.fleet import CANARY
from gigas_exporter.simulator.json_encoding import STYLES
from gigas_exporter.simulator.records import KIBIBYTE, AccountRecord, DiskRecord
from gigas_exporter.simulator.schedule import Timeline
from gigas_exporter.simulator.state import CloudState

DEFAULT_BACKUP_SIZE = 4 << 30


class SimulatedCloud:
    """Accounts whose disks change over time. The same arguments and clock give the same cloud.

    Args:
        seed: Seed of all pseudo-random values.
        disks: Number of disks in all accounts at the start. In larger accounts, disks are added and removed later.
        accounts: Number of accounts; their ids start at 4242.
        start: UNIX seconds at which events begin, by default now. Earlier backups are generated.
        speed: Factor that compresses schedules: a daily backup is made every 24 h / ``speed``. Dates follow the clock,
            so that an exporter with the same clock shows sensible ages.
        clock: Returns UNIX seconds; a test may pass one that stands still or jumps.
        style: How values are encoded in JSON: ``plain`` (numbers and true/false), ``account`` (each account in another
            way, the first plainly), ``mixed`` (each item in another way), ``wrapped`` (each item in an object with one
            key), ``words`` (flags as words, dates as in HTTP), ``onapp`` (wrapped, and backups name no disk) or
            ``unclear`` (not understood without settings).
        retention: How many automatic backups of a disk are kept.
        eventful: Whether there are scenarios and events.
        hostile: Whether one disk and its machine have names with special characters.

    Attributes:
        default_limit: Page size of requests without ``limit``.
        max_limit: Maximum page size; a larger ``limit`` is lowered to it.
        operation_seconds: Simulated duration of an operation that the API starts.
        token_life_seconds: Lifetime of session tokens, which ``speed`` does not change.
        canary: Part of every ``initial_password``; no output may contain it.
    """

    canary = CANARY

    def __init__(
        self,
        seed: int = 0,
        disks: int = 40,
        accounts: int = 1,
        start: float | None = None,
        speed: float = 1.0,
        *,
        clock: Callable[[], float] = time.time,
        style: str = "account",
        retention: int = 7,
        eventful: bool = True,
        hostile: bool = True,
    ) -> None:
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}")
        if disks < 0 or accounts < 1 or retention < 1 or not 0 < speed < float("inf"):
            raise ValueError("disks must be at least 0, accounts and retention at least 1, speed finite and positive")
        self.seed, self.speed, self.style = seed, speed, style
        self.start = float(int(clock() if start is None else start))
        self.default_limit, self.max_limit = 100, 500
        self.operation_seconds, self.token_life_seconds = 5.0, 1800.0
        self._clock = clock
        self._lock = threading.RLock()
        timeline = Timeline(seed, self.start, speed)
        self._state = CloudState(timeline, disks, accounts, retention=retention, eventful=eventful, hostile=hostile)
        self.account_ids: tuple[str, ...] = tuple(str(number) for number in self._state.accounts)
        self.account_names = tuple(account.domain for account in self._state.accounts.values())
        self.access = Credentials(seed, self.account_ids)

    @contextlib.contextmanager
    def state(self) -> Iterator[CloudState]:
        """Lock and yield the state as of now, for the simulated API."""
        with self._lock:
            self._state.advance(self._clock())
            yield self._state

    def now(self) -> float:
        """Return the time of the clock, in UNIX seconds."""
        return self._clock()

    # Credentials

    @property
    def api_key(self) -> str:
        """The API key that sees every account."""
        return self.access.main.api_key

    @property
    def login(self) -> str:
        """The login that sees every account."""
        return self.access.main.login

    @property
    def password(self) -> str:
        """The password of :attr:`login`."""
        return self.access.main.password

    def credentials(self, account_id: str) -> DemoCredential:
        """Return the user who sees only this account."""
        return self.access.by_account[account_id]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that no output of an exporter may contain."""
        users = self.access.users
        return (CANARY, *(user.api_key for user in users), *(user.password for user in users))

    def issue_token(self, life_seconds: float = 1800) -> str:
        """Return a session token of the main user."""
        with self._lock:
            return self.access.issue(self.access.main, self._clock() + life_seconds, readonly=False)

    def revoke_tokens(self) -> None:
        """End every session."""
        with self._lock:
            self.access.revoke_tokens()

    # State

    def disks(self, account_id: str) -> tuple[Disk, ...]:
        """Return the account's disks in the order of listing."""
        with self.state() as state:
            return tuple(disk.model for disk in state.ordered(_account(state, account_id)))

    def disk(self, disk_id: str) -> Disk:
        """Return one disk of any account."""
        with self.state() as state:
            return _disk(state, disk_id).model

    def backups(self, account_id: str, disk_id: str | None = None) -> tuple[Backup, ...]:
        """Return the backups of an account or disk, as listed."""
        with self.state() as state:
            account = _account(state, account_id)
            disks = state.ordered(account) if disk_id is None else [account.disks[_number_of(disk_id)]]
            return tuple(disk.backup_model(backup) for disk in disks for backup in state.backups_of(disk))

    def machines(self, account_id: str) -> tuple[VirtualMachine, ...]:
        """Return the account's virtual machines in order."""
        with self.state() as state:
            return tuple(machine.model for machine in _account(state, account_id).machines.values())

    @property
    def scenarios(self) -> Mapping[str, str]:
        """Scenarios such as ``stale``, by disk id; without healthy disks."""
        with self._lock:
            return {str(number): scenario for number, scenario in self._state.scenarios.items()}

    # Changes

    def add_disk(
        self,
        account_id: str | None = None,
        *,
        mount_point: str | None = "/srv/data",
        size_gb: int = 20,
        virtual_machine_id: str | None = "last",
        **fields: Any,
    ) -> Disk:
        """Add a disk, by default to the first account's last machine; ``fields`` are those of :meth:`change_disk`."""
        if virtual_machine_id != "last":
            fields["virtual_machine_id"] = virtual_machine_id
        with self.state() as state:
            account = _account(state, account_id or self.account_ids[0])
            _check_disk(account, {"mount_point": mount_point, "disk_size": size_gb, **fields})
            disk = state.new_disk(account, mount_point, int(fields.pop("disk_size", size_gb)))
            _change_disk(state, disk, fields)
            return disk.model

    def delete_disk(self, disk_id: str) -> None:
        """Delete a disk and its backups."""
        with self.state() as state:
            state.remove_disk(_disk(state, disk_id).number)

    def change_disk(self, disk_id: str, **fields: Any) -> Disk:
        """Set fields of a disk, named as in the API; dates are UNIX seconds, ``disk_size`` is in GB.

        A background operation that ends later does not change a ``locked`` or ``status`` set here.

        Raises:
            KeyError: The disk or machine does not exist.
            ValueError: A field does not exist, or its value is invalid.
        """
        with self.state() as state:
            disk = _disk(state, disk_id)
            _change_disk(state, disk, fields)
            return disk.model

    def make_backup(
        self,
        disk_id: str,
        created_at: float | None = None,
        status: str = "completed",
        size: int | None = DEFAULT_BACKUP_SIZE,
        *,
        automatic: bool = False,
    ) -> Backup:
        """Make a backup, by default now; ``size`` is in bytes. Only automatic backups are rotated."""
        with self.state() as state:
            disk = _disk(state, disk_id)
            _Backup.model_validate({"created_at": created_at or 0, "status": status, "size": size})
            size_kb = None if size is None else int(size) // KIBIBYTE
            return disk.backup_model(state.new_backup(disk, created_at, status, size_kb, automatic=automatic))

    def remove_backups(self, disk_id: str) -> None:
        """Delete all backups of a disk; its schedule continues."""
        with self.state() as state:
            state.remove_backups(_disk(state, disk_id))


def _account(state: CloudState, account_id: str) -> AccountRecord:
    return state.accounts[_number_of(account_id)]


def _disk(state: CloudState, disk_id: str) -> DiskRecord:
    return state.disks[_number_of(disk_id)]


# Limits of what can be encoded: dates have a year of four digits, and a disk's bytes stay below 2^63.
_Timestamp = Annotated[float, Field(ge=0, le=250_000_000_000), AfterValidator(int)]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Disk(_Fields):
    """Fields of a disk: the names are those of the record, the aliases those of the API."""

    error: bool = False
    locked: bool = False
    is_swap: bool = False
    autobackup: bool = False
    fstab: bool = Field(default=False, alias="add_to_linux_fstab")
    status: str = ""
    mount_point: str | None = None
    size_gb: Annotated[float, Field(ge=0, le=1 << 32), AfterValidator(int)] = Field(default=0, alias="disk_size")
    created_at: _Timestamp = 0
    updated_at: _Timestamp = 0
    machine: int | str | None = Field(default=None, alias="virtual_machine_id")


class _Backup(_Fields):
    status: str
    created_at: _Timestamp = 0
    size: Annotated[float, Field(ge=0, le=1 << 62)] | None


def _check_disk(account: AccountRecord, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a disk by their names in the record.

    Raises:
        KeyError: The account has no such virtual machine.
        ValueError: A field does not exist, or its value is invalid.
    """
    changed = _Disk.model_validate(fields).model_dump(exclude_unset=True)
    if changed.get("machine") is not None:
        changed["machine"] = account.machines[_number_of(changed["machine"])].number
    return changed


def _change_disk(state: CloudState, disk: DiskRecord, fields: Mapping[str, Any]) -> None:
    """Set fields of a disk: all of them, or none."""
    changed = _check_disk(disk.account, fields)
    state.switch_autobackup(disk, on=changed.pop("autobackup", disk.autobackup))
    disk.touch(state.now)
    for name, value in changed.items():
        setattr(disk, name, value)
    if {"locked", "status"} & set(changed):
        disk.operation = 0


def _number_of(text: str | int) -> int:
    """Return an id as a number.

    Raises:
        KeyError: It is not a number.
    """
    try:
        return int(text)
    except ValueError:
        raise KeyError(text) from None
