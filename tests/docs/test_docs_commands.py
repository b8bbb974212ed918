"""Every command of the README and of docs/ is run, or named here with the reason why it cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import pytest

from docs.following import Demo, demo, follow
from docs.pages import NAMES, PAGES, ROOT, Block, Command, blocks_of, commands_of, fits
from support.programs import tool

_CANNOT_RUN: Final[Mapping[str, str]] = {
    r"pipx install ": "installs what the tests run; make dist installs it in a clean environment",
    r"python3 -m venv /opt/|/opt/gigas-exporter/bin/pip install |ln -sf /opt/": "needs root, and writes elsewhere",
    r"docker ": "needs Docker; tests/deploy runs the Dockerfile's steps and checks the compose file",
    r"helm ": "needs a cluster; tests/deploy renders the chart",
    r"kubectl ": "needs a cluster; tests/deploy builds and validates the manifests",
    r"make deb |apt install \./dist/": "needs root and minutes; make release-check builds and tries the package",
    r"systemctl ": "needs systemd as init; tests/deploy verifies the unit and runs the exporter in its sandbox",
    r"make (demo|test|docs|dashboards|bench|soak)\b": "runs what this test is a part of; CI runs each target",
    r"end=|python tests/(alerts|dashboards)/|promtool tsdb |prometheus ": "fills a Prometheus for minutes, to measure",
}
"""Beginnings of commands, and why they are not run here."""

_STATUS: Final[Mapping[str, int]] = {
    r"gigas-exporter check [^|]*--nagios": 2,
    r"gigas-exporter check[^|]*$": 1,
}
"""Exit statuses other than 0: the demo has findings, critical ones among them."""

_CHANGES: Final = re.compile(r"gigas-exporter disks (backup|build|delete|edit|template) |create_backup")
_PROGRAMS: Final = ("amtool", "curl", "jq", "promtool")
_CHECKED_ELSEWHERE: Final = {"yaml", "promql", "ini"}
_NOTHING_TO_TRY: Final = {"text"}


def _runs(command: Command) -> bool:
    return not any(re.match(beginning, command.text) for beginning in _CANNOT_RUN)


def _all_commands() -> list[Command]:
    return [command for page in PAGES for block in blocks_of(page) for command in commands_of(block)]


def _programs(blocks: list[Block], commands: list[Command]) -> list[Command]:
    """Return a command for each program that is shown and that no command of the page runs."""
    run = {"py": "python", "sh": "sh"}
    return [
        Command(block.where, f"{run[block.file.rpartition('.')[2]]} {block.file}")
        for block in blocks
        if block.file is not None
        and block.language in {"python", "sh"}
        and not any(block.file in command.text for command in commands)
    ]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Return a demo for the pages that only look."""
    with demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_do_what_the_page_says(page: Path, tmp_path: Path, fleet: Demo) -> None:
    """Followed in their order against the demo, each command ends well, and with the output that the page shows."""
    blocks = blocks_of(page)
    commands = [command for block in blocks for command in commands_of(block) if _runs(command)]
    commands += _programs(blocks, commands)
    if not commands:
        assert page.name in {
            "README.md",
            "api.md",
            "alerts.md",
            "architecture.md",
            "compatibility.md",
            "configuration.md",
            "dashboards.md",
            "glossary.md",
            "kubernetes.md",
            "metrics.md",
            "performance.md",
        }
        return
    asked = "\n".join([*(command.text for command in commands), *(block.text for block in blocks if block.file)])
    for name in _PROGRAMS:
        if re.search(rf"(?<![\w-]){name} ", asked):
            tool(name)
    with demo(tmp_path) if _CHANGES.search(asked) else nullcontext(fleet) as running:
        outcomes = follow(blocks, commands, tmp_path, running)
    for outcome in outcomes:
        command = outcome.command
        expected = next((status for start, status in _STATUS.items() if re.match(start, command.text)), 0)
        assert outcome.status == expected, f"{command.where}: {command.text}\n{outcome.output}"
        if command.output is not None:
            shown = f"{command.where}: {command.text}\n--- shown\n{command.output}\n--- got\n{outcome.output}"
            assert fits(command.output, outcome.output), shown


def test_every_block_is_tried() -> None:
    """Each block is of a language that is run or checked, and each program that is shown has a name to run it by."""
    strange = [
        f"{block.where}: {block.language or 'no language'}"
        for page in PAGES
        for block in blocks_of(page)
        if block.language not in {"sh", "console", "python", *_CHECKED_ELSEWHERE, *_NOTHING_TO_TRY}
        or (block.language == "python" and block.file is None)
    ]
    assert strange == []


def test_nothing_is_excused_that_is_not_there() -> None:
    """Each reason not to run a command is needed by one, and `make` is asked only for targets that it has."""
    commands = [command.text for command in _all_commands()]
    unneeded = [start for start in _CANNOT_RUN if not any(re.match(start, text) for text in commands)]
    assert unneeded == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    asked = {target for text in commands for target in re.findall(r"^make (\w+)", text)}
    assert [target for target in asked if f"\n{target}: " not in makefile] == []


@pytest.mark.parametrize(
    ("expected", "got", "does"),
    [
        ("one  two\n", "one two\n", True),
        ("one … three\n", "one two three\n", True),
        ("one\n…\nfour\n", "one\ntwo\nthree\nfour\n", True),
        ("one\n…\n", "one\n", True),
        ("one\n", "one\ntwo\n", False),
        ("one … three\n", "one two\nthree\n", False),
    ],
)
def test_shown_output_is_compared(expected: str, got: str, does: bool) -> None:
    """An ellipsis stands for anything in its line, or for any lines; nothing else is let pass."""
    assert fits(expected, got) is does
