"""What the pages name is there: metrics, flags, variables, keys, commands, and the defaults that they quote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

from docs.pages import NAMES, PAGES, ROOT, blocks_of, commands_of
from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.cli.main import cli
from gigas_exporter.config import PollSettings
from gigas_exporter.config.flags import ACCOUNT_VARIABLES, FLAGS
from gigas_exporter.config.schema import ConfigFile
from gigas_exporter.formatting import format_duration
from gigas_exporter.inventory import StalenessLimits

_each_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)
_OTHERS_FLAGS = {"--user"}
"""Flags of other programs that the text mentions by themselves."""


def _commands(command: click.Command, path: str = "gigas-exporter") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, f"{path} {name}")


@pytest.fixture(scope="session")
def commands() -> dict[str, click.Command]:
    """Return every command by how it is called."""
    return dict(_commands(cli))


def _options(command: click.Command) -> set[str]:
    context = click.Context(command, **command.context_settings)
    return {name for each in command.get_params(context) for name in (*each.opts, *each.secondary_opts)}


def _code(page: Path) -> list[str]:
    """Return the code spans of a page's text."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for _, span in re.findall(r"(`+)(.+?)\1", text, re.DOTALL)]


@_each_page
def test_metrics_exist(page: Path) -> None:
    """Each metric that a page names is one of the reference, or the beginning of some."""
    reference = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(gigas_\w+)` \|", reference, re.MULTILINE))
    known |= {name + suffix for name in known for suffix in ("_bucket", "_sum", "_count")}
    named = set(re.findall(r"(?<![\w/.:])gigas_\w+", page.read_text(encoding="utf-8")))
    strange = {
        name
        for name in named - known - {"gigas_exporter"}
        if not name.startswith("gigas_script")
        and not (name.endswith("_") and any(each.startswith(name) for each in known))
    }
    assert strange == set()


@_each_page
def test_no_recorded_series_is_named(page: Path) -> None:
    """Nothing is recorded; only the page of the migration names the series of earlier versions."""
    named = set(re.findall(r"(?<![\w:])\w+:gigas_\w+(?::\w+)?", page.read_text(encoding="utf-8")))
    assert named == set() or page.name == "migration.md"


@_each_page
@pytest.mark.system
def test_flags_exist(page: Path, commands: dict[str, click.Command]) -> None:
    """Each flag in the text is one of some command, and each flag of a command that is shown is that command's."""
    every = set().union(*map(_options, commands.values())) | _OTHERS_FLAGS
    ours = [span for span in _code(page) if span.startswith(("--", "gigas-exporter"))]
    named = {flag for span in ours for flag in re.findall(r"(?<!\S)--[a-z][\w.-]*\w", span)}
    assert named - every == set()
    for shown in (command for block in blocks_of(page) for command in commands_of(block)):
        words = re.split(r"[|<>#]", shown.text)[0].split()
        called = max((name for name in commands if words[: len(name.split())] == name.split()), key=len, default=None)
        if called is not None:
            flags = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert flags - _options(commands[called]) == set(), shown


@_each_page
def test_variables_and_keys_exist(page: Path, commands: dict[str, click.Command]) -> None:
    """Each environment variable is read by something, and each key of the configuration file is one."""
    text = page.read_text(encoding="utf-8")
    known = {flag.env for flag in FLAGS} | set(ACCOUNT_VARIABLES)
    for path, command in commands.items():
        words = f"GIGAS{path.removeprefix('gigas-exporter')}"
        known |= {re.sub(r"\W+", "_", words + name).upper() for each in command.params for name in each.opts}
    assert set(re.findall(r"(?<!\w)GIGAS_[A-Z_]*[A-Z]", text)) - known == set()
    sections = {name: field.annotation for name, field in ConfigFile.model_fields.items()}
    for section, key in re.findall(r"`(api|poll|web|log|backup_status)\.([a-z_]+)`", text):
        assert key in getattr(sections[section], "model_fields", {}), f"{section}.{key}"


@_each_page
def test_commands_in_the_text_exist(page: Path, commands: dict[str, click.Command]) -> None:
    """Each `gigas-exporter` command in the text is one."""
    for span in _code(page):
        match = re.match(r"gigas-exporter ((?:disks |config )?[a-z]+)", span)
        if match is not None:
            assert f"gigas-exporter {match[1]}" in commands, span


@_each_page
def test_addresses_are_whole(page: Path) -> None:
    """Each address elsewhere has a scheme that is served, and a host."""
    text = page.read_text(encoding="utf-8")
    for url in re.findall(r"\]\(([a-z]+:[^)\s]+)\)|<(https?:[^>]+)>", text):
        parts = urlsplit(url[0] or url[1])
        assert parts.scheme in {"https", "http"}, url
        assert parts.hostname, url
        assert parts.scheme == "https" or parts.hostname in {"127.0.0.1", "localhost"}, url


def test_quoted_defaults_hold() -> None:
    """The words of a backup's status and the times after which data is dropped are those of the code."""
    api = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    words = BackupStatuses()
    for key, expected in (("failed", words.failed), ("unfinished", words.unfinished)):
        assert f"| `backup_status.{key}` | {', '.join(sorted(expected))} |" in api
    poll = PollSettings()
    limits = StalenessLimits.of(poll.max_staleness, poll.interval, poll.backups_interval)
    assert (format_duration(limits.disks), format_duration(limits.backups)) == ("15m", "30m")
    operations = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (disks|backups) \| .* \| (\d+) minutes \|$", operations, re.MULTILINE)
    assert rows == [("disks", "15"), ("backups", "30")]
