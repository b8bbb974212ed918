"""What the exporter was told to do, checked and complete, however it was told.

This module owns the shapes: it knows no file, no environment and no flag.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gigas_exporter.gigas.credentials import Credential
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.inventory import BackupStatusWords
from gigas_exporter.model import Account
from gigas_exporter.policy import DEFAULT_POLICY, Policy, Thresholds
from gigas_exporter.status_words import fold_status

__all__ = [
    "AccountSettings",
    "BackupsSource",
    "DiscoveryFilter",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "PollSettings",
    "Settings",
    "Shard",
    "WebSettings",
]

BackupsSource = Literal["auto", "account", "disk"]
LogLevel = Literal["debug", "info", "warn", "error"]
LogFormat = Literal["logfmt", "json"]


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """An account that was named in the configuration, and what it is read with."""

    account: Account
    credential: Credential


@dataclass(frozen=True, slots=True)
class DiscoveryFilter:
    """Which of the listed accounts are watched.

    Attributes:
        status: Folded statuses; without them, all but ended products.
        product_id: Ids of products; without them, all.
    """

    status: frozenset[str] = frozenset()
    product_id: frozenset[str] = frozenset()

    def excludes(self, account: Account) -> bool:
        """Return whether the account is left out; what is not known of it leaves nothing out."""
        status = None if account.status is None else fold_status(account.status)
        if status is not None and (status not in self.status if self.status else status in ENDED_STATUSES):
            return True
        return bool(self.product_id) and account.product_id is not None and account.product_id not in self.product_id


ENDED_STATUSES = frozenset({"terminated", "cancelled", "canceled"})


@dataclass(frozen=True, slots=True)
class PollSettings:
    """How often the API is read, and how long old data is served; all in seconds.

    Attributes:
        backups_source: Where backups are read: a sweep of the account, one request a disk, or what the API has.
    """

    interval: float = 60.0
    backups_interval: float = 300.0
    max_staleness: float = 900.0
    backups_source: BackupsSource = "auto"


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where and how the metrics are served.

    Attributes:
        listen_address: Hosts and ports; an empty host stands for all addresses of the machine.
        config_file: TLS and basic auth, in exporter-toolkit's format.
        dashboard_base: Address of Grafana, without a slash at its end.
    """

    listen_address: tuple[tuple[str, int], ...] = (("", 10063),)
    telemetry_path: str = "/metrics"
    config_file: Path | None = None
    enable_lifecycle: bool = False
    dashboard_base: str | None = None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How much is logged, and how it is written."""

    level: LogLevel = "info"
    format: LogFormat = "logfmt"


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of all accounts that this process reads, when several share them.

    Attributes:
        index: Which part, counted from 1.
        count: How many parts there are.
    """

    index: int
    count: int

    def owns(self, account_id: str) -> bool:
        """Return whether the account is in this part, by rendezvous hashing.

        It depends on the id and the number of parts alone. Another number of parts moves as few accounts as possible.
        """
        name = account_id.encode("utf-8", "surrogatepass")
        weights = [hashlib.sha256(b"%d:%b" % (part, name)).digest() for part in range(1, self.count + 1)]
        return weights.index(max(weights)) == self.index - 1


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the exporter was told.

    Attributes:
        accounts: All accounts of the configuration, also those of other shards; empty with ``discovery``.
        discovery: What to ask the API with for the accounts to read; ``None`` when ``accounts`` says it.
        discovery_filter: Which of the accounts that are listed then are watched.
        warnings: What is allowed but hardly meant, one line each; to be logged once.
    """

    accounts: tuple[AccountSettings, ...] = ()
    discovery: Credential | None = None
    discovery_filter: DiscoveryFilter = field(default_factory=DiscoveryFilter)
    api: ApiSettings = field(default_factory=ApiSettings)
    poll: PollSettings = field(default_factory=PollSettings)
    status_words: BackupStatusWords = field(default_factory=BackupStatusWords)
    policy: Policy = DEFAULT_POLICY
    thresholds: Thresholds = field(default_factory=Thresholds)
    web: WebSettings = field(default_factory=WebSettings)
    log: LogSettings = field(default_factory=LogSettings)
    shard: Shard | None = None
    warnings: tuple[str, ...] = ()

    def owns(self, account_id: str) -> bool:
        """Return whether this process is to read the account."""
        return self.shard is None or self.shard.owns(account_id)
