"""Every alert leads to a runbook that helps, every link leads somewhere, and every command is one that there is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import promql_parser as promql
import pytest

from gigas_exporter.bundle.alerts import DASHBOARD_BASE, RUNBOOK_BASE
from gigas_exporter.cli.main import cli as command_line
from gigas_exporter.errors import REASONS
from gigas_exporter.metrics.families import FAMILIES
from support.promql import selectors_of

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


FORMER = {"GigasDiskBackupInFuture": "GigasBackupsUnreadable"}
"""Alerts that went, and the one that tells of the same now."""


@pytest.fixture(scope="session")
def runbooks(directory: Path) -> dict[str, str]:
    """Each alert's runbook by its name."""
    paths = [path for path in (directory / "runbooks").glob("*.md") if path.stem not in {"README", *FORMER}]
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(paths)}


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {heading.lower().replace(" ", "-") for heading in headings}


def _commands(runbooks: dict[str, str], alerts: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield every command of the exporter that an alert or a runbook names."""
    for name, rule in alerts.items():
        text = re.sub(r"\{\{ \$labels\.(?:account|disk)_id \}\}", "17", rule["annotations"]["command"])
        if text.startswith("gigas-exporter "):
            yield name, shlex.split(text)
        else:  # another program's: the runbook has it, too
            assert text in runbooks[name], name
    for name, text in runbooks.items():
        for line in "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines():
            if line.startswith("gigas-exporter "):
                yield name, shlex.split(line)
        for inline in re.findall(r"`(gigas-exporter [^`]+)`", text):
            yield name, shlex.split(inline)


def test_every_alert_has_its_runbook_and_every_runbook_its_alert(
    runbooks: dict[str, str], alerts: dict[str, Any]
) -> None:
    """There is one page an alert, and the alert links to it."""
    assert runbooks.keys() == alerts.keys()
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOK_BASE}/{name}.md"


def test_runbooks_of_former_alerts_name_the_successor(directory: Path, alerts: dict[str, Any]) -> None:
    """Links in old messages go on to work: three lines, with a link to what tells of it now."""
    for name, successor in FORMER.items():
        lines = (directory / "runbooks" / f"{name}.md").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 3
        assert lines[0] == f"# {name}"
        assert f"[{successor}]({successor}.md)" in lines[2]
        assert successor in alerts
        assert name not in alerts


def test_every_runbook_has_its_sections(runbooks: dict[str, str]) -> None:
    """Each page is named for its alert and has Meaning, Impact, Diagnosis and Mitigation, none of them empty."""
    for name, text in runbooks.items():
        assert text.startswith(f"# {name}\n")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS, name
        assert all(part.strip() for part in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]), name


def test_every_link_and_anchor_leads_somewhere(directory: Path, runbooks: dict[str, str]) -> None:
    """Links between the pages name files and headings that are there."""
    followed = 0
    for path in (directory / "runbooks").glob("*.md"):
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
            target, _, anchor = link.partition("#")
            file = (path.parent / target).resolve()
            assert file.is_file(), f"{path.name}: {link}"
            assert not anchor or anchor in _anchors(file), f"{path.name}: {link}"
            followed += 1
    assert followed > len(runbooks)


def test_every_diagnosis_has_promql_that_parses_and_a_command(runbooks: dict[str, str]) -> None:
    """What a page says to query is PromQL, and it says what to run."""
    for name, text in runbooks.items():
        diagnosis = text.partition("## Diagnosis")[2].partition("## Mitigation")[0]
        queries = re.findall(r"```promql\n(.*?)```", diagnosis, re.DOTALL)
        assert queries, name
        assert all(promql.parse(query) is not None for query in queries)
        assert re.search(r"```sh\n\S", diagnosis), name


def test_every_query_names_series_that_there_are(runbooks: dict[str, str]) -> None:
    """Each is one of the exporter's, or one of Prometheus."""
    known = {"up", "ALERTS"} | {family.name for family in FAMILIES}
    known |= {f"{family.name}_{part}" for family in FAMILIES for part in ("bucket", "sum", "count")}
    for name, text in runbooks.items():
        for query in re.findall(r"```promql\n(.*?)```", text, re.DOTALL):
            named = {selector.name for selector, _ in selectors_of(promql.parse(query))}
            assert named <= known, name


def test_each_reason_of_a_failed_poll_has_a_step(runbooks: dict[str, str]) -> None:
    """Whoever asks why polls fail gets one of these words, and then needs to know what to do."""
    steps = runbooks["GigasApiFailing"].partition("## Mitigation")[2]
    assert {reason for reason in REASONS if f"`{reason}`" not in steps} == set()


def test_every_command_is_one_that_there_is(runbooks: dict[str, str], alerts: dict[str, Any]) -> None:
    """Each command of an alert or a runbook names commands and options that the program has."""
    commands = list(_commands(runbooks, alerts))
    assert len(commands) > len(alerts)
    for source, (_, *words) in commands:
        command: click.Command = command_line
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, source
            command = found
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, f"{source}: {words}"


def test_no_command_names_a_file(runbooks: dict[str, str], alerts: dict[str, Any]) -> None:
    """The environment says where the configuration lies, if there is a file at all, as the pages' index has it."""
    for source, words in _commands(runbooks, alerts):
        assert not [word for word in words if "/" in word or word == "--config.file"], source


@pytest.mark.parametrize("uid", ["gigas-overview", "gigas-disk", "gigas-exporter"])
def test_every_dashboard_link_selects_what_the_dashboard_has(directory: Path, alerts: dict[str, Any], uid: str) -> None:
    """A link names a dashboard of ours, and variables of that dashboard."""
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in (directory.parent / "dashboards").glob("*.json")]
    variables = {board["uid"]: {each["name"] for each in board["templating"]["list"]} for board in boards}
    links = [urlsplit(rule["annotations"]["dashboard_url"].removeprefix(DASHBOARD_BASE)) for rule in alerts.values()]
    assert {link.path.split("/")[2] for link in links} <= set(variables)
    mine = [link for link in links if link.path == f"/d/{uid}/"]
    assert mine
    for link in mine:
        assert {name.removeprefix("var-") for name in parse_qs(link.query)} <= variables[uid]


def test_disk_alerts_link_to_their_disk(alerts: dict[str, Any]) -> None:
    """An alert about a disk opens the disk's dashboard with that disk selected."""
    for rule in alerts.values():
        if rule["labels"]["component"] == "disk":
            link = rule["annotations"]["dashboard_url"]
            assert "/d/gigas-disk/?" in link
            assert "var-disk_id={{ $labels.disk_id | urlquery }}" in link
