"""The configuration's reference for people, written from the models and the table of flags.

``python -m gigas_exporter.config.reference > docs/configuration.md`` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final, get_args

from pydantic.fields import FieldInfo

from gigas_exporter.config.flags import FLAGS, Flag, default_text
from gigas_exporter.config.schema import (
    AccountSection,
    ApiSection,
    ConfigFile,
    CredentialSection,
    DiscoverSection,
    DiskStatusSection,
    LogSection,
    MatchSection,
    PollSection,
    RuleSection,
    Section,
    StatusSection,
    ThresholdsSection,
    WebSection,
)

__all__ = ["render_reference"]

_SECTIONS: Final[tuple[tuple[str, str, type[Section]], ...]] = (
    ("The file", "", ConfigFile),
    ("`api`", "api", ApiSection),
    ("`accounts`", "accounts[]", AccountSection),
    ("`discover`", "discover", DiscoverSection),
    ("`credential`", "credential", CredentialSection),
    ("`poll`", "poll", PollSection),
    ("`backup_status`", "backup_status", StatusSection),
    ("`disk_status`", "disk_status", DiskStatusSection),
    ("`backup_policy`", "backup_policy[]", RuleSection),
    ("`backup_policy[].match`", "backup_policy[].match", MatchSection),
    ("`thresholds`", "thresholds", ThresholdsSection),
    ("`web`", "web", WebSection),
    ("`log`", "log", LogSection),
)

_INTRODUCTION: Final = """\
<!-- Written by `python -m gigas_exporter.config.reference`; change the models, not this page. -->

# Configuration

A flag goes before its environment variable, the variable before the configuration file, the file before the default.
An empty variable counts as unset. `gigas-exporter config init` writes a file to begin with, `config check FILE` tells
every error in a file, each with its line and path, and `config show` shows the settings in force, without secrets.

Options of other commands have variables too, which `--help` names, except `--yes`, `--dry-run` and `--output`. What
`disks edit` and `disks template` change has variables of its own (`GIGAS_DISKS_EDIT_SIZE`,
`GIGAS_DISKS_TEMPLATE_LABEL`, …), so that one that is set for a filter of `disks list` changes no disk; what comes from
them is said before the question, and so is a filter.

## One account, without a file

| variable | meaning |
| --- | --- |
| `GIGAS_ACCOUNT_ID` | The account's id. |
| `GIGAS_API_KEY` or `GIGAS_API_KEY_FILE` | API key, sent as Bearer; or the file that holds it. |
| `GIGAS_TOKEN` or `GIGAS_TOKEN_FILE` | Session token, sent as it is; or the file that holds it. |
| `GIGAS_LOGIN`, and `GIGAS_PASSWORD` or `GIGAS_PASSWORD_FILE` | E-mail address and password to log in with. |

Exactly one kind of credential must be given. No secret is ever taken from the command line, where everyone can read it.
With `discover: true` in a file, the credential may come from these variables too; with accounts or a credential in the
file, none of these variables may be set.

## Flags of `serve`

| flag | environment variable | key in the file | default | meaning |
| --- | --- | --- | --- | --- |
"""

_FILE: Final = """
## The configuration file

YAML, read strictly: an unknown key, a key given twice and a value of another kind are errors. `yes` and `on` are text,
not `true`; a number with leading zeros is text.

- A **duration** is written as Prometheus writes it: `90s`, `5m`, `1h30m`, `500ms`, `1d`.
- A **path** that is relative starts at the directory of the configuration file; in flags and variables it starts at the
  working directory.
- An **id** is a number or text; ids compare as text.
- A **glob** knows `*`, `?` and `[…]`, and compares with case.

```yaml
accounts:
  - id: "4242"
    name: production
    api_key_file: /run/secrets/gigas
backup_policy:
  - {match: {is_swap: true}, required: false, reason: swap needs no backup}
  - {match: {virtual_machine_id: 501, mount_point: "/srv/db*"}, max_age: 6h}
  - {match: {autobackup: true}, max_age: 26h}
  - {required: false}
```
"""

_POLICY: Final = """
Without `backup_policy`, swap is exempt, every other disk with automatic backups on must have a backup younger than 26h,
and the rest is reported, not required. `max_age` together with `required: false` is an error, and so is a rule with
neither.
"""


def render_reference() -> str:
    """Return the page, in Markdown."""
    return _INTRODUCTION + "".join(map(_flag_row, FLAGS)) + _FILE + "".join(_sections())


def _flag_row(flag: Flag) -> str:
    key = "" if flag.key is None else f"`{'.'.join(flag.key)}`"
    name = f"`--{flag.name}{f' {flag.metavar}' if flag.metavar and not flag.choices else ''}`"
    return f"| {name} | `{flag.env}` | {key} | {_code(flag.default)} | {_cell(flag.help)}{_one_of(flag.choices)} |\n"


def _sections() -> Iterator[str]:
    for title, path, model in _SECTIONS:
        yield f"\n### {title}\n\n{_paragraphs(model)}\n\n"
        yield "| key | kind | default | meaning |\n| --- | --- | --- | --- |\n"
        # What a section adds to the one that it extends comes first: an account's id before its credential.
        for name, field in sorted(model.model_fields.items(), key=lambda item: item[0] not in model.__annotations__):
            yield _key_row(f"{path}.{name}" if path else name, field)
        if model is RuleSection:
            yield _POLICY


def _key_row(path: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    kind = str(extra["kind"]) if isinstance(extra, dict) else ""
    default = "**required**" if field.is_required() else _default(field, kind)
    choices = (
        f" One of {', '.join(f'`{choice}`' for choice in get_args(field.annotation))}." if kind == "choice" else ""
    )
    return f"| `{path}` | {kind} | {default} | {_cell(field.description or '')}{choices} |\n"


def _default(field: FieldInfo, kind: str) -> str:
    if isinstance(field.default, Section | dict):
        return ""
    if isinstance(field.default, list):
        return ", ".join(map(_code, field.default))
    return _code(default_text(field.default, kind))


def _paragraphs(model: type[Section]) -> str:
    lines = (model.__doc__ or "").splitlines()
    return "\n".join(line.strip() for line in lines).strip()


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _one_of(choices: Sequence[str]) -> str:
    return f" One of {', '.join(map(_code, choices))}." if choices else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(render_reference())
