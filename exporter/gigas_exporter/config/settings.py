"""The settings of the exporter."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.config.accounts import DiscoveryFilter
from gigas_exporter.config.schema import ConfigFile, LogSettings, PollSettings, WebSettings
from gigas_exporter.gigas.credentials import Credential
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.model import Account
from gigas_exporter.policy import DEFAULT_POLICY, Policy, Thresholds

_SHARD: Final = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the accounts.

    Attributes:
        index: Which part, counted from 1.
        count: How many parts there are.
    """

    index: int
    count: int

    def owns(self, account_id: str) -> bool:
        """Return whether the shard owns the account (rendezvous hashing).

        Only the id and the number of parts matter. Another number of parts moves as few accounts as possible.
        """
        name = account_id.encode("utf-8", "surrogatepass")
        weights = [hashlib.sha256(b"%d:%b" % (part, name)).digest() for part in range(1, self.count + 1)]
        return weights.index(max(weights)) == self.index - 1


def parse_shard(text: str) -> Shard:
    """Return the shard ``i/n``."""
    match = _SHARD.fullmatch(text)
    if match is None:
        raise ValueError("must be i/n, such as 1/3 for the first of three")
    index, count = int(match[1]), int(match[2])
    if not 1 <= index <= count:
        raise ValueError("must be i/n with i from 1 to n, such as 1/3 for the first of three")
    return Shard(index, count)


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """An account to read, and its credential."""

    account: Account
    credential: Credential


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings from file, environment and flags.

    Attributes:
        file: The configuration file, with what flags and environment override in it.
        accounts: All configured accounts, also those of other shards; empty with ``discovery``.
        discovery: The credential that discovers the accounts; ``None`` if they are configured.
        discovery_filter: Which of the discovered accounts are watched.
        warnings: Settings that are valid, but probably a mistake, one line each; to be logged once.
    """

    file: ConfigFile = field(default_factory=ConfigFile, repr=False, compare=False)
    accounts: tuple[AccountSettings, ...] = ()
    discovery: Credential | None = None
    discovery_filter: DiscoveryFilter = field(default_factory=DiscoveryFilter)
    api: ApiSettings = field(default_factory=ApiSettings)
    poll: PollSettings = field(default_factory=PollSettings)
    status_words: BackupStatuses = field(default_factory=BackupStatuses)
    policy: Policy = DEFAULT_POLICY
    thresholds: Thresholds = field(default_factory=Thresholds)
    web: WebSettings = field(default_factory=WebSettings)
    log: LogSettings = field(default_factory=LogSettings)
    shard: Shard | None = None
    warnings: tuple[str, ...] = ()

    def owns(self, account_id: str) -> bool:
        """Return whether this process reads the account."""
        return self.shard is None or self.shard.owns(account_id)
