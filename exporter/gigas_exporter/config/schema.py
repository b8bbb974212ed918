"""The configuration file, key by key: what each holds, what it defaults to, and what it means.

The models are the one definition: files are checked by them, flags and environment variables take their values
through them, and docs/configuration.md is written from them. Rules that span several keys are not here but where
settings are made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gigas_exporter.backup_summary import BackupStatusWords
from gigas_exporter.config.durations import parse_duration
from gigas_exporter.config.settings import BackupsSource, LogFormat, LogLevel, PollSettings, WebSettings
from gigas_exporter.config.values import (
    parse_api_url,
    parse_dashboard_base,
    parse_field_names,
    parse_id,
    parse_listen_address,
    parse_proxy_url,
    parse_telemetry_path,
    parse_time_zone,
)
from gigas_exporter.gigas.settings import ApiSettings, LoginFlow
from gigas_exporter.policy import Thresholds
from gigas_exporter.secret import Secret
from gigas_exporter.status_words import DISK_ERROR_WORDS, fold_status

__all__ = [
    "AccountSection",
    "ApiSection",
    "ConfigFile",
    "CredentialSection",
    "DiscoverSection",
    "DiskStatusSection",
    "LogSection",
    "MatchSection",
    "PollSection",
    "RuleSection",
    "Section",
    "StatusSection",
    "ThresholdsSection",
    "WebSection",
]

_T = TypeVar("_T")
_API: Final = ApiSettings()
_POLL: Final = PollSettings()
_WEB: Final = WebSettings()
_WORDS: Final = BackupStatusWords()
_THRESHOLDS: Final = Thresholds()
_YEAR: Final = 365 * 86400.0
_MAXIMUM_TEXT: Final = 4096
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)")


def _wrong(value: object, words: str) -> PydanticCustomError:
    return PydanticCustomError("words", "is empty" if value is None else words)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "must be text; put it in quotes")
    if not value.strip():
        raise ValueError("is empty")
    if len(value) > _MAXIMUM_TEXT:
        raise ValueError(f"is longer than {_MAXIMUM_TEXT} characters")
    if not value.isprintable():
        raise ValueError("has a line break or invisible character inside")
    _reject_variable(value)
    return value


def _reject_variable(value: str) -> None:
    if _VARIABLE.fullmatch(value.strip()):
        raise ValueError("is a variable, and variables are not replaced in this file; write the value, or use a file")


def _path(value: object) -> Path:
    text = _text(value)
    if text.startswith("~"):
        raise ValueError("begins with ~, which is not replaced; write the whole path")
    if text.startswith("$"):
        raise ValueError("begins with a variable, and variables are not replaced in this file; write the whole path")
    return Path(text)


def _through(parse: Callable[[str], _T]) -> Callable[[object], _T]:
    return lambda value: parse(_text(value))


def _listen_addresses(value: object) -> tuple[tuple[str, int], ...]:
    texts = value if isinstance(value, list) and value else _text(value).split(",")
    return tuple(parse_listen_address(_text(text).strip()) for text in texts)


def _duration(value: object, least: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise _wrong(value, "must be a duration with its unit, such as 60s")
    seconds = parse_duration(_text(value))
    if seconds < least:
        raise ValueError(f"must be at least {'1ms' if least < 1 else '1s'}")
    if seconds > _YEAR:
        raise ValueError("must be at most 1y")
    return seconds


def _status_word(text: str) -> str:
    word = fold_status(text)
    if not word:
        raise ValueError("is empty but for - and _")
    return word


def _id(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise _wrong(text, "must be an id: a whole number or text")
    return parse_id(text)


def _secret(value: object) -> Secret:
    if not isinstance(value, str):
        raise _wrong(value, "must be text; put it in quotes")
    _reject_variable(value)
    return Secret(value)


Text = Annotated[str, BeforeValidator(_text)]
Word = Annotated[str, BeforeValidator(_through(_status_word))]
Id = Annotated[str, BeforeValidator(_id)]
SecretText = Annotated[InstanceOf[Secret], BeforeValidator(_secret)]
FilePath = Annotated[Path, BeforeValidator(_path)]
Interval = Annotated[float, BeforeValidator(partial(_duration, least=1.0))]
Limit = Annotated[float, BeforeValidator(partial(_duration, least=0.001))]
Span = Annotated[float, BeforeValidator(partial(_duration, least=0.0))]
ApiUrl = Annotated[str, BeforeValidator(_through(parse_api_url))]
DashboardBase = Annotated[str, BeforeValidator(_through(parse_dashboard_base))]
ProxyUrl = Annotated[str, BeforeValidator(_through(parse_proxy_url))]
ListenAddresses = Annotated[tuple[tuple[str, int], ...], BeforeValidator(_listen_addresses)]
TimeZone = Annotated[str, BeforeValidator(_through(parse_time_zone))]
FieldNames = Annotated[dict[str, str | None], BeforeValidator(parse_field_names)]
SizeUnit = Literal["B", "KB", "KiB", "MB", "MiB", "GB", "GiB"]
TelemetryPath = Annotated[str, BeforeValidator(_through(parse_telemetry_path))]


def _key(default: Any, kind: str, meaning: str, **limits: Any) -> Any:
    return Field(default, description=meaning, json_schema_extra={"kind": kind}, **limits)


class Section(BaseModel):
    """A mapping of the file: nothing is converted in silence, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class FilledSection(Section):
    """A mapping in which a key without a value is an error: a match on nothing would widen a rule to every disk."""

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_null(cls, value: object) -> object:
        if value is None:
            raise _wrong(value, "")
        return value


class ApiSection(Section):
    """How the API is spoken to."""

    url: ApiUrl = _key(_API.url, "URL", "Base URL of the API. `http://` is for loopback; elsewhere it warns.")
    login: LoginFlow = _key(
        _API.login, "token or oidc", "How a login asks for tokens: `token` at `/token`, `oidc` by OpenID Connect."
    )
    timeout: Limit = _key(
        _API.timeout_seconds, "duration", "Limit on one request, from connect to the last byte of the answer."
    )
    page_size: int = _key(
        _API.page_size, "number", "Items asked for per page; the API may send fewer.", ge=1, le=10_000
    )
    max_concurrency: int = _key(_API.max_concurrency, "number", "Requests under way at once.", ge=1, le=64)
    max_requests_per_second: float = _key(
        _API.max_requests_per_second,
        "number",
        "Limit on the rate of requests; 0 means no limit.",
        ge=0,
        le=10_000,
        allow_inf_nan=False,
    )
    ca_file: FilePath | None = _key(
        _API.ca_file, "path", "PEM file of the authorities to trust instead of the system's."
    )
    proxy: ProxyUrl | None = _key(
        _API.proxy, "URL", "HTTP proxy to reach the API through. The proxy settings of the environment are not used."
    )
    time_zone: TimeZone = _key(
        "UTC", "time zone", "The zone of the API's dates that name none, such as `Europe/Madrid`."
    )
    disk_size_unit: SizeUnit = _key("GiB", "choice", "The unit of `disk_size`.")
    backup_size_unit: SizeUnit = _key("KiB", "choice", "The unit of `backup_size`, which is documented nowhere.")
    fields: FieldNames = _key(
        {},
        "mapping",
        "The API's names of fields that it calls otherwise than documented: `{autobackup: has_autobackups}` reads"
        " theirs where ours is absent. `{error: null}` says that the API has no such field, and that this is accepted.",
    )


class CredentialSection(FilledSection):
    """What the API is asked with: exactly one of `token`, `api_key`, or `login` with `password`.

    Each secret may be given here, or better in a file of its own with the key ending in `_file`. Such a file is read
    again after a refusal by the API and on reload, so that secrets can be rotated without a restart.
    """

    token: SecretText | None = _key(None, "secret", "Session token, sent as it is. It cannot be renewed.")
    token_file: FilePath | None = _key(None, "path", "File that holds the token.")
    api_key: SecretText | None = _key(None, "secret", "API key, sent as Bearer. The kind that Gigas recommends.")
    api_key_file: FilePath | None = _key(None, "path", "File that holds the API key.")
    login: Text | None = _key(None, "text", "E-mail address to log in with; session tokens are then made as needed.")
    password: SecretText | None = _key(None, "secret", "Password of the login.")
    password_file: FilePath | None = _key(None, "path", "File that holds the password.")


class AccountSection(CredentialSection):
    """An account to watch, with its credential: exactly one of `token`, `api_key`, or `login` with `password`."""

    id: Id = Field(description="The account's id, a number or text.", json_schema_extra={"kind": "id"})
    name: Text | None = _key(None, "text", "What people call it; the label `name` of `gigas_account_info`.")


class DiscoverSection(FilledSection):
    """Which of the accounts that the API lists are watched; one of which that is not known is watched."""

    status: list[Word] | None = _key(
        None, "list of text", "Statuses of the accounts to watch; without it, all but terminated and cancelled ones."
    )
    product_id: list[Id] | None = _key(None, "list of ids", "Products of the accounts to watch; without it, all.")


class PollSection(Section):
    """How often the API is read, and how long old data is served."""

    interval: Interval = _key(
        _POLL.interval, "duration", "Time between polls of disks and virtual machines; at least 1s."
    )
    backups_interval: Interval = _key(_POLL.backups_interval, "duration", "Time between polls of backups; at least 1s.")
    max_staleness: Span = _key(
        _POLL.max_staleness,
        "duration",
        "How long the last good data is served while polls fail; never less than 2 × `interval` for disks"
        " and 6 × `backups_interval` for backups.",
    )
    backups_source: BackupsSource = _key(
        _POLL.backups_source,
        "choice",
        "Where backups are read: `account` is one sweep of the account, `disk` one request a disk,"
        " `auto` the sweep where the API has it.",
    )


class StatusSection(Section):
    """Words in a backup's status, compared without case, and with space, `-` and `_` as the same.

    A status matches a word when it is the word, begins with it before no letter (`failed: timeout`), or ends with it
    after no letter (`backup_failed`). A text that matches none counts as usable, unless a word
    in it makes that doubtful (`not available`): then it is not understood.
    """

    failed: list[Word] = _key(sorted(_WORDS.failed), "list of text", "Statuses of backups that failed.")
    unfinished: list[Word] = _key(
        sorted(_WORDS.unfinished), "list of text", "Statuses of backups that are not finished, or are gone."
    )
    good: list[Word] = _key(
        sorted(_WORDS.good), "list of text", "Statuses of backups that are usable even while they are locked."
    )


class DiskStatusSection(Section):
    """Words in a disk's status, compared as those of `backup_status`."""

    error: list[Word] = _key(
        sorted(DISK_ERROR_WORDS), "list of text", "Statuses that mean an error, whatever the flag `error` says."
    )


class MatchSection(FilledSection):
    """What a rule's disks must have; all that is given must hold. What the API did not give matches nothing."""

    account_id: Id | None = _key(None, "id", "The account's id.")
    disk_id: Id | None = _key(None, "id", "The disk's id.")
    virtual_machine_id: Id | None = _key(None, "id", "The id of the virtual machine that the disk is attached to.")
    mount_point: Text | None = _key(None, "glob", "The mount point, such as `/srv/db*`.")
    is_swap: bool | None = _key(None, "boolean", "Whether it is a swap disk.")
    autobackup: bool | None = _key(None, "boolean", "Whether the disk has automatic backups.")
    virtual_machine_label: Text | None = _key(None, "glob", "The virtual machine's label, such as `db-*`.")


class RuleSection(FilledSection):
    """A rule of the backup policy: either `max_age`, or `required: false`."""

    match: MatchSection | None = _key(None, "mapping", "Which disks; without it, every disk.")
    max_age: Limit | None = _key(
        None, "duration", "How old the newest usable backup may be. Implies that one is required."
    )
    required: bool | None = _key(None, "boolean", "`false`: these disks need no backup.")
    reason: Text | None = _key(None, "text", "Why, for people.")


class ThresholdsSection(Section):
    """When something about a disk lasts too long: for `check`, the status page, the metrics and the alerts alike."""

    locked: Span = _key(_THRESHOLDS.locked_seconds, "duration", "How long a disk may be locked.")
    missed_factor: float = _key(
        _THRESHOLDS.missed_factor,
        "number",
        "A backup older than so many times its limit was not late but missed, which is critical.",
        ge=1,
        le=1000,
        allow_inf_nan=False,
    )


class WebSection(Section):
    """Where and how the metrics are served."""

    listen_address: ListenAddresses = _key(
        _WEB.listen_address,
        "address",
        "Address to listen on: `:10063`, `127.0.0.1:10063` or `[::1]:10063`; may be repeated.",
    )
    telemetry_path: TelemetryPath = _key(_WEB.telemetry_path, "text", "Path under which the metrics are served.")
    config_file: FilePath | None = _key(
        _WEB.config_file, "path", "File with TLS and basic auth, in exporter-toolkit's format."
    )
    enable_lifecycle: bool = _key(_WEB.enable_lifecycle, "boolean", "Whether `POST /-/reload` is allowed.")
    dashboard_base: DashboardBase | None = _key(
        _WEB.dashboard_base, "URL", "Address of Grafana; the status page then links to the dashboards."
    )


class LogSection(Section):
    """How much is logged to stderr, and how it is written."""

    level: LogLevel = _key("info", "choice", "The least level that is logged.")
    format: LogFormat = _key("logfmt", "choice", "How a line is written.")


class ConfigFile(Section):
    """The whole file."""

    api: ApiSection = _key(ApiSection(), "mapping", "How the API is spoken to.")
    accounts: list[AccountSection] | None = _key(None, "list of mappings", "The accounts to watch.")
    discover: DiscoverSection | None = _key(
        None,
        "boolean or mapping",
        "Instead of `accounts`: watch every account that `credential` may see, but for terminated and cancelled"
        " products and those whose disks answer 404. `true`, or which of them.",
    )
    credential: CredentialSection | None = _key(None, "mapping", "What to discover accounts, and read them, with.")
    poll: PollSection = _key(PollSection(), "mapping", "How often the API is read.")
    backup_status: StatusSection = _key(StatusSection(), "mapping", "What a backup's status means.")
    disk_status: DiskStatusSection = _key(DiskStatusSection(), "mapping", "What a disk's status means.")
    backup_policy: list[RuleSection] | None = _key(
        None,
        "list of mappings",
        "Which disks must have a backup, and how old the newest may be. The first rule that matches decides;"
        " a disk that none matches needs no backup.",
    )
    thresholds: ThresholdsSection = _key(ThresholdsSection(), "mapping", "When something about a disk lasts too long.")
    web: WebSection = _key(WebSection(), "mapping", "How the metrics are served.")
    log: LogSection = _key(LogSection(), "mapping", "How events are logged.")

    @field_validator("discover", mode="before")
    @classmethod
    def _accept_boolean(cls, value: object) -> object:
        if isinstance(value, bool):
            return {} if value else None
        if not isinstance(value, dict | None):
            raise _wrong(value, "must be true, false or a mapping; yes, no, on and off are text")
        return value

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty_sections(cls, data: object) -> object:
        # A section whose keys are all commented out is null in YAML, and means the defaults.
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}
        return data
