"""Describe a configuration in words, and show its settings without secrets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

from gigas_exporter.config import Settings, Shard
from gigas_exporter.config.field_types import kind_of
from gigas_exporter.config.flags import default_text
from gigas_exporter.config.schema import ConfigFile
from gigas_exporter.formatting import format_duration
from gigas_exporter.gigas.credentials import (
    ApiKeyCredential,
    Credential,
    LoginCredential,
    SecretFile,
    SecretSource,
    TokenCredential,
)
from gigas_exporter.gigas.list_reader import LIST_END_TTL_SECONDS
from gigas_exporter.policy import GLOBS, Match, Requirement, Rule
from gigas_exporter.validation_errors import Section

_HOUR: Final = 3600.0
_HIDDEN: Final = "***"


def describe(settings: Settings, disks: int) -> list[str]:
    """Return the rules of the policy in words, and the estimated requests for a number of disks."""
    lines = [f"backup_policy[{index}]: {_rule(rule)}" for index, rule in enumerate(settings.policy.rules)]
    if all(rule.match != Match() for rule in settings.policy.rules):
        lines.append("backup_policy, then: all other disks are unprotected unless they are swap")
    return [*lines, *_requests_in_words(settings, disks)]


def _requests_in_words(settings: Settings, disks: int) -> list[str]:
    estimate, limit = requests_per_hour(settings, disks), settings.api.max_requests_per_second
    source = settings.poll.backups_source
    ways: dict[Literal["account", "disk"], str] = {"account": "from one list of the account", "disk": "disk by disk"}
    what = f"requests for {disks} disks{'' if settings.discovery is None else ' of one account'}"
    lines = []
    for way, words in ways.items():
        hourly = estimate.total(way)
        too_many = ", more than api.max_requests_per_second allows" if 0 < limit < hourly / _HOUR else ""
        if source in {way, "auto"}:
            lines.append(f"{what}: about {hourly:.0f} an hour with backups {words}{too_many}")
    return lines


@dataclass(frozen=True, slots=True)
class RequestEstimate:
    """API requests per hour while nothing fails, by kind of list."""

    disks: float
    virtual_machines: float
    accounts: float
    backups_by_account: float
    backups_by_disk: float

    def total(self, source: Literal["account", "disk"]) -> float:
        """Return all requests per hour, with backups from one of the two sources."""
        backups = self.backups_by_account if source == "account" else self.backups_by_disk
        return self.disks + self.virtual_machines + self.accounts + backups


def requests_per_hour(
    settings: Settings, disks: int, machines_per_account: int | None = None, backups_per_disk: int = 7
) -> RequestEstimate:
    """Estimate the requests for a number of disks, spread evenly over the accounts.

    A list of n items takes ``pages(n) = ⌈n / page_size⌉`` requests, at least one. Below, ``accounts`` is the number of
    accounts of this process; disks, machines and backups are those of one account::

        disks               accounts × pages(disks)                      × 3600 / poll.interval
        virtual machines    accounts × pages(machines)                   × 3600 / poll.interval
        discovery           pages(accounts), if accounts are discovered  × 3600 / poll.backups_interval
        backups by account  accounts × pages(disks × backups per disk)   × 3600 / poll.backups_interval
        backups by disk     accounts × disks × pages(backups per disk)   × 3600 / poll.backups_interval

    If n is a multiple of the page size, one more request looks for a page after the full last one: at most four times
    an hour, but at every poll for the backups of a disk. Logins and retries are not included. With discovery, the
    number of accounts is unknown and taken as 1.

    Args:
        settings: The intervals, the page size and the accounts.
        disks: Disks of all accounts of this process together.
        machines_per_account: Virtual machines of one account; ``None`` assumes one for each disk, the maximum.
        backups_per_disk: How many backups of each disk are kept.
    """
    size = settings.api.page_size
    named = sum(settings.owns(known.account.id) for known in settings.accounts)
    accounts = 1 if settings.discovery is not None else named
    if accounts == 0:
        return RequestEstimate(0.0, 0.0, 0.0, 0.0, 0.0)
    each = -(-disks // accounts)
    machines = each if machines_per_account is None else machines_per_account
    poll, sweep = settings.poll.interval, settings.poll.backups_interval
    return RequestEstimate(
        disks=accounts * _requests(each, size, poll),
        virtual_machines=accounts * _requests(machines, size, poll),
        accounts=_requests(accounts, size, sweep) if settings.discovery is not None else 0.0,
        backups_by_account=accounts * _requests(each * backups_per_disk, size, sweep),
        backups_by_disk=disks * (backups_per_disk // size + 1) * _HOUR / sweep,
    )


def _requests(items: int, page_size: int, interval: float) -> float:
    pages = max(1, math.ceil(items / page_size))
    end_checks = _HOUR / (math.ceil(LIST_END_TTL_SECONDS / interval) * interval)
    return pages * _HOUR / interval + (end_checks if items and items % page_size == 0 else 0.0)


def describe_shards(settings: Settings, count: int) -> list[str]:
    """Return a line for each shard, with its accounts."""
    if settings.discovery is not None:
        return [f"{count} shards: the accounts are discovered, so those of each shard are known only when it runs"]
    lines = []
    for index in range(1, count + 1):
        shard = Shard(index, count)
        owned = [each.account.id for each in settings.accounts if shard.owns(each.account.id)]
        names = ", ".join(owned) if owned else "no account, it would watch nothing"
        lines.append(f"shard {index}/{count}: {names}")
    return lines


def secret_of(credential: Credential) -> tuple[Literal["password", "api_key", "token"], SecretSource]:
    """Return the configuration key of a credential's secret, and the source of the secret."""
    match credential:
        case LoginCredential(password=secret):
            return "password", secret
        case ApiKeyCredential(key=secret):
            return "api_key", secret
        case TokenCredential(token=secret):
            return "token", secret


def _conditions(rule: Rule) -> dict[str, Any]:
    return {each.name: value for each in fields(rule.match) if (value := getattr(rule.match, each.name)) is not None}


def _rule(rule: Rule) -> str:
    conditions = [_condition(name, value) for name, value in _conditions(rule).items()]
    disks = f"disks with {' and '.join(conditions)}" if conditions else "all other disks"
    return f"{disks} {_in_words(rule.requirement)}"


def _condition(name: str, value: str | bool) -> str:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return f"{words} {'true' if value else 'false'}"
    return f"{words} {'like ' if name in GLOBS else ''}{value}"


def _in_words(requirement: Requirement) -> str:
    why = f" ({requirement.reason})" if requirement.reason else ""
    if requirement.max_age_seconds is None:
        return f"need no backup{why}" if why else "are unprotected unless they are swap"
    return f"need a backup younger than {format_duration(requirement.max_age_seconds)}{why}"


def effective_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings, keyed as in the file."""
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
        only = {name: sorted(values) for name, values in settings.discovery_filter.model_dump().items() if values}
        return {"discover": only or True, "credential": _credential_keys(settings.discovery)}
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
