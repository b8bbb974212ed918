"""The keys of the configuration, with defaults and meaning.

The models are the only definition: they validate files, flags and environment variables, the exporter uses them, and
docs/configuration.md is generated from them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from datetime import UTC
from itertools import combinations
from typing import Any, Final, Literal, TypeVar

from pydantic import field_validator, model_validator

from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.config.accounts import AccountSection, CredentialSection, DiscoveryFilter
from gigas_exporter.config.field_types import (
    ApiUrl,
    CaFile,
    DashboardBase,
    Duration,
    DurationMin1ms,
    DurationMin1s,
    FieldNames,
    FilePath,
    FilledSection,
    Id,
    ListenAddresses,
    ProxyUrl,
    StatusWord,
    TelemetryPath,
    Text,
    TimeZone,
    key,
    wrong_type,
)
from gigas_exporter.decode import DecodeSettings, SizeUnit
from gigas_exporter.gigas.settings import ApiSettings, LoginFlow
from gigas_exporter.policy import DEFAULT_POLICY, Match, Policy, Requirement, Rule, Thresholds
from gigas_exporter.status_words import DISK_ERROR_WORDS
from gigas_exporter.validation_errors import ConfigProblem, CrossKeyError, Section

BackupsSource = Literal["auto", "account", "disk"]

_API: Final = ApiSettings()
_WORDS: Final = BackupStatuses()
_THRESHOLDS: Final = Thresholds()
_T = TypeVar("_T")


def _from_section(dataclass: type[_T], section: Section, **others: Any) -> _T:
    """Return a dataclass with the section's values for its fields."""
    values: dict[str, Any] = dict(section)
    names = {each.name for each in fields(dataclass)}  # type: ignore[arg-type]  # a type of a dataclass has no name
    return dataclass(**{name: value for name, value in values.items() if name in names}, **others)


class ApiSection(Section):
    """API connection, and the format of its responses."""

    url: ApiUrl = key(_API.url, "URL", "Base URL of the API. Use `http://` only for loopback; else it logs a warning.")
    login: LoginFlow = key(
        _API.login, "token or oidc", "How a login requests tokens: `token` at `/token`, `oidc` by OpenID Connect."
    )
    timeout: DurationMin1ms = key(
        _API.timeout_seconds, "duration", "Limit on one request, from connect to the last byte of the response."
    )
    page_size: int = key(_API.page_size, "number", "Items requested per page; the API may send fewer.", ge=1, le=10_000)
    max_concurrency: int = key(
        _API.max_concurrency, "number", "Maximum number of concurrent API requests per credential.", ge=1, le=64
    )
    max_requests_per_second: float = key(
        _API.max_requests_per_second,
        "number",
        "Maximum number of requests per second and credential; 0 means no limit.",
        ge=0,
        le=10_000,
        allow_inf_nan=False,
    )
    ca_file: CaFile | None = key(_API.ca_file, "path", "PEM file of the CAs to trust instead of the system's.")
    proxy: ProxyUrl | None = key(
        _API.proxy, "URL", "HTTP proxy to reach the API through. The proxy settings of the environment are not used."
    )
    time_zone: TimeZone = key(UTC, "time zone", "Time zone of API dates without one, such as `Europe/Madrid`.")
    disk_size_unit: SizeUnit = key("GiB", "choice", "The unit of `disk_size`.")
    backup_size_unit: SizeUnit = key("KiB", "choice", "The unit of `backup_size`, which Gigas does not document.")
    fields: FieldNames = key(
        {},
        "mapping",
        "Names of fields that differ from the API's documentation: `{autobackup: has_autobackups}` reads"
        " `has_autobackups` if `autobackup` is absent. `{error: null}` accepts that the API has no such field.",
    )

    def to_client_settings(self, disk_error_words: Collection[str], backup_statuses: BackupStatuses) -> ApiSettings:
        """Return the client's own settings."""
        decoding = _from_section(
            DecodeSettings, self, disk_error_words=frozenset(disk_error_words), backup_statuses=backup_statuses
        )
        return _from_section(ApiSettings, self, timeout_seconds=self.timeout, decoding=decoding)


class PollSettings(Section):
    """How often the API is read, and how long old data is served."""

    interval: DurationMin1s = key(60.0, "duration", "Time between polls of disks and virtual machines; at least 1s.")
    backups_interval: DurationMin1s = key(300.0, "duration", "Time between polls of backups; at least 1s.")
    max_staleness: Duration = key(
        900.0,
        "duration",
        "How long the last good data is served while polls fail; never less than 2 × `interval` for disks"
        " and 6 × `backups_interval` for backups.",
    )
    backups_source: BackupsSource = key(
        "auto",
        "choice",
        "Where backups are read: `account` is one list of the account, `disk` one list for each disk,"
        " `auto` the list of the account where the API has it.",
    )


class StatusSection(Section):
    """Words in a backup's status, compared ignoring case, with space, `-` and `_` as equal.

    A status matches a word when it is the word, or has it at its start (`failed: timeout`) or end (`backup_failed`),
    not inside another word. A text that matches none counts as usable, unless the backup is locked. A text with a word
    or number that makes it doubtful (`not available`, `50%`) is not understood.

    A list given here replaces the whole default list. To add a word, copy the default list from
    `gigas-exporter config init` and add to it.
    """

    failed: list[StatusWord] = key(sorted(_WORDS.failed), "list of text", "Statuses of backups that failed.")
    unfinished: list[StatusWord] = key(
        sorted(_WORDS.unfinished), "list of text", "Statuses of backups that are not finished, or no longer available."
    )
    good: list[StatusWord] = key(
        sorted(_WORDS.good), "list of text", "Statuses of backups that are usable even while they are locked."
    )

    @model_validator(mode="after")
    def _check(self) -> StatusSection:
        for one, other in combinations(sorted(self.model_fields_set), 2):
            if both := len({*getattr(self, one)} & {*getattr(self, other)}):
                what = "a word is" if both == 1 else f"{both} words are"
                raise ValueError(f"{what} both in {one} and in {other}; keep one")
        return self

    def to_statuses(self) -> BackupStatuses:
        """Return the words; a configured one is no longer in the other default lists."""
        given = {name: frozenset(getattr(self, name)) for name in self.model_fields_set}
        words: frozenset[str] = frozenset().union(*given.values())
        return BackupStatuses(
            **{name: given.get(name, getattr(_WORDS, name) - words) for name in type(self).model_fields}
        )


class DiskStatusSection(Section):
    """Words in a disk's status, compared as those of `backup_status`.

    A list given here replaces the whole default list. To add a word, copy the default list from
    `gigas-exporter config init` and add to it.
    """

    error: list[StatusWord] = key(
        sorted(DISK_ERROR_WORDS), "list of text", "Statuses that mean an error, whatever the flag `error` says."
    )


class MatchSection(FilledSection):
    """Conditions of a rule; a disk must meet all that are given.

    An empty field matches nothing. If a field is not known, the strictest rule that could match applies.
    """

    account_id: Id | None = key(None, "id", "The account's id.")
    disk_id: Id | None = key(None, "id", "The disk's id.")
    virtual_machine_id: Id | None = key(None, "id", "The id of the virtual machine that the disk is attached to.")
    mount_point: Text | None = key(None, "glob", "The mount point, such as `/srv/db*`.")
    is_swap: bool | None = key(None, "boolean", "Whether it is a swap disk.")
    autobackup: bool | None = key(None, "boolean", "Whether the disk has automatic backups.")
    virtual_machine_label: Text | None = key(None, "glob", "The virtual machine's label, such as `db-*`.")


class RuleSection(FilledSection):
    """A rule of the backup policy: either `max_age`, or `required: false`."""

    match: MatchSection | None = key(None, "mapping", "Which disks; without it, every disk.")
    max_age: DurationMin1ms | None = key(
        None, "duration", "How old the newest usable backup may be; a backup is then required."
    )
    required: bool | None = key(
        None,
        "boolean",
        "`false`: no backup of these disks is required; without a `reason` they are unprotected unless they are swap.",
    )
    reason: Text | None = key(None, "text", "Why, for people.")

    @model_validator(mode="after")
    def _check(self) -> RuleSection:
        if self.required is False and self.max_age is not None:
            raise ValueError("max_age and required: false contradict each other; keep one")
        if self.required and self.max_age is None:
            raise ValueError("required: true needs max_age, how old the newest backup may be")
        if self.required is None and self.max_age is None:
            raise ValueError("needs max_age or required: false")
        return self

    def to_rule(self) -> Rule:
        """Return the rule of the policy."""
        match = Match() if self.match is None else Match(**self.match.model_dump())
        return Rule(Requirement(self.max_age is not None, self.max_age, self.reason), match)


class ThresholdsSection(Section):
    """Limits for locked disks and missed backups, for `check`, the status page, the metrics and the alerts alike."""

    locked: Duration = key(_THRESHOLDS.locked_seconds, "duration", "How long a disk may be locked.")
    missed_factor: float = key(
        _THRESHOLDS.missed_factor,
        "number",
        "A newest backup older than its limit times this factor counts as missed (critical).",
        ge=1,
        le=1000,
        allow_inf_nan=False,
    )


class WebSettings(Section):
    """Where and how the metrics are served."""

    listen_address: ListenAddresses = key(
        (("", 10063),),
        "address or list of addresses",
        "Address to listen on: `:10063`, `127.0.0.1:10063` or `[::1]:10063`. Repeat the flag, or use"
        " commas (in the file: a list), for several.",
    )
    telemetry_path: TelemetryPath = key("/metrics", "text", "Path under which the metrics are served.")
    config_file: FilePath | None = key(None, "path", "File with TLS and basic auth, in exporter-toolkit's format.")
    enable_lifecycle: bool = key(False, "boolean", "Whether `POST /-/reload` is allowed.")
    dashboard_base: DashboardBase | None = key(
        None, "URL", "Address of Grafana; the status page then links to the dashboards."
    )


class LogSettings(Section):
    """How much is logged to stderr, and how it is written."""

    level: Literal["debug", "info", "warn", "error"] = key(
        "info", "choice", "Only log messages with the given severity or above."
    )
    format: Literal["logfmt", "json"] = key("logfmt", "choice", "Output format of log messages.")


class ConfigFile(Section):
    """The whole file."""

    api: ApiSection = key(ApiSection(), "mapping", "API connection, and the format of its responses.")
    accounts: list[AccountSection] | None = key(None, "list of mappings", "The accounts to watch.")
    discover: DiscoveryFilter | None = key(
        None,
        "boolean or mapping",
        "Instead of `accounts`: watch every account that `credential` may see, except terminated and cancelled"
        " products and those whose disks answer 404. `true`, or a filter.",
    )
    credential: CredentialSection | None = key(None, "mapping", "Credential used to discover and read accounts.")
    poll: PollSettings = key(PollSettings(), "mapping", "How often the API is read.")
    backup_status: StatusSection = key(
        StatusSection(), "mapping", "What a backup's status means. A list given here replaces the default list."
    )
    disk_status: DiskStatusSection = key(
        DiskStatusSection(), "mapping", "What a disk's status means. A list given here replaces the default list."
    )
    backup_policy: list[RuleSection] | None = key(
        None,
        "list of mappings",
        "Which disks must have a backup, and how old the newest may be. The first rule that matches decides;"
        " a disk that none matches is unprotected unless it is swap.",
    )
    thresholds: ThresholdsSection = key(ThresholdsSection(), "mapping", "Limits for locked disks and missed backups.")
    web: WebSettings = key(WebSettings(), "mapping", "How the metrics are served.")
    log: LogSettings = key(LogSettings(), "mapping", "How events are logged.")

    @field_validator("discover", mode="before")
    @classmethod
    def _accept_boolean(cls, value: object) -> object:
        if isinstance(value, bool):
            return {} if value else None
        if not isinstance(value, dict | None):
            raise wrong_type(value, "must be true, false or a mapping; yes, no, on and off are text")
        return value

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty_sections(cls, data: object) -> object:
        # A section whose keys are all commented out is null in YAML, and means the defaults.
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}
        return data

    @model_validator(mode="after")
    def _check_accounts(self) -> ConfigFile:
        problems: list[ConfigProblem] = []
        if self.accounts is not None and self.discover:
            problems.append(ConfigProblem(("discover",), "cannot be true when accounts are named; keep one"))
        elif self.accounts is not None and self.credential is not None:
            problems.append(ConfigProblem(("credential",), "belongs to discover: true; give each of accounts its own"))
        elif self.credential is not None and not self.discover:
            problems.append(ConfigProblem(("credential",), "has no use without discover: true"))
        elif self.accounts == []:
            problems.append(ConfigProblem(("accounts",), "must name at least one account"))
        first: dict[str, int] = {}
        for index, account in enumerate(self.accounts or ()):
            if first.setdefault(account.id, index) != index:
                problems.append(
                    ConfigProblem(("accounts", index, "id"), f"is the same as accounts[{first[account.id]}].id")
                )
        if problems:
            raise CrossKeyError(problems)
        return self

    def policy(self) -> Policy:
        """Return the backup policy."""
        if self.backup_policy is None:
            return DEFAULT_POLICY
        return Policy(tuple(each.to_rule() for each in self.backup_policy))
