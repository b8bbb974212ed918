"""The kustomize base and its overlay: valid against the published schemas, hardened, and in step with the product."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

Manifest = dict[str, Any]
Build = Callable[[Path], list[Manifest]]
_KUBERNETES = "1.34"
_OPERATOR = "monitoring.coreos.com/v1"
_KUSTOMIZATIONS = ("base", "overlays/sharding")
_SUFFIX = re.compile(r"-[a-z0-9]{10}$")


@pytest.fixture(params=_KUSTOMIZATIONS)
def directory(request: pytest.FixtureRequest, repository: Path) -> Path:
    return repository / "deploy/kubernetes" / str(request.param)


@pytest.fixture
def manifests(directory: Path, kustomize: Build) -> list[Manifest]:
    return kustomize(directory)


def _only(manifests: list[Manifest], *kinds: str) -> Manifest:
    (found,) = (manifest for manifest in manifests if manifest["kind"] in kinds)
    return found


def _workload(manifests: list[Manifest]) -> Manifest:
    return _only(manifests, "Deployment", "StatefulSet")


def _container(manifests: list[Manifest]) -> Manifest:
    (container,) = _workload(manifests)["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_core_objects_are_valid(manifests: list[Manifest]) -> None:
    """Each object of Kubernetes itself fits its published schema, with no key that the schema does not have."""
    core = [manifest for manifest in manifests if manifest["apiVersion"] != _OPERATOR]
    assert {"ServiceAccount", "Service", "NetworkPolicy", "ConfigMap"} <= {manifest["kind"] for manifest in core}
    for manifest in core:
        kubernetes_validate.validate(manifest, _KUBERNETES, strict=True)


def test_a_misspelt_key_would_be_found(manifests: list[Manifest]) -> None:
    """The schemas do refuse: a key that Kubernetes does not know is no valid object."""
    workload = _workload(manifests)
    workload["spec"]["template"]["spec"]["securityContexts"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(workload, _KUBERNETES, strict=True)


def _operator_problems(repository: Path, node: str, manifests: list[Manifest]) -> str:
    validator = repository / "tests/deploy/node/validate.mjs"
    done = subprocess.run(
        [node, validator], input=json.dumps(manifests), stdout=subprocess.PIPE, text=True, check=False, timeout=60
    )
    return done.stdout


def test_operator_objects_are_valid(
    repository: Path, manifests: list[Manifest], program: Callable[[str], str], node_modules: Path
) -> None:
    """Each object of the Prometheus operator fits its published schema."""
    assert node_modules.is_dir()
    operator = [manifest for manifest in manifests if manifest["apiVersion"] == _OPERATOR]
    assert {"ServiceMonitor", "PrometheusRule"} == {manifest["kind"] for manifest in operator}
    assert _operator_problems(repository, program("node"), operator) == ""
    _only(operator, "ServiceMonitor")["spec"]["endpoints"][0]["port"] = 10063
    assert "must be string" in _operator_problems(repository, program("node"), operator)


def test_the_pod_is_hardened(manifests: list[Manifest]) -> None:
    """The pod meets the restricted Pod Security Standard, with a read-only file system and no service account token."""
    pod = _workload(manifests)["spec"]["template"]["spec"]
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


def test_the_credential_is_a_file(directory: Path, repository: Path, manifests: list[Manifest]) -> None:
    """The Secret is mounted where the configuration looks for it, is in no variable, and is not itself applied."""
    container = _container(manifests)
    assert not [variable for variable in container["env"] if "secretKeyRef" in variable.get("valueFrom", {})]
    assert "Secret" not in {manifest["kind"] for manifest in manifests}
    example = yaml.safe_load((repository / "deploy/kubernetes/base/secret.example.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(example, _KUBERNETES, strict=True)
    (volume,) = (v for v in _workload(manifests)["spec"]["template"]["spec"]["volumes"] if "secret" in v)
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == volume["name"])
    configuration = yaml.safe_load(_only_configuration(manifests))
    (key,) = example["stringData"]
    assert volume["secret"]["secretName"] == example["metadata"]["name"]
    assert configuration["accounts"][0]["api_key_file"] == f"{mount['mountPath']}/{key}"
    assert directory.name in {"base", "sharding"}


def _only_configuration(manifests: list[Manifest]) -> str:
    (text,) = (
        m["data"]["gigas-exporter.yaml"] for m in manifests if m["metadata"]["name"] == "gigas-exporter" and "data" in m
    )
    return str(text)


def test_the_exporter_accepts_its_configuration(
    manifests: list[Manifest], tmp_path: Path, program: Callable[[str], str]
) -> None:
    """The ConfigMap's file passes `config check` once the secret file is where it says."""
    secret = tmp_path / "api_key"
    secret.write_text("a-key\n", encoding="utf-8")
    text = _only_configuration(manifests)
    config = tmp_path / "gigas-exporter.yaml"
    config.write_text(re.sub(r"api_key_file: \S+", f"api_key_file: {secret}", text), encoding="utf-8")
    done = subprocess.run(
        [program("gigas-exporter"), "config", "check", config], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_everything_speaks_of_the_same_port(manifests: list[Manifest]) -> None:
    """Probes, Service, ServiceMonitor and NetworkPolicy name the container's port, and its pods."""
    container = _container(manifests)
    (port,) = container["ports"]
    assert port == {"name": "metrics", "containerPort": 10063}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/-/healthy", "port": "metrics"}
    service = _only(manifests, "Service")
    pod_labels = _workload(manifests)["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == "metrics"
    assert service["spec"]["selector"].items() <= pod_labels.items()
    monitor = _only(manifests, "ServiceMonitor")
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    policy = _only(manifests, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= pod_labels.items()
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": "metrics"}]


def test_shards_cover_all_accounts_once(repository: Path, kustomize: Build) -> None:
    """Pods 1 to n of the sharding overlay are told that they are shard 1 to n of n."""
    manifests = kustomize(repository / "deploy/kubernetes/overlays/sharding")
    spec = _only(manifests, "StatefulSet")["spec"]
    environment = {variable["name"]: variable for variable in _container(manifests)["env"]}
    assert "pod-index" in environment["POD_NUMBER"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert spec["ordinals"] == {"start": 1}
    assert environment["GIGAS_SHARD"]["value"] == f"$(POD_NUMBER)/{spec['replicas']}"
    assert spec["serviceName"] == _only(manifests, "Service")["metadata"]["name"]
    assert "Deployment" not in {manifest["kind"] for manifest in manifests}


def test_the_real_kustomize_builds_the_same(directory: Path, manifests: list[Manifest]) -> None:
    """The kustomize in kubectl gives the same objects, but for the hash in a ConfigMap's name."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is neither in Debian nor on PyPI; the workflow's kustomize job runs it")
    done = subprocess.run([kubectl, "kustomize", directory], stdout=subprocess.PIPE, check=True, timeout=60)
    theirs = list(yaml.safe_load_all(done.stdout))
    for manifest in theirs:
        if "gigas-exporter.yaml" in manifest.get("data", {}):
            manifest["metadata"]["name"] = _SUFFIX.sub("", manifest["metadata"]["name"])
    for volume in _workload(theirs)["spec"]["template"]["spec"]["volumes"]:
        if "configMap" in volume:
            volume["configMap"]["name"] = _SUFFIX.sub("", volume["configMap"]["name"])

    def named(manifest: Manifest) -> tuple[str, str]:
        return manifest["kind"], manifest["metadata"]["name"]

    assert sorted(theirs, key=named) == sorted(manifests, key=named)


def test_generated_rules_are_in_step(repository: Path, generated: Path) -> None:
    """What is committed is what `make deploy` writes from alerts/ now."""
    committed = (repository / "deploy/kubernetes/base/prometheusrules.yaml").read_text(encoding="utf-8")
    assert committed == (generated / "prometheusrules.yaml").read_text(encoding="utf-8"), "run make deploy"


def test_every_dashboard_fits_a_configmap(repository: Path, kustomize: Build) -> None:
    """Each dashboard has a ConfigMap with the label that Grafana's sidecar looks for, below etcd's limit of 1 MiB."""
    manifests = kustomize(repository / "deploy/kubernetes/base")
    maps = [manifest for manifest in manifests if manifest["metadata"].get("labels", {}).get("grafana_dashboard")]
    files = {name for manifest in maps for name in manifest["data"]}
    assert files == {path.name for path in (repository / "dashboards").glob("*.json")}
    assert len({manifest["metadata"]["name"] for manifest in maps}) == len(files)
    assert max(len(json.dumps(manifest)) for manifest in maps) < 2**20
