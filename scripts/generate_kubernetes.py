"""Generate the plain manifests, and the table of values in the chart's README, from the Helm chart.

usage: scripts/generate_kubernetes.py HELM [DIRECTORY]    (HELM: the program; default directory: deploy)
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

_ROOT = Path(__file__).resolve().parent.parent
_DEPLOY = _ROOT / "deploy"
_NOTE = "# Rendered from deploy/helm/gigas-exporter by `make deploy`; change it there.\n"
_OPERATOR = "apiVersion: monitoring.coreos.com/"
_BEGIN, _END = "<!-- values -->\n", "<!-- end of values -->\n"
_HELM_LABELS = re.compile(r"^ *(app\.kubernetes\.io/managed-by|helm\.sh/chart): .*\n", re.MULTILINE)


def render_manifests(helm: str) -> dict[str, str]:
    """Return the plain manifests by file name."""
    chart, values = _DEPLOY / "helm/gigas-exporter", _DEPLOY / "kubernetes/values.yaml"
    done = subprocess.run(  # noqa: S603 - the caller names the program
        [helm, "template", "gigas-exporter", chart, "--namespace", "gigas-exporter", "--values", values],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # Helm prints a note about each symbolic link
        text=True,
    )
    objects = [_HELM_LABELS.sub("", text.strip()) + "\n" for text in done.stdout.split("---\n") if text.strip()]
    operator = [text for text in objects if _OPERATOR in text]
    core = [text for text in objects if _OPERATOR not in text]
    return {
        "gigas-exporter.yaml": _NOTE + "---\n".join(core),
        "prometheus-operator.yaml": _NOTE + "---\n".join(operator),
    }


def values_table(text: str) -> str:
    """Return a Markdown table of the chart's values with the comments above them."""
    lines = text.splitlines()
    rows = ["| value | default | meaning |", "| --- | --- | --- |"]
    for path, node in _settings(yaml.compose(text, Loader=yaml.SafeLoader)):
        comment = _comment_above(lines, path[-1].start_mark.line)
        if comment or not isinstance(node, yaml.MappingNode):
            key = ".".join(part.value for part in path)
            default = yaml.safe_dump(
                yaml.SafeLoader.construct_object(_LOADER, node, deep=True), default_flow_style=True
            )
            shown = " ".join(default.replace("\n...\n", "").split()).replace("|", "\\|")
            rows.append(f"| `{key}` | `{shown}` | {comment} |")
    return "\n".join(rows) + "\n"


_LOADER = yaml.SafeLoader("")


def _settings(
    node: yaml.Node | None, path: tuple[yaml.ScalarNode, ...] = ()
) -> Iterator[tuple[tuple[yaml.ScalarNode, ...], yaml.Node]]:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        yield (*path, key), value
        if isinstance(value, yaml.MappingNode) and value.value and key.value not in {"resources", "labels"}:
            yield from _settings(value, (*path, key))


def _comment_above(lines: list[str], line: int) -> str:
    comment: list[str] = []
    while line > 0 and lines[line - 1].strip().startswith("#"):
        line -= 1
        comment.insert(0, lines[line].strip().removeprefix("#").strip())
    return " ".join(comment)


def render_readme(readme: str, values: str) -> str:
    """Replace the table of values in the chart's README."""
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{values_table(values)}{_END}{after}"


def main(helm: str, directory: Path) -> int:
    """Write all files."""
    chart = _DEPLOY / "helm/gigas-exporter"
    readme = (chart / "README.md").read_text(encoding="utf-8")
    files = {f"kubernetes/{name}": text for name, text in render_manifests(helm).items()}
    files["helm/gigas-exporter/README.md"] = render_readme(readme, (chart / "values.yaml").read_text(encoding="utf-8"))
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2]) if sys.argv[2:] else _DEPLOY))
