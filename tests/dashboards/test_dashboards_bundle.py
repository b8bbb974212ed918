"""Writing the dashboards out, for Grafana's own files and for Kubernetes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dashboards.conftest import ROOT
from gigas_exporter.bundle import dashboards
from gigas_exporter.bundle.dashboards import write_dashboards
from gigas_exporter.errors import ConfigError, GigasError

COMMITTED = sorted((ROOT / "dashboards").glob("*.json"))
MOST_BYTES = 2**20  # what Kubernetes takes in one object


def test_files_for_grafana_are_the_shipped_ones(tmp_path: Path) -> None:
    """The JSON passes through unchanged, into a directory that is made on the way."""
    written = write_dashboards(tmp_path / "new" / "one", format="grafana", labels={})
    assert [path.name for path in written] == [path.name for path in COMMITTED]
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in COMMITTED]


def test_config_maps_carry_the_sidecars_label(tmp_path: Path) -> None:
    """Each ConfigMap holds one dashboard whole, is found by the sidecar, and fits into Kubernetes."""
    written = write_dashboards(tmp_path, format="kubernetes", labels={"team": "storage"})
    assert [path.name for path in written] == [f"{path.stem}.yaml" for path in COMMITTED]
    for path, source in zip(written, COMMITTED, strict=True):
        assert path.stat().st_size < MOST_BYTES
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert (whole["apiVersion"], whole["kind"], whole["metadata"]["name"]) == ("v1", "ConfigMap", source.stem)
        assert whole["metadata"]["labels"] == {
            "app.kubernetes.io/name": "gigas-exporter",
            "app.kubernetes.io/part-of": "gigas-exporter",
            "grafana_dashboard": "1",
            "team": "storage",
        }
        assert whole["data"] == {source.name: source.read_text(encoding="utf-8")}
        assert f"  {source.name}: |" in path.read_text(encoding="utf-8")


def test_another_sidecar_label_takes_the_place_of_the_usual_one(tmp_path: Path) -> None:
    """Where the sidecar looks for another value, it can be given."""
    (path, *_) = write_dashboards(tmp_path, format="kubernetes", labels={"grafana_dashboard": "yes"})
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["metadata"]["labels"]["grafana_dashboard"] == "yes"


@pytest.mark.parametrize("label", [("a b", "c"), ("team", "two words"), ("", "x"), ("team", "x" * 64), ("a\nb", "c")])
def test_label_that_kubernetes_does_not_take_is_refused(label: tuple[str, str], tmp_path: Path) -> None:
    """A wrong label is found here and not by the cluster, and nothing is written."""
    with pytest.raises(ConfigError, match="Kubernetes does not accept it"):
        write_dashboards(tmp_path, format="kubernetes", labels=dict([label]))
    assert list(tmp_path.iterdir()) == []


def test_labels_for_grafana_are_refused(tmp_path: Path) -> None:
    """What would have no effect is said."""
    with pytest.raises(ConfigError, match="labels are for the format kubernetes"):
        write_dashboards(tmp_path, format="grafana", labels={"a": "b"})


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file in place of the directory, or a directory in place of a file, is named."""
    (tmp_path / "taken").write_text("")
    (tmp_path / "gigas-backups.json").mkdir()
    for directory, words in (
        (tmp_path / "taken", f"cannot write into {tmp_path / 'taken'}: File exists"),
        (tmp_path, f"cannot write {tmp_path / 'gigas-backups.json'}: Is a directory"),
    ):
        with pytest.raises(GigasError) as raised:
            write_dashboards(directory, format="grafana", labels={})
        assert not isinstance(raised.value, ConfigError), "that would be exit 2"
        assert str(raised.value) == words


def test_installation_without_dashboards_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An incomplete installation is no empty success."""
    monkeypatch.setattr(dashboards, "bundled_directory", lambda _: tmp_path)
    with pytest.raises(ConfigError, match="no dashboards"):
        write_dashboards(tmp_path / "out", format="grafana", labels={})
