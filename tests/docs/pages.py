"""What stands between the fences of the pages: blocks, the commands in them, and the output that they show."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NAMES = tuple(page.relative_to(ROOT).as_posix() for page in PAGES)

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"(?:#!.*\n)?# ([\w-]+\.(?:yml|yaml|py|sh))\n")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        where: Page and line, for messages.
        language: What stands after the fence.
        file: The name of the file that it is, where its first line is a comment with one.
    """

    where: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name in the comment at its top."""
        match = _NAMED.match(self.text)
        return match[1] if match else None


@dataclass(frozen=True, slots=True)
class Command:
    """One command, and the output that the page shows for it, ``None`` where it shows none."""

    where: str
    text: str
    output: str | None = None


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    blocks = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        body = re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE)
        blocks.append(Block(f"{name}:{line}", match[2], body))
    return blocks


def commands_of(block: Block) -> list[Command]:
    """Return the commands of a ``sh`` or ``console`` block; a file that is shown has none of its own."""
    if block.language == "console":
        return list(_shown(block))
    if block.language == "sh" and block.file is None:
        return [Command(block.where, text) for text in _complete(block.text.splitlines())]
    return []


def _shown(block: Block) -> Iterator[Command]:
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{block.where}: output before the first command"
    for part in parts[1:]:
        text, _, output = part.partition("\n")
        yield Command(block.where, text, output)


def _complete(lines: list[str]) -> Iterator[str]:
    """Join lines until they are a whole command, which is when the shell has nothing to say about them."""
    pending = ""
    for line in lines:
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        pending += line + "\n"
        said = subprocess.run(["bash", "-n", "-c", pending], capture_output=True, check=False)
        if said.returncode == 0 and not said.stderr and not line.endswith("\\"):
            yield pending.rstrip("\n")
            pending = ""
    assert not pending, f"no whole command: {pending}"


def fits(expected: str, got: str) -> bool:
    """Return whether output is as a page shows it.

    Spaces count once; ``…`` in a line stands for anything, and as a line for any lines.
    """
    pattern = ""
    for line in expected.rstrip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(map(re.escape, _plain(line).split("…"))) + r"\n"
    return re.fullmatch(pattern, "".join(f"{_plain(line)}\n" for line in got.rstrip("\n").splitlines())) is not None


def _plain(line: str) -> str:
    return " ".join(line.split())
