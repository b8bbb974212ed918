"""Settings out of the configuration file, the environment and the flags.

The environment is what the caller passes; nothing else of the package reads it. A flag goes before the environment, the
environment before the file, the file before the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from gigas_exporter.config.convert import (
    Findings,
    accounts_of,
    api_of,
    check_entries,
    filter_of,
    policy_of,
    thresholds_of,
    words_of,
)
from gigas_exporter.config.credential import CREDENTIAL_KEYS, make_credential, variable_of
from gigas_exporter.config.effective import effective_settings
from gigas_exporter.config.flags import FLAGS
from gigas_exporter.config.problems import problems_of
from gigas_exporter.config.schema import ConfigFile
from gigas_exporter.config.settings import AccountSettings, LogSettings, PollSettings, Settings, Shard, WebSettings
from gigas_exporter.config.values import parse_id
from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text
from gigas_exporter.gigas.credentials import Credential
from gigas_exporter.model import Account
from gigas_exporter.secret import Secret
from gigas_exporter.strict_yaml import load_yaml

__all__ = ["ACCOUNT_VARIABLES", "load_effective", "load_settings"]

_ACCOUNT_ID: Final = "GIGAS_ACCOUNT_ID"
ACCOUNT_VARIABLES: Final = (_ACCOUNT_ID, *map(variable_of, CREDENTIAL_KEYS))
"""The environment variables that name the one account of a set-up without accounts in a file."""

_NOTHING: Final = (
    "no account to watch: set GIGAS_ACCOUNT_ID and GIGAS_API_KEY (or GIGAS_TOKEN, or GIGAS_LOGIN with GIGAS_PASSWORD),"
    " or name accounts in a file given with --config.file"
)
_Part = TypeVar("_Part", PollSettings, WebSettings, LogSettings)


def load_settings(
    config_file: Path | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> Settings:
    """Return the settings that file, environment and flags make together.

    Args:
        config_file: The file; ``None`` takes the one that ``flags`` or ``environ`` name, if any.
        flags: What was given on the command line, by the names of :data:`~gigas_exporter.config.flags.FLAGS`; ``None``
            stands for what was not given.
        environ: The environment; an empty variable counts as unset.
        defaults: What holds, by the names of flags, where neither flag, environment nor file says anything, in place of
            the usual.

    Raises:
        ConfigError: With every problem that could be found, each with its path in the file, flag or variable.
    """
    return _load(config_file, flags, environ, defaults)[0]


def load_effective(
    config_file: Path | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the settings that file, environment and flags make together by the keys of the file, without secrets.

    Raises:
        ConfigError: As :func:`load_settings`.
    """
    return effective_settings(*_load(config_file, flags, environ, defaults))


def _load(
    config_file: Path | None, flags: Mapping[str, object], environ: Mapping[str, str], defaults: Mapping[str, str]
) -> tuple[Settings, ConfigFile, Mapping[tuple[str, str], Any]]:
    environment = {name: value for name, value in environ.items() if value.strip()}
    findings = Findings()
    given = _overrides(flags, environment, findings)
    path = config_file or _as_path(given.pop("config.file", None))
    file = ConfigFile() if path is None else _read(path, findings)
    directory = Path() if path is None else path.parent
    by_key = {
        flag.key: given[flag.name] if flag.name in given else flag.value(defaults[flag.name])
        for flag in FLAGS
        if flag.key is not None and (flag.name in given or (flag.name in defaults and not _is_in(file, *flag.key)))
    }
    shard = given["shard"] if isinstance(given.get("shard"), Shard) else None
    accounts, discovery = _who(file, directory, environment, findings)
    settings = Settings(
        accounts=accounts,
        discovery=discovery,
        discovery_filter=filter_of(file.discover),
        api=api_of(file.api, file.disk_status, directory, by_key, findings),
        poll=_part(PollSettings, "poll", file.poll, by_key),
        status_words=words_of(file.backup_status, findings),
        policy=policy_of(file.backup_policy, accounts, findings),
        thresholds=thresholds_of(file.thresholds),
        web=_web(file, directory, by_key),
        log=_part(LogSettings, "log", file.log, by_key),
        shard=shard,
        warnings=findings.located(path, findings.warnings),
    )
    if shard is not None and accounts and not any(settings.owns(each.account.id) for each in accounts):
        nothing = f"--shard {shard.index}/{shard.count}: owns none of the accounts, so that nothing is watched here"
        settings = replace(settings, warnings=(*settings.warnings, nothing))
    if findings.problems or findings.outside:
        raise findings.error(path)
    return settings, file, by_key


def _overrides(flags: Mapping[str, object], environment: Mapping[str, str], findings: Findings) -> dict[str, Any]:
    """Return what flags and variables say, checked, by the flag's name."""
    known = {flag.name for flag in FLAGS}
    unknown = sorted(set(flags) - known)
    if unknown:
        raise ValueError(f"not flags of serve: {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for flag in FLAGS:
        given, origin = flags.get(flag.name), f"--{flag.name}"
        if given is None:
            given, origin = environment.get(flag.env), flag.env
        if given is None:
            continue
        try:
            values[flag.name] = flag.value(given)
        except ValueError as error:
            findings.outside.append(f"{origin}: {error}")
    return values


def _read(path: Path, findings: Findings) -> ConfigFile:
    """Return the checked file.

    Raises:
        ConfigError: It cannot be read, or what is wrong with it makes all else meaningless.
    """
    document = load_yaml(read_text(path, str(path)), str(path), findings.lines)
    try:
        return ConfigFile.model_validate({} if document is None else document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = problems_of(error, ConfigFile)
    # Outside of the handler, so that pydantic's error, which quotes keys, is not this one's context.
    for location, problem in problems:
        findings.problems.append(problem)
        findings.locations[problem] = location
    check_entries(document, {each["loc"][:2] for each in found}, path.parent, findings)
    raise findings.error(path)


def _is_in(file: ConfigFile, section: str, key: str) -> bool:
    return key in getattr(file, section).model_fields_set


def _who(
    file: ConfigFile, directory: Path, environment: Mapping[str, str], findings: Findings
) -> tuple[tuple[AccountSettings, ...], Credential | None]:
    """Return the accounts to watch, or else the credential to discover them with."""
    variables = [name for name in ACCOUNT_VARIABLES if name in environment]
    if file.accounts is not None or file.credential is not None or (file.discover and _ACCOUNT_ID in variables):
        if variables:
            told = "accounts" if file.accounts is not None else "discover"
            findings.outside.append(
                f"{variables[0]}: is set together with {told} in the config file; keep one"
                f" (unset {variables[0]} where it is exported by the shell)"
            )
        return accounts_of(file, directory, findings)
    if not variables:
        if file.discover:
            findings.problems.append("discover: needs credential, to ask the API with")
        else:
            findings.outside.append(_NOTHING)
        return (), None
    credential = _environment_credential(environment, findings)
    if file.discover:
        return (), credential
    if _ACCOUNT_ID not in environment:
        findings.outside.append(f"{variables[0]}: needs {_ACCOUNT_ID} too, or discover: true in a config file")
        return (), None
    try:
        account = Account(parse_id(environment[_ACCOUNT_ID].strip()))
    except ValueError as error:
        findings.outside.append(f"{_ACCOUNT_ID}: {error}")
        return (), None
    return () if credential is None else (AccountSettings(account, credential),), None


def _environment_credential(environment: Mapping[str, str], findings: Findings) -> Credential | None:
    given: dict[str, Secret | Path | str] = {}
    for key in CREDENTIAL_KEYS:
        value = environment.get(variable_of(key))
        if value is not None:
            given[key] = Path(value) if key.endswith("_file") else value if key == "login" else Secret(value)
    try:
        return make_credential(given, None)
    except ConfigError as error:
        findings.outside.extend(error.problems)
        return None


def _part(kind: type[_Part], section: str, model: Any, given: Mapping[tuple[str, str], Any]) -> _Part:
    """Return the settings of a section: what was given outside the file goes before what is in it."""
    return kind(**{key: given.get((section, key), getattr(model, key)) for key in type(model).model_fields})


def _web(file: ConfigFile, directory: Path, given: Mapping[tuple[str, str], Any]) -> WebSettings:
    in_file = file.web.config_file
    placed = file.web.model_copy(update={"config_file": None if in_file is None else directory / in_file})
    return _part(WebSettings, "web", placed, given)


def _as_path(value: object) -> Path | None:
    return None if value is None else Path(str(value))
