"""Who may import whom; no import goes back.

``decode`` imports the model; ``gigas`` imports ``decode``; ``poller`` imports ``gigas`` and ``inventory``; ``report``
imports ``inventory``; ``metrics`` and ``statuspage`` import ``report``; ``app`` joins ``poller``, ``metrics``,
``statuspage`` and ``web``; ``cli`` starts ``app``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

_DOMAIN = {
    *("model", "policy", "status_words", "backup_statuses", "backup_summary", "inventory"),
    *("errors", "secret", "clock"),
}

_MAY_IMPORT: dict[str, set[str]] = {
    "model": set(),
    "errors": set(),
    "secret": set(),
    "clock": set(),
    "formatting": set(),
    "policy": {"model"},
    "status_words": set(),
    "backup_statuses": {"model", "status_words"},
    "backup_summary": {"backup_statuses", "model"},
    "inventory": {"backup_summary", "model", "policy"},
    "files": {"errors"},
    "yaml_loader": {"errors"},
    "disclosure": {"formatting"},
    "validation_errors": {"disclosure", "formatting", "yaml_loader"},
    "logs": {"errors", "formatting", "secret"},
    "sd_notify": {"clock"},
    "decode": {"backup_statuses", "errors", "model", "status_words"},
    "gigas": {"clock", "decode", "errors", "files", "model", "secret"},
    "config": {
        "backup_statuses",
        "decode",
        "disclosure",
        "errors",
        "files",
        "gigas",
        "formatting",
        "inventory",
        "model",
    }
    | {"policy", "secret", "status_words", "validation_errors", "yaml_loader"},
    "poller": {
        "backup_statuses",
        "backup_summary",
        "clock",
        "config",
        "errors",
        "gigas",
        "inventory",
        "logs",
        "model",
        "policy",
    },
    "metrics": {"backup_summary", "clock", "errors", "formatting", "inventory", "logs", "model", "policy", "report"},
    "web": {"clock", "disclosure", "errors", "files", "formatting", "logs", "secret", "validation_errors"}
    | {"yaml_loader"},
    "report": {"backup_summary", "formatting", "inventory", "model", "policy"},
    "statuspage": {"backup_summary", "clock", "errors", "formatting", "inventory", "model", "policy", "report", "web"},
    "bundle": {"errors", "files", "metrics"},
    "simulator": {"formatting", "model"},
    "memory": set(),
    "app": {
        "clock",
        "config",
        "errors",
        "formatting",
        "logs",
        "memory",
        "metrics",
        "poller",
        "statuspage",
        "sd_notify",
        "web",
    },
    "cli": {*_DOMAIN, "app", "bundle", "config", "decode", "files", "gigas", "formatting", "logs", "metrics", "poller"}
    | {"disclosure", "report", "simulator", "validation_errors", "yaml_loader", "web"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""Part (a module or subpackage of ``gigas_exporter``) → the parts that it may import."""


@pytest.fixture(scope="module")
def imports(repository: Path) -> dict[Path, set[str]]:
    """Return the modules of the package that each of its files imports, wherever in the file that stands."""
    package = repository / "exporter" / "gigas_exporter"
    return {
        path.relative_to(package): set(_imported(ast.parse(path.read_text(encoding="utf-8"))))
        for path in package.rglob("*.py")
    }


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test can read them"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _part(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def _parts(modules: set[str]) -> set[str]:
    own = {module.split(".")[1] for module in modules if module.startswith("gigas_exporter.")}
    return own - {"REPOSITORY", "__version__"}


def test_each_part_imports_only_what_it_may(imports: dict[Path, set[str]]) -> None:
    """No file imports a part that the table does not allow, and each part has its line in the table."""
    wrong = []
    for path, modules in sorted(imports.items()):
        part = _part(path)
        assert part in _MAY_IMPORT, f"say in _MAY_IMPORT what {part} may import"
        wrong += [f"{path} imports {other}" for other in sorted(_parts(modules) - _MAY_IMPORT[part] - {part})]
    assert wrong == []


def test_the_table_has_no_circle() -> None:
    """The allowed imports go one way only, so no two parts can come to need each other."""
    order = list(TopologicalSorter(_MAY_IMPORT).static_order())
    assert order.index("model") < order.index("inventory") < order.index("metrics") < order.index("cli")
    assert order.index("decode") < order.index("gigas") < order.index("poller") < order.index("cli")


@pytest.mark.parametrize(
    ("part", "never"),
    [
        ("model", _MAY_IMPORT.keys()),
        *((part, _MAY_IMPORT.keys() - _DOMAIN) for part in sorted(_DOMAIN)),
        ("metrics", {"gigas", "decode", "poller", "config", "cli"}),
        ("web", {"poller", "gigas", "inventory", "metrics", "config", "cli"}),
        ("poller", {"metrics", "web", "simulator", "cli"}),
        ("gigas", {"poller", "metrics", "inventory", "web", "config", "cli"}),
    ],
)
def test_what_a_part_never_sees(part: str, never: AbstractSet[str]) -> None:
    """The rules that carry the design hold whatever else the table comes to allow; the domain knows itself alone."""
    assert not _MAY_IMPORT[part] & never


def test_only_demo_and_simulate_know_the_simulator(imports: dict[Path, set[str]]) -> None:
    """The simulator is imported by its own files and by the commands that run it."""
    users = {path.as_posix() for path, modules in imports.items() if "simulator" in _parts(modules)}
    outside = {user for user in users if not user.startswith("simulator/")}
    assert outside
    assert all(Path(user).stem.startswith(("demo", "simulate")) and user.startswith("cli/") for user in outside), (
        outside
    )


def test_the_http_library_stays_in_the_client(imports: dict[Path, set[str]]) -> None:
    """Only the API client knows requests and urllib3, so that their exceptions cannot leave it."""
    for path, modules in imports.items():
        libraries = {module.split(".")[0] for module in modules}
        assert _part(path) == "gigas" or not libraries & {"requests", "urllib3"}, path


def test_only_commands_can_change_anything(imports: dict[Path, set[str]]) -> None:
    """The poller and the pages have a client without methods that write, and import no request that does."""
    for path, modules in imports.items():
        writing = {
            name
            for name in modules
            if name.endswith((".Client", ".write_client", "_disk_request", ".create_backup_request"))
        }
        assert _part(path) in {"gigas", "cli"} or not writing, (path, writing)
    assert any(name.endswith("gigas.Client") for modules in imports.values() for name in modules)
