"""The settings in force without secrets: in words, and as a file would say them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Literal

from gigas_exporter.cli.config.request_estimate import requests_per_hour
from gigas_exporter.config import PollSettings, Settings, Shard, WebSettings
from gigas_exporter.config.field_types import kind_of
from gigas_exporter.config.flags import default_text
from gigas_exporter.config.schema import BackupsSource, ConfigFile
from gigas_exporter.decode import DecodeSettings
from gigas_exporter.formatting import format_address, format_duration
from gigas_exporter.gigas.credentials import (
    ApiKeyCredential,
    Credential,
    FixedSecret,
    LoginCredential,
    SecretFile,
    SecretSource,
    TokenCredential,
)
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.inventory import StalenessLimits
from gigas_exporter.policy import Match, Policy, Requirement, Rule, Thresholds
from gigas_exporter.validation_errors import Section

_HOUR: Final = 3600
_HIDDEN: Final = "***"
_SOURCES: Final[Mapping[BackupsSource, str]] = {
    "auto": "from one list of the account where the API has it, else disk by disk",
    "account": "from one list of the account",
    "disk": "disk by disk",
}


def describe(settings: Settings, disks: int | None = None) -> list[str]:
    """Return the settings in words, and the requests that so many disks take."""
    return [
        _api(settings.api),
        _reading(settings.api.decoding),
        *_accounts(settings),
        *_polls(settings.poll),
        *_policy(settings.policy),
        _thresholds(settings.thresholds),
        _web(settings.web),
        f"log: {settings.log.level} and above, as {settings.log.format}",
        *([] if disks is None else _requests(settings, disks)),
    ]


def _requests(settings: Settings, disks: int) -> list[str]:
    estimate, limit = requests_per_hour(settings, disks), settings.api.max_requests_per_second
    source = settings.poll.backups_source
    ways: tuple[BackupsSource, ...] = ("account", "disk") if source == "auto" else (source,)
    lines = []
    for way in ways:
        hourly = estimate.total(way)
        too_many = ", more than api.max_requests_per_second allows" if 0 < limit < hourly / _HOUR else ""
        lines.append(f"requests for {disks} disks: about {hourly:.0f} an hour with backups {_SOURCES[way]}{too_many}")
    return lines


def _api(api: ApiSettings) -> str:
    rate = f"{api.max_requests_per_second:g} requests a second" if api.max_requests_per_second else "no limit of rate"
    proxy = f", through {api.proxy}" if api.proxy else ""
    trust = f", trusting {api.ca_file}" if api.ca_file else ""
    return (
        f"API: {api.url}{proxy}{trust}, {format_duration(api.timeout_seconds)} a request,"
        f" {api.max_concurrency} requests at once, {rate}, {api.page_size} items a page"
    )


def _reading(decoding: DecodeSettings) -> str:
    fields = "".join(
        f", {ours} " + (f"read from {theirs}" if theirs is not None else "accepted as absent")
        for ours, theirs in decoding.fields.items()
    )
    return (
        f"its values: dates without a zone are in {decoding.time_zone}, disk_size in {decoding.disk_size_unit},"
        f" backup_size in {decoding.backup_size_unit}{fields}"
    )


def _polls(poll: PollSettings) -> tuple[str, str]:
    limits = StalenessLimits.of(poll.max_staleness, poll.interval, poll.backups_interval)
    disks = (
        f"disks and virtual machines: read every {format_duration(poll.interval)},"
        f" served for up to {format_duration(limits.disks)} when that fails"
    )
    backups = (
        f"backups: read every {format_duration(poll.backups_interval)}, {_SOURCES[poll.backups_source]},"
        f" served for up to {format_duration(limits.backups)} when that fails"
    )
    return disks, backups


def _policy(policy: Policy) -> list[str]:
    lines = [f"backup_policy[{index}]: {_rule(rule)}" for index, rule in enumerate(policy.rules)]
    if all(rule.match != Match() for rule in policy.rules):
        lines.append("backup_policy, then: all other disks are unprotected unless they are swap")
    return lines


def _thresholds(thresholds: Thresholds) -> str:
    return (
        f"thresholds: a disk is locked too long after {format_duration(thresholds.locked_seconds)},"
        f" a backup missed at {thresholds.missed_factor:g} times its limit"
    )


def _web(web: WebSettings) -> str:
    shown = ", ".join(map(format_address, web.listen_address))
    secured = f", secured as {web.config_file} says" if web.config_file else ""
    reload = ", POST /-/reload allowed" if web.enable_lifecycle else ""
    return f"web: {shown}{web.telemetry_path}{secured}{reload}"


def _accounts(settings: Settings) -> list[str]:
    shard = settings.shard
    lines = [] if shard is None else [f"shard: {shard.index} of {shard.count}"]
    if settings.discovery is not None:
        only = [f"{name} {' or '.join(values)}" for name, values in _discovered_only(settings).items()]
        which = f"those with {' and '.join(only)}" if only else "all"
        return [*lines, f"accounts: {which} that the API shows to {_credential(settings.discovery)}"]
    for known in settings.accounts:
        name = f" ({known.account.name})" if known.account.name else ""
        elsewhere = "" if settings.owns(known.account.id) else ", read by another shard"
        lines.append(f"account {known.account.id}{name}: with {_credential(known.credential)}{elsewhere}")
    return lines


def describe_shards(settings: Settings, count: int) -> list[str]:
    """Return one line a shard, with the accounts that it reads."""
    if settings.discovery is not None:
        return [f"{count} shards: the accounts are discovered, so that what each reads is known only when it runs"]
    lines = []
    for index in range(1, count + 1):
        shard = Shard(index, count)
        owned = [each.account.id for each in settings.accounts if shard.owns(each.account.id)]
        names = ", ".join(owned) if owned else "no account, it would watch nothing"
        lines.append(f"shard {index}/{count}: {names}")
    return lines


def _credential(credential: Credential) -> str:
    key, secret = secret_of(credential)
    what = {"password": "password", "api_key": "API key", "token": "token"}[key]
    login = f"the login {credential.login} and " if isinstance(credential, LoginCredential) else ""
    return f"{login}the {what} from {_source(secret)}"


def secret_of(credential: Credential) -> tuple[Literal["password", "api_key", "token"], SecretSource]:
    """Return the key of a credential's secret in the file, and where the secret comes from."""
    match credential:
        case LoginCredential(password=secret):
            return "password", secret
        case ApiKeyCredential(key=secret):
            return "api_key", secret
        case TokenCredential(token=secret):
            return "token", secret


def _source(source: SecretSource) -> str:
    if isinstance(source, SecretFile):
        return f"the file {source.path}"
    return source.origin if isinstance(source, FixedSecret) else "elsewhere"


def _discovered_only(settings: Settings) -> dict[str, list[str]]:
    """Return which products discovery takes, by their field, where not all."""
    return {name: sorted(values) for name, values in settings.discovery_filter.model_dump().items() if values}


def _conditions(rule: Rule) -> dict[str, Any]:
    return {each.name: value for each in fields(rule.match) if (value := getattr(rule.match, each.name)) is not None}


def _rule(rule: Rule) -> str:
    conditions = [_condition(name, value) for name, value in _conditions(rule).items()]
    disks = f"disks with {' and '.join(conditions)}" if conditions else "all other disks"
    return f"{disks} {_asked(rule.requirement)}"


def _condition(name: str, value: str | bool) -> str:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return f"{words} {'true' if value else 'false'}"
    glob = name in {"mount_point", "virtual_machine_label"}
    return f"{words} {'like ' if glob else ''}{value}"


def _asked(requirement: Requirement) -> str:
    why = f" ({requirement.reason})" if requirement.reason else ""
    if requirement.max_age_seconds is None:
        return f"need no backup{why}" if why else "are unprotected unless they are swap"
    return f"need a backup younger than {format_duration(requirement.max_age_seconds)}{why}"


def effective_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings by the keys of the file."""
    shown: dict[str, Any] = {}
    for name in ConfigFile.model_fields:
        value = getattr(settings.file, name)
        if name == "accounts":
            shown.update(_account_keys(settings))
        elif name == "backup_policy":
            shown[name] = [_rule_keys(rule) for rule in settings.policy.rules]
        elif isinstance(value, Section) and name not in {"credential", "discover"}:
            shown[name] = {
                key: _written(getattr(value, key), kind_of(inner)) for key, inner in type(value).model_fields.items()
            }
    if settings.shard is not None:
        shown["shard"] = f"{settings.shard.index}/{settings.shard.count}"
    return shown


def _account_keys(settings: Settings) -> dict[str, Any]:
    if settings.discovery is not None:
        return {
            "discover": _discovered_only(settings) or True,
            "credential": _credential_keys(settings.discovery),
        }
    accounts = []
    for each in settings.accounts:
        name = {} if each.account.name is None else {"name": each.account.name}
        accounts.append({"id": each.account.id, **name, **_credential_keys(each.credential)})
    return {"accounts": accounts}


def _credential_keys(credential: Credential) -> dict[str, str]:
    key, secret = secret_of(credential)
    login = {"login": credential.login} if isinstance(credential, LoginCredential) else {}
    return {**login, f"{key}_file": str(secret.path)} if isinstance(secret, SecretFile) else {**login, key: _HIDDEN}


def _rule_keys(rule: Rule) -> dict[str, Any]:
    requirement = rule.requirement
    shown: dict[str, Any] = {"match": match} if (match := _conditions(rule)) else {}
    if requirement.max_age_seconds is not None:
        shown["max_age"] = format_duration(requirement.max_age_seconds)
    else:
        shown["required"] = False
    return shown if requirement.reason is None else {**shown, "reason": requirement.reason}


def _written(value: Any, kind: str) -> Any:
    if kind == "duration" or isinstance(value, tuple | Path):
        return default_text(value, kind)
    if isinstance(value, str | int | float | None):
        return value
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, list | set) else str(value)
