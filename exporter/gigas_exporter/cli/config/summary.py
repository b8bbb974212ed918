"""What a configuration was understood to mean, in words without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from gigas_exporter.cli.config.request_estimate import requests_per_hour
from gigas_exporter.config import PollSettings, Settings, Shard, WebSettings
from gigas_exporter.config.schema import BackupsSource
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

_HOUR: Final = 3600
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
        only = [
            f"{name} {' or '.join(sorted(values))}"
            for name, values in settings.discovery_filter.model_dump().items()
            if values
        ]
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
    if isinstance(credential, LoginCredential):
        return f"the login {credential.login} and the password from {_source(credential.password)}"
    if isinstance(credential, ApiKeyCredential):
        return f"the API key from {_source(credential.key)}"
    return f"the token from {_source(credential.token)}"


def secret_of(credential: Credential) -> SecretSource:
    """Return where the secret of a credential comes from."""
    match credential:
        case LoginCredential(password=secret) | ApiKeyCredential(key=secret) | TokenCredential(token=secret):
            return secret


def _source(source: SecretSource) -> str:
    if isinstance(source, SecretFile):
        return f"the file {source.path}"
    return source.origin if isinstance(source, FixedSecret) else "elsewhere"


def _rule(rule: Rule) -> str:
    conditions = [
        _condition(field.name, value)
        for field in fields(rule.match)
        if (value := getattr(rule.match, field.name)) is not None
    ]
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
