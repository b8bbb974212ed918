"""From the checked sections of a configuration file to settings, with the rules that span several keys."""

from __future__ import annotations

import re
import ssl
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from gigas_exporter.backup_summary import BackupStatusWords
from gigas_exporter.config.credential import CREDENTIAL_KEYS, make_credential
from gigas_exporter.config.problems import path_of
from gigas_exporter.config.schema import (
    AccountSection,
    ApiSection,
    ConfigFile,
    CredentialSection,
    DiscoverSection,
    DiskStatusSection,
    MatchSection,
    RuleSection,
    StatusSection,
    ThresholdsSection,
)
from gigas_exporter.config.settings import AccountSettings, DiscoveryFilter
from gigas_exporter.config.values import is_loopback, time_zone
from gigas_exporter.decode import SIZE_UNITS, DecodeSettings
from gigas_exporter.errors import ConfigError
from gigas_exporter.files import without_waiting
from gigas_exporter.gigas.credentials import Credential
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.model import Account
from gigas_exporter.policy import DEFAULT_POLICY, Match, Policy, Requirement, Rule, Thresholds
from gigas_exporter.status_words import fold_status
from gigas_exporter.strict_yaml import Location

__all__ = ["Findings", "accounts_of", "api_of", "check_entries", "filter_of", "policy_of", "thresholds_of", "words_of"]


_LAST_STEP: Final = re.compile(r"(?:\[[^\]]*\]?|\.?[^.\[]*)$")


class Findings:
    """What is found while settings are made, so that all of it can be told at once.

    Attributes:
        problems: What is wrong in the file, each with its path.
        outside: What is wrong with flags and environment, each with its name.
        warnings: What is allowed but hardly meant.
        lines: The line in which each key and each item of a list of the file stands.
        locations: Where in the file a problem is, for those that do not begin with their place.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.outside: list[str] = []
        self.warnings: list[str] = []
        self.lines: dict[Location, int] = {}
        self.locations: dict[str, Location] = {}

    def line_of(self, problem: str) -> int | None:
        """Return the line of a problem or warning that begins with its place; of what is missing, that around it."""
        location = self.locations.get(problem)
        if location is None:
            place = problem.partition(": ")[0]
            while place and place not in self._places:
                place = _LAST_STEP.sub("", place)
            location = self._places.get(place, ())
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)

    @cached_property
    def _places(self) -> Mapping[str, Location]:
        return {path_of(location): location for location in self.lines}

    def located(self, path: Path | None, texts: Iterable[str]) -> tuple[str, ...]:
        """Return problems or warnings with the file and the line before each, where they have one."""
        located = []
        for text in texts:
            line = self.line_of(text)
            located.append(text if path is None or line is None else f"{path}:{line}: {text}")
        return tuple(located)

    def error(self, path: Path | None) -> ConfigError:
        """Return what was found wrong as one error; the name of the file comes once in it."""
        in_file = self.located(path, sorted(self.problems, key=lambda each: self.line_of(each) or 0))
        prefix = "" if path is None or not in_file else f"{path}:"
        short = [in_file[0], *(text.replace(prefix, "line ", 1) for text in in_file[1:])] if in_file else []
        if short and not short[0].startswith(prefix):
            short[0] = f"{prefix} {short[0]}"
        return ConfigError("; ".join([*short, *self.outside]), (*in_file, *self.outside))


def check_entries(
    document: Any, broken: Collection[tuple[int | str, ...]], directory: Path, findings: Findings
) -> None:
    """Find what is wrong across the keys of each account and rule of a file that has other faults, to tell all at once.

    ``broken`` holds where the document is not what belongs there: a key, or a key and the place in its list.
    """

    def entries(key: str) -> Iterator[tuple[str, Any]]:
        listed = document.get(key) if isinstance(document, dict) else None
        for place, entry in enumerate(listed if isinstance(listed, list) else ()):
            if (key, place) not in broken:
                yield f"{key}[{place}]", entry

    for path, entry in entries("accounts"):
        _credential(AccountSection.model_validate(entry), path, directory, findings)
    for path, entry in entries("backup_policy"):
        _requirement(RuleSection.model_validate(entry), path, findings)


def accounts_of(
    file: ConfigFile, directory: Path, findings: Findings
) -> tuple[tuple[AccountSettings, ...], Credential | None]:
    """Return the accounts that the file names, or else the credential that it discovers them with."""
    if file.accounts is not None and file.discover:
        findings.problems.append("discover: cannot be true when accounts are named; keep one")
    elif file.accounts is not None and file.credential is not None:
        findings.problems.append("credential: belongs to discover: true; give each of accounts its own")
    elif file.accounts is None and not file.discover:
        findings.problems.append("credential: has no use without discover: true")
    elif file.credential is not None:
        return (), _credential(file.credential, "credential", directory, findings)
    elif not file.accounts:
        findings.problems.append("accounts: must name at least one account")
    accounts: list[AccountSettings] = []
    places: dict[str, int] = {}
    for place, section in enumerate(file.accounts or ()):
        first = places.setdefault(section.id, place)
        if first != place:
            findings.problems.append(f"accounts[{place}].id: is the same as accounts[{first}].id")
        credential = _credential(section, f"accounts[{place}]", directory, findings)
        if credential is not None:
            accounts.append(AccountSettings(Account(section.id, section.name), credential))
    return tuple(accounts), None


def filter_of(section: DiscoverSection | None) -> DiscoveryFilter:
    """Return which of the accounts that are listed are watched."""
    if section is None:
        return DiscoveryFilter()
    return DiscoveryFilter(frozenset(map(fold_status, section.status or ())), frozenset(section.product_id or ()))


def _credential(section: CredentialSection, path: str, directory: Path, findings: Findings) -> Credential | None:
    given: dict[str, Any] = {
        key: directory / value if isinstance(value, Path) else value
        for key in CREDENTIAL_KEYS
        if (value := getattr(section, key)) is not None
    }
    try:
        return make_credential(given, path, directory)
    except ConfigError as error:
        findings.problems.extend(error.problems)
        return None


def api_of(
    section: ApiSection,
    disk_status: DiskStatusSection,
    directory: Path,
    given: Mapping[tuple[str, str], Any],
    findings: Findings,
) -> ApiSettings:
    """Return how the API is spoken to; what was given outside the file goes before what is in it."""

    def value(key: str) -> Any:
        return given.get(("api", key), getattr(section, key))

    url, ca_file = value("url"), section.ca_file
    if url.startswith("http://") and not is_loopback(url):
        findings.warnings.append(f"api.url: {url} is not encrypted, and credentials are sent to it; use https://")
    if ca_file is not None:
        ca_file = directory / ca_file
        try:
            with without_waiting(ca_file, f"api.ca_file: {ca_file}") as path:
                ssl.create_default_context(cafile=path)
        except ConfigError as error:
            findings.problems.append(str(error))
        except ssl.SSLError:
            findings.problems.append(f"api.ca_file: {ca_file}: holds no certificate in PEM form")
        except OSError as error:
            findings.problems.append(f"api.ca_file: {ca_file}: {error.strerror or type(error).__name__}")
    return ApiSettings(
        url=url,
        login=section.login,
        timeout_seconds=value("timeout"),
        page_size=value("page_size"),
        max_concurrency=value("max_concurrency"),
        max_requests_per_second=float(value("max_requests_per_second")),
        ca_file=ca_file,
        proxy=section.proxy,
        decoding=DecodeSettings(
            time_zone=time_zone(section.time_zone),
            disk_size_unit=SIZE_UNITS[section.disk_size_unit],
            backup_size_unit=SIZE_UNITS[section.backup_size_unit],
            fields=section.fields,
            disk_error_words=frozenset(disk_status.error),
        ),
    )


def words_of(section: StatusSection, findings: Findings) -> BackupStatusWords:
    """Return the words of a backup's status. A word that is given leaves the default lists of the other keys."""
    given = {name: frozenset(getattr(section, name)) for name in sorted(section.model_fields_set)}
    for one, other in combinations(given, 2):
        if both := len(given[one] & given[other]):
            what = "a word is" if both == 1 else f"{both} words are"
            findings.problems.append(f"backup_status: {what} both in {one} and in {other}; keep one")
    defaults, words = BackupStatusWords(), frozenset().union(*given.values())
    return BackupStatusWords(
        **{name: given.get(name, getattr(defaults, name) - words) for name in StatusSection.model_fields}
    )


def thresholds_of(section: ThresholdsSection) -> Thresholds:
    """Return when something about a disk lasts too long."""
    return Thresholds(locked_seconds=section.locked, missed_factor=section.missed_factor)


def policy_of(sections: list[RuleSection] | None, accounts: tuple[AccountSettings, ...], findings: Findings) -> Policy:
    """Return the backup policy; rules that can never decide anything are warned about."""
    if sections is None:
        return DEFAULT_POLICY
    rules: list[Rule] = []
    known = {settings.account.id for settings in accounts}
    for place, section in enumerate(sections):
        path = f"backup_policy[{place}]"
        match = _match(section.match)
        before = next((index for index, rule in enumerate(rules) if rule.match.is_superset_of(match)), None)
        if before is not None:
            disks = "every disk" if rules[before].match == Match() else "all of its disks"
            findings.warnings.append(f"{path}: is never reached, since backup_policy[{before}] matches {disks}")
        if known and match.account_id is not None and match.account_id not in known:
            findings.warnings.append(f"{path}.match.account_id: {match.account_id} is none of accounts")
        rules.append(Rule(_requirement(section, path, findings), match))
    return Policy(tuple(rules))


def _requirement(section: RuleSection, path: str, findings: Findings) -> Requirement:
    if section.required is False and section.max_age is not None:
        findings.problems.append(f"{path}: max_age and required: false contradict each other; keep one")
    elif section.required and section.max_age is None:
        findings.problems.append(f"{path}: required: true needs max_age, how old the newest backup may be")
    elif section.required is None and section.max_age is None:
        findings.problems.append(f"{path}: needs max_age or required: false")
    return Requirement(section.max_age is not None, section.max_age, section.reason)


def _match(section: MatchSection | None) -> Match:
    return Match() if section is None else Match(**{key: getattr(section, key) for key in type(section).model_fields})
