"""The settings in force, as a file would say them, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from gigas_exporter.cli.config.summary import secret_of
from gigas_exporter.config import Settings
from gigas_exporter.config.field_types import kind_of
from gigas_exporter.config.flags import default_text
from gigas_exporter.config.schema import ConfigFile
from gigas_exporter.formatting import format_duration
from gigas_exporter.gigas.credentials import ApiKeyCredential, Credential, LoginCredential, SecretFile
from gigas_exporter.policy import Rule
from gigas_exporter.validation_errors import Section

_HIDDEN: Final = "***"


def effective_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings by the keys of the file."""
    shown: dict[str, Any] = {}
    for name in ConfigFile.model_fields:
        value = getattr(settings.file, name)
        if name == "accounts":
            shown.update(_accounts(settings))
        elif name == "backup_policy":
            shown[name] = [_rule(rule) for rule in settings.policy.rules]
        elif isinstance(value, Section) and name not in {"credential", "discover"}:
            shown[name] = {
                key: _written(getattr(value, key), kind_of(inner)) for key, inner in type(value).model_fields.items()
            }
    if settings.shard is not None:
        shown["shard"] = f"{settings.shard.index}/{settings.shard.count}"
    return shown


def _accounts(settings: Settings) -> dict[str, Any]:
    if settings.discovery is not None:
        only = {key: sorted(values) for key, values in settings.discovery_filter.model_dump().items() if values}
        return {"discover": only or True, "credential": _credential(settings.discovery)}
    accounts = []
    for each in settings.accounts:
        name = {} if each.account.name is None else {"name": each.account.name}
        accounts.append({"id": each.account.id, **name, **_credential(each.credential)})
    return {"accounts": accounts}


def _credential(credential: Credential) -> dict[str, str]:
    secret = secret_of(credential)
    kind = "api_key" if isinstance(credential, ApiKeyCredential) else "token"
    shown = {}
    if isinstance(credential, LoginCredential):
        kind, shown = "password", {"login": credential.login}
    if isinstance(secret, SecretFile):
        return {**shown, f"{kind}_file": str(secret.path)}
    return {**shown, kind: _HIDDEN}


def _rule(rule: Rule) -> dict[str, Any]:
    match = {each.name: value for each in fields(rule.match) if (value := getattr(rule.match, each.name)) is not None}
    requirement = rule.requirement
    shown: dict[str, Any] = {"match": match} if match else {}
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
