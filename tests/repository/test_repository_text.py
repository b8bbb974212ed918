"""What is committed speaks of the project alone, and what it points to is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

# Put together here, so that this file does not hold what it looks for.
_PLACES = (
    "/" + "work/",
    "/" + "root/",
    "/" + "opt/pypi",
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "npmjs" + ".org",
    "deb.debian" + ".org",
    "proxy.golang" + ".org",
)
_CONFLICT = re.compile(rb"^(<{7} |>{7} |={7}$)", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("place", _PLACES)
def test_no_machine_and_no_registry_is_named(tracked_files: tuple[Path, ...], place: str) -> None:
    """No tracked file holds a path of somebody's machine or the host of a package registry."""
    assert [path.name for path in tracked_files if place.encode() in path.read_bytes()] == []


def test_no_merge_is_left_half_done(tracked_files: tuple[Path, ...]) -> None:
    """No tracked file holds a conflict marker."""
    assert [path.name for path in tracked_files if _CONFLICT.search(path.read_bytes())] == []


def test_no_large_file_is_tracked(tracked_files: tuple[Path, ...]) -> None:
    """Nothing over 2 MB is in the repository."""
    assert [path.name for path in tracked_files if path.stat().st_size > 2_000_000] == []


def _anchors(markdown: str) -> set[str]:
    """Return the anchors that a page's headings get, as GitHub makes them."""
    anchors: Counter[str] = Counter()
    names = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", markdown))
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", _FENCE.sub("", markdown), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        names.add(f"{anchor}-{anchors[anchor]}" if anchors[anchor] else anchor)
        anchors[anchor] += 1
    return names


def _broken_links(page: Path, repository: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    broken = []
    for match in _LINK.finditer(_FENCE.sub("", text)):
        target = unquote(match[1] or match[2])
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        inside = file.is_relative_to(repository) and file.exists()
        if not inside or (anchor and file.suffix == ".md" and anchor not in _anchors(file.read_text(encoding="utf-8"))):
            broken.append(f"{page.relative_to(repository)}: {target}")
    return broken


def test_links_between_pages_resolve(tracked_files: tuple[Path, ...], repository: Path) -> None:
    """Each relative link of each Markdown page leads to a file that is there, and its anchor to a heading."""
    pages = [path for path in tracked_files if path.suffix == ".md"]
    assert repository / "README.md" in pages
    assert [link for page in pages for link in _broken_links(page, repository)] == []


def _test_files(tracked_files: tuple[Path, ...], repository: Path) -> list[Path]:
    tests = repository / "tests"
    return [path for path in tracked_files if path.is_relative_to(tests) and path.match("test_*.py")]


def test_each_test_says_what_it_holds(tracked_files: tuple[Path, ...], repository: Path) -> None:
    """Each test function has a docstring, and does more than to run."""
    silent = []
    for path in _test_files(tracked_files, repository):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                fixture = any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
                if not fixture and not ast.get_docstring(node):
                    silent.append(f"{path.relative_to(repository)}: {node.name}")
    assert silent == []


def test_test_files_have_names_of_their_own(tracked_files: tuple[Path, ...], repository: Path) -> None:
    """No two test files share a name, so that a report's name leads to one file."""
    names = Counter(path.name for path in _test_files(tracked_files, repository))
    assert [name for name, count in names.items() if count > 1] == []


def test_modules_fit_in_the_head(repository: Path) -> None:
    """No module of the package is longer than 400 lines, and each says in a docstring what it owns."""
    modules = list((repository / "exporter").rglob("*.py"))
    texts = {path.relative_to(repository).as_posix(): path.read_text(encoding="utf-8") for path in modules}
    assert [name for name, text in texts.items() if len(text.splitlines()) > 400] == []
    assert [name for name, text in texts.items() if not ast.get_docstring(ast.parse(text))] == []


def test_programs_can_be_run(tracked_files: tuple[Path, ...], repository: Path) -> None:
    """Each file with a first line for the shell is executable, and .ci/run is one of them."""
    programs = [path for path in tracked_files if path.read_bytes().startswith(b"#!")]
    assert repository / ".ci/run" in programs
    assert [path.name for path in programs if not path.stat().st_mode & 0o111] == []
