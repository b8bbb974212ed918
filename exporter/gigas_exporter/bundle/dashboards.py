"""Write the dashboards, as Grafana's files or as ConfigMaps.

It owns the format of the files. The dashboards themselves stay unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from gigas_exporter.bundle import dump_yaml, write_files
from gigas_exporter.errors import ConfigError
from gigas_exporter.files import bundled_directory

_OWN_LABELS = {
    "app.kubernetes.io/name": "gigas-exporter",
    "app.kubernetes.io/part-of": "gigas-exporter",
    "grafana_dashboard": "1",
}
"""By default, the sidecar of Grafana's Helm chart looks for ``grafana_dashboard: "1"``."""

_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_NAME = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}")
_LABEL_VALUE = re.compile(rf"({_NAME})?")


def write_dashboards(
    directory: Path,
    *,
    format: Literal["grafana", "kubernetes"],  # noqa: A002 - the name of the command's option
    labels: Mapping[str, str],
) -> list[Path]:
    """Write each shipped dashboard as JSON or as a ConfigMap; return the files.

    ``labels`` are added to the ConfigMaps, and replace ours of the same names.

    Raises:
        ConfigError: Kubernetes does not accept a label.
        GigasError: The directory cannot be written to.
    """
    if labels and format == "grafana":
        raise ConfigError("labels are for the format kubernetes: dashboards have none")
    for name, value in labels.items():
        if not _LABEL_NAME.fullmatch(name) or not _LABEL_VALUE.fullmatch(value):
            raise ConfigError(f"label {name}={value}: Kubernetes does not accept it")
    shipped = sorted(bundled_directory("dashboards").glob("*.json"))
    if not shipped:
        raise ConfigError("this installation has no dashboards")
    if format == "kubernetes":
        contents = {f"{path.stem}.yaml": _config_map(path, labels).encode() for path in shipped}
    else:
        contents = {path.name: path.read_bytes() for path in shipped}
    return write_files(directory, contents)


def _config_map(source: Path, labels: Mapping[str, str]) -> str:
    config_map: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": source.stem, "labels": {**_OWN_LABELS, **labels}},
        "data": {source.name: source.read_text(encoding="utf-8")},
    }
    return dump_yaml(config_map)
