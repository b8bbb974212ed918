"""The plain manifests: valid against the published schemas, hardened, and in step with the product."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import yaml

from deploy.conftest import Manifest, SchemaProblems
from support.programs import run_program, tool


@pytest.fixture(scope="module")
def manifests(repository: Path) -> list[Manifest]:
    return [
        manifest
        for name in ("gigas-exporter.yaml", "prometheus-operator.yaml")
        for manifest in yaml.safe_load_all((repository / "deploy/kubernetes" / name).read_text(encoding="utf-8"))
    ]


def _only(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


def _container(manifests: list[Manifest]) -> Manifest:
    (container,) = _only(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_every_object_is_valid(manifests: list[Manifest], schema_problems: SchemaProblems) -> None:
    """Each object of Kubernetes and of the Prometheus operator fits its published schema."""
    kinds = {manifest["kind"] for manifest in manifests}
    assert kinds >= {"ServiceAccount", "Service", "NetworkPolicy", "ConfigMap", "ServiceMonitor", "PrometheusRule"}
    assert schema_problems(manifests) == ""


def test_a_misspelt_key_would_be_found(manifests: list[Manifest], schema_problems: SchemaProblems) -> None:
    """The schemas do refuse: a misspelt key, and a value of another type."""
    spoiled = copy.deepcopy(manifests)
    _only(spoiled, "Deployment")["spec"]["template"]["spec"]["securityContexts"] = {}
    _only(spoiled, "ServiceMonitor")["spec"]["endpoints"][0]["port"] = 10063
    problems = schema_problems(spoiled)
    assert "securityContexts" in problems
    assert "must be string" in problems


def test_the_pod_is_hardened(manifests: list[Manifest]) -> None:
    """The pod meets the restricted Pod Security Standard, with a read-only file system and no service account token."""
    pod = _only(manifests, "Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert _only(manifests, "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 10_000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    container = _container(manifests)
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container["resources"]["limits"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_the_credential_is_a_file(manifests: list[Manifest]) -> None:
    """The Secret is mounted where the configuration looks for it, is in no variable, and is not itself applied."""
    container = _container(manifests)
    assert not [variable for variable in container["env"] if "secretKeyRef" in variable.get("valueFrom", {})]
    assert "Secret" not in {manifest["kind"] for manifest in manifests}
    (volume,) = (v for v in _only(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"] if "secret" in v)
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == volume["name"])
    configuration = yaml.safe_load(_only(manifests, "ConfigMap")["data"]["gigas-exporter.yaml"])
    assert volume["secret"]["secretName"] == "gigas-exporter"
    assert configuration["accounts"][0]["api_key_file"] == f"{mount['mountPath']}/api_key"


def test_the_exporter_accepts_its_configuration(manifests: list[Manifest], tmp_path: Path) -> None:
    """The ConfigMap's file passes `config check` once the secret file is where it says."""
    secret = tmp_path / "api_key"
    secret.write_text("a-key\n", encoding="utf-8")
    text = _only(manifests, "ConfigMap")["data"]["gigas-exporter.yaml"]
    config = tmp_path / "gigas-exporter.yaml"
    config.write_text(re.sub(r"api_key_file: \S+", f"api_key_file: {secret}", text), encoding="utf-8")
    run_program(tool("gigas-exporter"), "config", "check", config)


def test_everything_speaks_of_the_same_port(manifests: list[Manifest]) -> None:
    """Probes, Service, ServiceMonitor and NetworkPolicy name the container's port, and its pods."""
    container = _container(manifests)
    (port,) = container["ports"]
    assert port == {"name": "metrics", "containerPort": 10063}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/-/healthy", "port": "metrics", "scheme": "HTTP"}
    service = _only(manifests, "Service")
    pod_labels = _only(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == "metrics"
    assert service["spec"]["selector"].items() <= pod_labels.items()
    monitor = _only(manifests, "ServiceMonitor")
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    policy = _only(manifests, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= pod_labels.items()
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": "metrics"}]


def test_instance_outlives_the_pod(manifests: list[Manifest]) -> None:
    """The scrape's `instance` is the exporter's name, and no label names the pod of the day."""
    (endpoint,) = _only(manifests, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["relabelings"] == [
        {"targetLabel": "instance", "replacement": "gigas-exporter"},
        {"action": "labeldrop", "regex": "pod"},
    ]


def test_the_default_rules_are_there(repository: Path, manifests: list[Manifest]) -> None:
    """The PrometheusRule holds the default rule file, unchanged."""
    rules = yaml.safe_load((repository / "alerts/gigas.rules.yml").read_text(encoding="utf-8"))
    assert _only(manifests, "PrometheusRule")["spec"] == rules


def test_every_dashboard_fits_a_configmap(repository: Path) -> None:
    """Each dashboard has a ConfigMap with the label that Grafana's sidecar looks for, below etcd's limit of 1 MiB."""
    kustomization = yaml.safe_load((repository / "dashboards/kustomization.yaml").read_text(encoding="utf-8"))
    assert kustomization["generatorOptions"]["labels"] == {"grafana_dashboard": "1"}
    files = [name for generator in kustomization["configMapGenerator"] for name in generator["files"]]
    assert sorted(files) == sorted(path.name for path in (repository / "dashboards").glob("*.json"))
    assert max((repository / "dashboards" / name).stat().st_size for name in files) < 2**19
