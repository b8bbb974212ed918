"""What a release needs: one version, notes that hold everything, and commands that say what is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import prepare_release
import release_notes
from support.programs import run_program

_CHANGELOG = """# Changelog

What users see.

## [Unreleased]

### Fixed

- A new mend,
  of two lines.

### Added

- A new flag.

## [1.1.0]

A word first.

### Added

- An old flag.

### Removed

- A wart.

## [1.0.0]

- All.
"""


@pytest.fixture
def tree(repository: Path, tmp_path: Path) -> Path:
    """Return a copy of the files that have the version, with a changelog of a few lines."""
    for name in ("exporter/gigas_exporter/__init__.py", "deploy/helm/gigas-exporter/Chart.yaml"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(repository / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(_CHANGELOG, encoding="utf-8")
    return tmp_path


def test_a_version_is_prepared(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Code and chart get the version, what was unreleased is its section, and only then there are notes."""
    assert release_notes.main("1.2.0", tree) == 1
    assert prepare_release.main("1.2.0", tree) == 0
    assert release_notes.main("1.2.0", tree) == 0
    assert capsys.readouterr().out == "### Added\n\n- A new flag.\n\n### Fixed\n\n- A new mend,\n  of two lines.\n"
    chart = (tree / "deploy/helm/gigas-exporter/Chart.yaml").read_text(encoding="utf-8")
    assert re.findall(r'^(?:v|appV)ersion: "?([^"\n]*)', chart, re.MULTILINE) == ["1.2.0", "1.2.0"]
    changelog = (tree / "CHANGELOG.md").read_text(encoding="utf-8")
    assert changelog.startswith("# Changelog\n\nWhat users see.\n\n## [Unreleased]\n\n## [1.2.0]\n\n### Added\n")
    assert changelog.endswith(_CHANGELOG[_CHANGELOG.index("## [1.1.0]") :])


def test_a_version_under_way_takes_more_entries(tree: Path) -> None:
    """Entries that came after a version was prepared join its own, each under its heading; nothing else moves."""
    assert prepare_release.main("1.1.0", tree) == 0
    changelog = (tree / "CHANGELOG.md").read_text(encoding="utf-8")
    assert release_notes.section(changelog, "1.1.0") == (
        "A word first.\n\n### Added\n\n- An old flag.\n- A new flag.\n\n### Removed\n\n- A wart.\n\n"
        "### Fixed\n\n- A new mend,\n  of two lines."
    )
    assert prepare_release.move_unreleased(changelog, "1.1.0") == changelog


@pytest.mark.parametrize("version", ["", "v1.2.0", "1.2", "1.2.0; echo"])
def test_a_wrong_version_changes_nothing(tree: Path, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not three numbers is refused before any file is written."""
    assert prepare_release.main(version, tree) == 2
    assert "three numbers" in capsys.readouterr().err
    assert (tree / "CHANGELOG.md").read_text(encoding="utf-8") == _CHANGELOG


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("## [1.2.0]", "## [1.2.9]"), "error: CHANGELOG.md has no section for 1.2.0\n"),
        (lambda text: text.replace("## [1.2.0]\n", "## [1.2.0]\n\n## [1.1.9]\n"), "has no section for 1.2.0"),
        (
            lambda text: text.replace("## [Unreleased]\n", "## [Unreleased]\n\n- More.\n"),
            "has entries under Unreleased",
        ),
    ],
)
def test_notes_are_refused_where_something_is_missing(
    tree: Path, spoil: Callable[[str], str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version without a section, with an empty one, or with entries that would be left out has no notes."""
    assert prepare_release.main("1.2.0", tree) == 0
    path = tree / "CHANGELOG.md"
    path.write_text(spoil(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert release_notes.main("1.2.0", tree) == 1
    assert message in capsys.readouterr().err


def test_notes_are_of_the_version_of_the_code(repository: Path) -> None:
    """A tag that names another version than the code has is refused."""
    done = run_program(sys.executable, repository / "scripts/release_notes.py", "99.0.0", check=False)
    assert (done.returncode, done.stderr) == (1, "error: the code's version is not 99.0.0\n")


def test_the_workflow_and_the_check_ask_for_the_same_notes(repository: Path) -> None:
    """What the release workflow prints as notes is what `make release-check` looks at first."""
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^release-check: committed release-notes ", makefile, re.MULTILINE)
    assert "scripts/release_notes.py $(CODE_VERSION)" in makefile
    workflow = (repository / ".github/workflows/release.yml").read_text(encoding="utf-8")
    assert workflow.count('scripts/release_notes.py "${GITHUB_REF_NAME#v}"') == 2


@pytest.fixture
def packages(repository: Path, tmp_path: Path) -> Path:
    """Return where the packages for one release are, in a tree whose clean roots cannot be made."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    for name in ("build-deb", "try-deb"):
        shutil.copy(repository / "scripts" / name, scripts / name)
    for name in ("make-root", "install-packages"):
        (scripts / name).write_text("#!/bin/sh\necho no root >&2\nexit 1\n", encoding="utf-8")
        (scripts / name).chmod(0o755)
    directory = tmp_path / "dist/bookworm"
    directory.mkdir(parents=True)
    (directory / "gigas-exporter_0.9.0~bookworm_amd64.deb").touch()
    return directory


def _run(packages: Path, script: str) -> tuple[int, str]:
    command = [str(packages.parents[1] / "scripts" / script), "bookworm"]
    done = run_program(*command, check=False)
    return done.returncode, done.stderr


def test_an_older_package_does_not_outlive_a_build(packages: Path) -> None:
    """Where a package could not be built, that of an earlier version is not there to be taken for it."""
    status, stderr = _run(packages, "build-deb")
    assert (status, list(packages.iterdir())) == (1, [])
    assert "error: the package for bookworm was not built" in stderr


@pytest.mark.parametrize("count", [0, 2])
def test_no_package_is_tried_where_it_is_unclear_which(packages: Path, count: int) -> None:
    """None, or those of two versions, are an error that says what to run."""
    for path in packages.iterdir():
        path.unlink()
    for number in range(count):
        (packages / f"gigas-exporter_0.{number}.0~bookworm_amd64.deb").touch()
    problem = "error: dist/bookworm must hold one package; make deb ARGS=bookworm builds it\n"
    assert _run(packages, "try-deb") == (1, problem)


def test_a_release_is_checked_of_what_is_committed(repository: Path, tmp_path: Path) -> None:
    """A file that git does not know yet ends the check, as does a place that is no repository."""

    def check() -> tuple[int, str]:
        command = ["make", "--silent", f"--file={repository / 'Makefile'}", "committed"]
        done = run_program(*command, cwd=tmp_path, check=False)
        return done.returncode, done.stderr

    assert check()[0] == 2
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    assert check() == (0, "")
    (tmp_path / "new").touch()
    status, stderr = check()
    assert status == 2
    assert stderr.startswith("error: not committed:\n?? new\n")
