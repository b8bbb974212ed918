"""The table of flags, and which environment variables are known.

Commands take their settings from these flags. A flag with a key in the configuration file has the default, limits and
description of that key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from pydantic import ValidationError

from gigas_exporter.config.accounts import CredentialSection
from gigas_exporter.config.field_types import Source, env_var_for_key, kind_of
from gigas_exporter.config.schema import ConfigFile
from gigas_exporter.config.settings import parse_shard
from gigas_exporter.formatting import format_address, format_duration, nearest
from gigas_exporter.validation_errors import Section, describe_problem

FlagKind = Literal["text", "path", "duration", "integer", "number", "boolean", "choice"]

_TRUE: Final = frozenset({"1", "t", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "f", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        name: As written after ``--``.
        kind: The type of its value; a ``boolean`` needs none.
        metavar: The placeholder of the value in the help; empty for a boolean.
        group: The heading under which the help lists it.
        help: One sentence.
        key: Section and key in the configuration file, where it has one.
        choices: The values of a ``choice``.
        default: The default value, as it would be written; empty for none.
    """

    name: str
    kind: FlagKind
    metavar: str
    group: str
    help: str
    key: tuple[str, str] | None = None
    choices: tuple[str, ...] = ()
    default: str = ""

    @property
    def parameter(self) -> str:
        """The name as a Python identifier."""
        return re.sub(r"[.-]", "_", self.name)

    @property
    def env(self) -> str:
        """The environment variable with the same effect."""
        return f"GIGAS_{self.parameter.upper()}"

    def value(self, given: object) -> Any:
        """Return the validated value.

        Raises:
            ValueError: It is not valid; the message continues a sentence that begins with the flag's name.
        """
        if self.name == "shard":
            return parse_shard(str(given).strip())
        if self.key is None:
            return given
        section, key = self.key
        model = section_model(section)
        try:
            return getattr(model.model_validate({key: self._plain(given)}, context=Source()), key)
        except ValidationError as error:
            raise ValueError(describe_problem(error.errors(include_url=False)[0], model)) from None

    def _plain(self, given: object) -> object:
        """Convert text to the type a file would hold."""
        if not isinstance(given, str):
            return given if isinstance(given, bool | int | float) else str(given)
        text = given.strip()
        if self.kind == "integer" and re.fullmatch(r"-?[0-9]{1,9}", text):
            return int(text)
        if self.kind == "number" and re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", text):
            return float(text)
        if self.kind == "boolean" and text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        return text


def section_model(section: str) -> type[Section]:
    """Return the model of a top-level section."""
    model = ConfigFile.model_fields[section].annotation
    assert isinstance(model, type)  # noqa: S101  (narrows the type; holds for every section that a flag names)
    assert issubclass(model, Section)  # noqa: S101
    return model


def default_text(default: object, kind: str) -> str:
    """Return a default as a user would write it; empty for none."""
    match default:
        case None:
            return ""
        case bool():
            return "true" if default else "false"
        case float() if kind == "duration":
            return format_duration(default)
        case float():
            return f"{default:g}"
        case ((_, _), *_):
            return ",".join(map(format_address, cast(tuple[tuple[str, int], ...], default)))
    return str(default)


_METAVARS: Final[Mapping[str, str]] = {
    "address or list of addresses": "ADDRESS",
    "text": "TEXT",
    "path": "FILE",
    "URL": "URL",
    "duration": "DURATION",
    "number": "N",
}


def _flag_for(name: str, section: str, key: str, *, metavar: str | None = None) -> Flag:
    field = section_model(section).model_fields[key]
    written = kind_of(field)
    kinds: Mapping[str, FlagKind] = {"duration": "duration", "path": "path", "boolean": "boolean", "choice": "choice"}
    kind = kinds.get(written, "text")
    if written == "number":
        kind = "integer" if field.annotation is int else "number"
    choices = get_args(field.annotation) if kind == "choice" else ()
    return Flag(
        name=name,
        kind=kind,
        metavar=metavar or ("|".join(choices) if choices else _METAVARS.get(written, "")),
        group=section,
        help=(field.description or "").replace("`", ""),
        key=(section, key),
        choices=choices,
        default=default_text(field.default, written),
    )


FLAGS: Final[tuple[Flag, ...]] = (
    Flag("config.file", "path", "FILE", "config", "Configuration file (YAML)."),
    _flag_for("web.listen-address", "web", "listen_address"),
    _flag_for("web.telemetry-path", "web", "telemetry_path", metavar="PATH"),
    _flag_for("web.config.file", "web", "config_file"),
    _flag_for("web.enable-lifecycle", "web", "enable_lifecycle"),
    _flag_for("web.dashboard-base", "web", "dashboard_base"),
    _flag_for("poll.interval", "poll", "interval"),
    _flag_for("poll.backups-interval", "poll", "backups_interval"),
    _flag_for("poll.max-staleness", "poll", "max_staleness"),
    _flag_for("backups.source", "poll", "backups_source"),
    _flag_for("api.url", "api", "url"),
    _flag_for("api.timeout", "api", "timeout"),
    _flag_for("api.page-size", "api", "page_size"),
    _flag_for("api.max-concurrency", "api", "max_concurrency"),
    _flag_for("api.max-requests-per-second", "api", "max_requests_per_second"),
    Flag("shard", "text", "I/N", "config", "Read only the I-th of N parts of the accounts, counted from 1."),
    _flag_for("log.level", "log", "level"),
    _flag_for("log.format", "log", "format"),
)
"""All flags of ``serve``, in the order of its help."""


ACCOUNT_ID: Final = "GIGAS_ACCOUNT_ID"
ACCOUNT_VARIABLES: Final = (ACCOUNT_ID, *map(env_var_for_key, CredentialSection.model_fields))
"""The environment variables of a single account, used if the file has no accounts."""

_PREFIX: Final = "GIGAS_"
_KNOWN: Final = frozenset({*ACCOUNT_VARIABLES, *(flag.env for flag in FLAGS)})
_COMMAND_VARIABLE: Final = re.compile(
    r"GIGAS_(ALERTS|CHECK|COLLECT|CONFIG_CHECK|DASHBOARDS|DEMO|DISKS_[A-Z]+|SIMULATE)_[A-Z]"
)
_KUBERNETES_VARIABLE: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)")
_LINK_URL: Final = re.compile(r"(tcp|udp|sctp)://")
_MIN_SIMILARITY: Final = 0.7


def unknown_variables(
    environ: Mapping[str, str], known: Collection[str] = _KNOWN, prefix: str = _PREFIX
) -> Iterator[str]:
    """Yield a warning for each variable that may be misspelt, without its value.

    Options of other commands, and variables that Kubernetes sets for services, are not reported.
    """
    endings = [name.removeprefix(prefix) for name in sorted(known)]
    for name in sorted(environ):
        is_of_command = prefix == _PREFIX and _COMMAND_VARIABLE.match(name)
        is_link = name.endswith("_PORT") and _LINK_URL.match(environ[name])
        is_unknown = name.startswith(prefix) and name not in known and environ[name].strip()
        if is_unknown and not is_of_command and not is_link and not _KUBERNETES_VARIABLE.fullmatch(name):
            near = nearest(name.removeprefix(prefix), endings, _MIN_SIMILARITY)
            hint = "" if near is None else f"; did you mean {prefix}{near}?"
            yield f"environment variable {name} is not known{hint}"
