"""Load the settings from flags, environment and configuration file, in this order of precedence.

The caller passes the environment; the package does not read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from gigas_exporter.config.accounts import CredentialSection, DiscoveryFilter
from gigas_exporter.config.field_types import Source, env_var_for_key
from gigas_exporter.config.flags import ACCOUNT_ID, ACCOUNT_VARIABLES, FLAGS, unknown_variables
from gigas_exporter.config.parsers import is_loopback, parse_id
from gigas_exporter.config.schema import ConfigFile
from gigas_exporter.config.settings import AccountSettings, Settings
from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text
from gigas_exporter.formatting import format_count
from gigas_exporter.gigas.credentials import Credential
from gigas_exporter.model import Account
from gigas_exporter.policy import GLOBS, Match, Policy, Thresholds
from gigas_exporter.validation_errors import ConfigProblem, problems_of
from gigas_exporter.yaml_loader import Location, load_yaml

_NO_ACCOUNT: Final = (
    "no account to watch: set GIGAS_ACCOUNT_ID and GIGAS_API_KEY (or GIGAS_TOKEN, or GIGAS_LOGIN with GIGAS_PASSWORD),"
    " or name accounts in a file given with --config.file"
)


def load_settings(
    config_file: Path | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    defaults: Mapping[str, str] = MappingProxyType({}),
    *,
    needs_account: bool = True,
) -> Settings:
    """Return the settings.

    Args:
        config_file: The file; ``None`` means the one that ``flags`` or ``environ`` name, if any.
        flags: Values from the command line by the name of a :data:`flag <gigas_exporter.config.flags.FLAGS>`; ``None``
            if not given.
        environ: The environment; an empty variable counts as unset.
        defaults: Values by name of a flag that replace the usual defaults.
        needs_account: Whether a credential in the environment needs ``GIGAS_ACCOUNT_ID``. If not, and it is unset, the
            accounts are discovered.

    Raises:
        ConfigError: All problems that were found, each with its path in the file, its flag or its variable.
    """
    environment = {name: value for name, value in environ.items() if value.strip()}
    problems = _Problems()
    given = _read_flags(flags, environment, problems)
    named = given.pop("config.file", None)
    problems.path = config_file if config_file is not None or named is None else Path(str(named))
    file = ConfigFile() if problems.path is None else _read(problems.path, problems)
    for flag in FLAGS:
        if flag.key is None:
            continue
        section, key = flag.key
        if flag.name in given:
            file = _override(file, section, key, given[flag.name])
        elif flag.name in defaults and key not in getattr(file, section).model_fields_set:
            file = _override(file, section, key, flag.value(defaults[flag.name]))
    accounts, discovery = _resolve_accounts(file, environment, problems, needs_account=needs_account)
    settings = Settings(
        file=file,
        accounts=accounts,
        discovery=discovery,
        discovery_filter=file.discover or DiscoveryFilter(),
        api=file.api.to_client_settings(file.disk_status.error, file.backup_status.to_statuses()),
        poll=file.poll,
        status_words=file.backup_status.to_statuses(),
        policy=file.policy(),
        thresholds=Thresholds(file.thresholds.locked, file.thresholds.missed_factor),
        web=file.web,
        log=file.log,
        shard=given.get("shard"),
    )
    problems.raise_any()
    return replace(settings, warnings=(*_warnings(settings, problems), *unknown_variables(environment)))


class _Problems:
    """Problems, collected so that all are reported at once.

    Attributes:
        file_problems: Problems in the file.
        env_problems: Problems of flags and environment variables, each with its name.
        lines: The line of each key and list item in the file.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.file_problems: list[ConfigProblem] = []
        self.env_problems: list[str] = []
        self.lines: dict[Location, int] = {}

    def line_of(self, location: Location) -> int | None:
        """Return a location's line; a missing key has its parent's."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)

    def located(self, problem: ConfigProblem) -> str:
        """Return a problem with its file and line before it."""
        line = self.line_of(problem.location)
        return str(problem) if self.path is None or line is None else f"{self.path}:{line}: {problem}"

    def raise_any(self) -> None:
        """Raise all problems as one error, if there are any."""
        if not (self.file_problems or self.env_problems):
            return
        located = [
            self.located(each) for each in sorted(self.file_problems, key=lambda each: self.line_of(each.location) or 0)
        ]
        prefix = f"{self.path}:"
        short = [text if index == 0 else text.replace(prefix, "line ", 1) for index, text in enumerate(located)]
        if short and not short[0].startswith(prefix):
            short[0] = f"{prefix} {short[0]}"
        raise ConfigError("; ".join([*short, *self.env_problems]), (*located, *self.env_problems))


def _read_flags(flags: Mapping[str, object], environment: Mapping[str, str], problems: _Problems) -> dict[str, Any]:
    if unknown := sorted(set(flags) - {flag.name for flag in FLAGS}):
        raise ValueError(f"not flags of commands: {', '.join(unknown)}")
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
            problems.env_problems.append(f"{origin}: {error}")
    return values


def _read(path: Path, problems: _Problems) -> ConfigFile:
    document = load_yaml(read_text(path, str(path)), str(path), problems.lines)
    if isinstance(document, dict) and {"apiVersion", "kind"} <= document.keys():
        words = "is a Kubernetes object; the configuration is one of the texts below its data or stringData"
        problems.file_problems = [ConfigProblem((), words)]
        problems.raise_any()
    try:
        return ConfigFile.model_validate({} if document is None else document, context=Source(path.parent))
    except ValidationError as error:
        problems.file_problems = problems_of(error, ConfigFile)
    # Outside the handler, so that pydantic's error, which quotes keys, is not the context of this one.
    problems.raise_any()
    raise AssertionError  # pragma: no cover  (a validation error always has a problem)


def _override(file: ConfigFile, section: str, key: str, value: object) -> ConfigFile:
    changed: BaseModel = getattr(file, section).model_copy(update={key: value})
    return file.model_copy(update={section: changed})


def _resolve_accounts(
    file: ConfigFile, environment: Mapping[str, str], problems: _Problems, *, needs_account: bool
) -> tuple[tuple[AccountSettings, ...], Credential | None]:
    variables = [name for name in ACCOUNT_VARIABLES if name in environment]
    if file.accounts is not None or file.credential is not None or (file.discover and ACCOUNT_ID in variables):
        if variables:
            named = "accounts" if file.accounts is not None else "discover"
            problems.env_problems.append(
                f"{variables[0]}: is set together with {named} in the config file; keep one"
                f" (unset {variables[0]} where it is exported by the shell)"
            )
        accounts = tuple(
            AccountSettings(Account(each.id, each.name), each.to_credential(f"accounts[{index}]"))
            for index, each in enumerate(file.accounts or ())
        )
        return accounts, None if file.credential is None else file.credential.to_credential("credential")
    if not variables:
        if file.discover:
            problems.file_problems.append(ConfigProblem(("discover",), "needs credential, to ask the API with"))
        else:
            problems.env_problems.append(_NO_ACCOUNT)
        return (), None
    credential = _environment_credential(environment, problems)
    if file.discover or not (needs_account or ACCOUNT_ID in environment):
        return (), credential
    if ACCOUNT_ID not in environment:
        problems.env_problems.append(f"{variables[0]}: needs {ACCOUNT_ID} too, or discover: true in a config file")
        return (), None
    try:
        account = Account(parse_id(environment[ACCOUNT_ID].strip()))
    except ValueError as error:
        problems.env_problems.append(f"{ACCOUNT_ID}: {error}")
        return (), None
    return () if credential is None else (AccountSettings(account, credential),), None


def _environment_credential(environment: Mapping[str, str], problems: _Problems) -> Credential | None:
    names = {key: env_var_for_key(key) for key in CredentialSection.model_fields}
    given = {key: environment[name] for key, name in names.items() if name in environment}
    source = Source(is_environment=True)
    try:
        return CredentialSection.model_validate(given, context=source).to_credential(source=source)
    except ValidationError as error:
        for location, words, _ in problems_of(error, CredentialSection):
            problems.env_problems.append(f"{names[str(location[0])]}: {words}" if location else words)
    return None


def _warnings(settings: Settings, problems: _Problems) -> Iterable[str]:
    """Yield settings that are valid, but probably a mistake."""
    url, shard, accounts = settings.api.url, settings.shard, settings.accounts
    if url.startswith("http://") and not is_loopback(url):
        words = f"{url} is not encrypted, and credentials are sent to it; use https://"
        yield problems.located(ConfigProblem(("api", "url"), words))
    yield from map(problems.located, _status_warnings(settings.file))
    yield from map(problems.located, _policy_warnings(settings.policy, {each.account.id for each in accounts}))
    if shard is not None and accounts and not any(settings.owns(each.account.id) for each in accounts):
        yield f"--shard {shard.index}/{shard.count}: owns none of the accounts, so that nothing is watched here"


def _status_warnings(file: ConfigFile) -> Iterable[ConfigProblem]:
    """Yield lists of status words that leave out words of the default list."""
    for section, given in (("backup_status", file.backup_status), ("disk_status", file.disk_status)):
        words = {word for name in given.model_fields_set for word in getattr(given, name)}
        for name in sorted(given.model_fields_set):
            if left_out := len({*type(given).model_fields[name].default} - words):
                text = f"leaves out {format_count(left_out, 'word')} of the default list, which it replaces"
                yield ConfigProblem((section, name), f"{text} (gigas-exporter config init has that list)")


def _policy_warnings(policy: Policy, account_ids: set[str]) -> Iterable[ConfigProblem]:
    """Yield rules that never apply or look wrong, and a policy that requires no backup."""
    rules = policy.rules
    requires = False
    for index, match in enumerate(rule.match for rule in rules):
        path = ("backup_policy", index)
        before = next((each for each in range(index) if rules[each].match.is_superset_of(match)), None)
        if before is not None:
            disks = "every disk" if rules[before].match == Match() else "all of its disks"
            yield ConfigProblem(path, f"is never reached, since backup_policy[{before}] matches {disks}")
        for name in GLOBS:
            glob = getattr(match, name) or ""
            if glob.startswith("^") or glob.endswith("$") or ".*" in glob:
                words = "looks like a regular expression, but is a glob: * is any text, ? any character"
                yield ConfigProblem((*path, "match", name), words)
        is_foreign = bool(account_ids) and match.account_id is not None and match.account_id not in account_ids
        if is_foreign:
            yield ConfigProblem((*path, "match", "account_id"), f"{match.account_id} is not in accounts")
        requires |= rules[index].requirement.required and before is None and not is_foreign
    if not requires:
        words = "requires no backup of any disk: add {match: {autobackup: true}, max_age: 26h}"
        yield ConfigProblem(("backup_policy",), f"{words} (the list replaces the default)")
