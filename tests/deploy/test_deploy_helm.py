"""The Helm chart: linted, rendered over its values files, valid, packaged, and the source of the plain manifests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

import generate_kubernetes
from deploy.conftest import Helm, Manifest, SchemaProblems
from support.programs import run_program

pytestmark = pytest.mark.field

_VALUES = ("everything", "minimal", "operator")


@pytest.fixture
def chart(repository: Path) -> Path:
    return repository / "deploy/helm/gigas-exporter"


def _render(helm: Helm, chart: Path, *arguments: str) -> list[Manifest]:
    done = helm("template", "storage", chart, "--namespace", "gigas", *arguments)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest is not None]


def _values(chart: Path, name: str) -> str:
    return str(chart / f"ci/{name}-values.yaml")


def _named(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


@pytest.mark.parametrize("name", _VALUES)
def test_lint_is_clean(helm: Helm, chart: Path, name: str) -> None:
    """`helm lint --strict` has nothing to say against any of the values files."""
    done = helm("lint", "--strict", chart, "--values", _values(chart, name))
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("name", _VALUES)
def test_every_rendered_object_is_valid(helm: Helm, chart: Path, name: str, schema_problems: SchemaProblems) -> None:
    """What is rendered fits the published schemas of Kubernetes and of the Prometheus operator."""
    manifests = _render(helm, chart, "--values", _values(chart, name))
    assert {"ConfigMap", "Service", "ServiceAccount"} <= {manifest["kind"] for manifest in manifests}
    assert schema_problems(manifests) == ""


def test_shards_are_counted_from_one(helm: Helm, chart: Path) -> None:
    """Pods 1 to n are told that they are shard 1 to n of n, and each keeps its name as `instance`."""
    manifests = _render(helm, chart, "--values", _values(chart, "everything"))
    spec = _named(manifests, "StatefulSet")["storage"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    environment = {variable["name"]: variable for variable in container["env"]}
    assert "pod-index" in environment["POD_NUMBER"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert spec["ordinals"] == {"start": 1}
    assert environment["GIGAS_SHARD"]["value"] == f"$(POD_NUMBER)/{spec['replicas']}"
    assert spec["serviceName"] in _named(manifests, "Service")
    assert not _named(manifests, "Deployment")
    (endpoint,) = _named(manifests, "ServiceMonitor")["storage"]["spec"]["endpoints"]
    assert endpoint["relabelings"][0] == {
        "targetLabel": "instance",
        "sourceLabels": ["__meta_kubernetes_pod_name"],
    }


def test_commands_in_the_pod_find_the_web_config(helm: Helm, chart: Path) -> None:
    """`config check` is the command of the alert on a web config that cannot be loaded: a flag of serve hides it."""
    manifests = _render(helm, chart, "--values", _values(chart, "everything"))
    pod = _named(manifests, "StatefulSet")["storage"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(Path(environment["GIGAS_WEB_CONFIG_FILE"]).parent) in mounts
    assert not any(argument.startswith("--web.config.file") for argument in container["args"])


@pytest.mark.parametrize("name", _VALUES)
def test_pods_are_restricted_and_probed_without_a_password(helm: Helm, chart: Path, name: str) -> None:
    """Each pod meets Pod Security `restricted`; probes ask without credentials, by its scheme."""
    manifests = _render(helm, chart, "--values", _values(chart, name))
    (workload,) = (each for each in manifests if each["kind"] in {"Deployment", "StatefulSet"})
    pod = workload["spec"]["template"]["spec"]
    kinds = {kind for volume in pod["volumes"] for kind in volume.keys() - {"name"}}
    assert kinds <= {"configMap", "secret", "emptyDir"}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    scheme = "HTTPS" if name == "everything" else "HTTP"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/-/healthy", "port": "metrics", "scheme": scheme}


def test_rules_and_dashboards_are_those_of_the_repository(helm: Helm, chart: Path, repository: Path) -> None:
    """The chart carries both rule files, with the address of your Grafana, and each dashboard."""
    manifests = _render(helm, chart, "--values", _values(chart, "everything"))
    rules = _named(manifests, "PrometheusRule")
    for suffix, file in (("", "gigas.rules.yml"), ("-optional", "gigas-optional.rules.yml")):
        text = (repository / "alerts" / file).read_text(encoding="utf-8")
        assert "http://localhost:3000/d/" in text
        expected = yaml.safe_load(text.replace("http://localhost:3000/", "https://grafana.example.org/"))
        assert rules[f"storage{suffix}"]["spec"] == expected
    maps = [manifest for manifest in manifests if manifest["metadata"]["labels"].get("grafana_dashboard") == "1"]
    carried = {name: json.loads(text) for manifest in maps for name, text in manifest["data"].items()}
    assert carried == {
        path.name: json.loads(path.read_text(encoding="utf-8")) for path in (repository / "dashboards").glob("*.json")
    }
    assert {manifest["metadata"]["namespace"] for manifest in maps} == {"monitoring"}


def test_secrets_are_either_made_or_yours(helm: Helm, chart: Path) -> None:
    """An existing Secret is mounted, or one is made of the values; both together is an error."""
    assert not _named(_render(helm, chart, "--values", _values(chart, "minimal")), "Secret")
    made = _named(_render(helm, chart, "--values", _values(chart, "operator")), "Secret")
    assert made["storage"]["stringData"] == {"api_key": "not-a-real-one"}
    both = helm("template", "x", chart, "--values", _values(chart, "operator"), "--set", "secret.existingSecret=mine")
    assert both.returncode != 0
    assert "secret: set either existingSecret or values, not both" in both.stderr


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("shrads=3", "additional properties 'shrads' not allowed"),
        ("shards=0", "at '/shards'"),
        ("web.scheme=http", "at '/web/scheme'"),
        ("serviceMonitor.interval=30", "at '/serviceMonitor/interval'"),
        ("image.digest=sha256:1", "at '/image/digest'"),
        ("config.discover=true", "config.discover: needs config.credential"),
        ("config.web.telemetry_path=/gigas", "set web.telemetryPath"),
        ("prometheusRule.dashboardBase=grafana", "at '/prometheusRule/dashboardBase'"),
        ("shards=null", "missing property 'shards'"),
        ("image.repository=null", "at '/image'"),
        ("web=null", "missing property 'web'"),
        ("web.telemetryPath=/x #y", "at '/web/telemetryPath'"),
        ("networkPolicy.from=null", "networkPolicy.from: must not be empty"),
        ("config.accounts[0].api_key=x", "no place for a secret"),
        ("config.credential.password=x", "no place for a secret"),
        ("fullnameOverride=1abc", "at '/fullnameOverride'"),
        ("fullnameOverride=off", '"off" cannot name a Service'),
    ],
)
def test_wrong_values_are_refused(helm: Helm, chart: Path, setting: str, message: str) -> None:
    """A value that is misspelt, missing, impossible or dangerous is an error that names its place."""
    done = helm("template", "x", chart, "--values", _values(chart, "minimal"), "--set", setting)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_release_that_cannot_name_a_service_says_what_to_set(helm: Helm, chart: Path) -> None:
    """Its name is called what it is, though nobody has set fullnameOverride."""
    done = helm("template", "1prod", chart, "--values", _values(chart, "minimal"))
    assert done.returncode != 0
    assert (
        'the release name "1prod" cannot name a Service '
        "(it must begin with a letter and be no YAML word such as true); set fullnameOverride"
    ) in done.stderr


def test_text_stays_text(helm: Helm, chart: Path, schema_problems: SchemaProblems) -> None:
    """What YAML would read as a number or a truth value stays text, and no name has the dot of its release."""
    given = ("--values", _values(chart, "everything"), "--set=secret.values=null", "--set-string")
    texts = "secret.existingSecret=12,web.existingSecret=1e3,dashboards.namespace=34,priorityClassName=true"
    for release, more, name in (("12", ",fullnameOverride=storage", "storage"), ("v1.2", "", "v1-2")):
        done = helm("template", release, chart, *given, texts + more)
        assert done.returncode == 0, done.stderr
        manifests = [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest is not None]
        assert schema_problems(manifests) == ""
        assert set(_named(manifests, "Service")) == {name}


def test_a_chart_without_accounts_says_what_to_set(helm: Helm, chart: Path) -> None:
    """Installing it with no account configured fails before anything is created."""
    done = helm("template", "x", chart)
    assert done.returncode != 0
    assert "set config.accounts" in done.stderr


def test_package_is_whole_without_the_repository(helm: Helm, chart: Path, tmp_path: Path) -> None:
    """The packaged chart holds rules and dashboards as files and renders the same from anywhere."""
    assert helm("package", chart, "--destination", tmp_path).returncode == 0
    (archive,) = tmp_path.glob("gigas-exporter-*.tgz")
    with tarfile.open(archive) as package:
        members = {member.name: member for member in package}
    assert all(member.isfile() for member in members.values())
    assert "gigas-exporter/files/gigas.rules.yml" in members
    assert not [name for name in members if "/ci/" in name]
    values = ("--values", _values(chart, "everything"))
    assert _render(helm, archive, *values) == _render(helm, chart, *values)


@pytest.mark.parametrize(
    ("secret", "steps"),
    [
        ("existingSecret=mine", ["create secret generic mine ", "rollout status", "gigas-exporter check"]),
        ("values.api_key=x", ["rollout status", "gigas-exporter check"]),
        (
            "values=null",
            ["create secret generic storage ", "rollout restart", "rollout status", "gigas-exporter check"],
        ),
    ],
)
def test_notes_say_what_to_do_next(helm: Helm, tmp_path: Path, chart: Path, secret: str, steps: list[str]) -> None:
    """The notes name the commands that come next, the Secret before what waits for it, and what is missing."""
    values = tmp_path / "values.yaml"
    values.write_text("config: {accounts: [{id: 1, api_key_file: /var/run/secrets/gigas-exporter/api_key}]}\n", "utf-8")
    given = ("--namespace", "gigas", "--values", values, "--set", f"secret.{secret}")
    done = helm("install", "storage", chart, "--dry-run=client", *given)
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    commands = [line.strip() for line in notes.splitlines() if line.startswith("     kubectl -n gigas ")]
    assert [step for command, step in zip(commands, steps, strict=True) if step not in f"{command} "] == []
    numbers = re.findall(r"^(\d+)\. ", notes, re.MULTILINE)
    assert numbers == ["1", "2"][: len(numbers)]
    for setting in ("serviceMonitor", "prometheusRule", "dashboards"):
        assert f"({setting}.enabled)" in notes


def test_generated_files_are_in_step(helm: Helm, repository: Path, tmp_path: Path) -> None:
    """The plain manifests and the README's table are what `make deploy` writes now."""
    assert helm("version").returncode == 0
    generate_kubernetes.main(str(repository / "build/helm/bin/helm"), tmp_path)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 3
    for path in written:
        committed = (repository / "deploy" / path).read_text(encoding="utf-8")
        assert committed == (tmp_path / path).read_text(encoding="utf-8"), f"{path}: run make deploy"


def test_kustomize_builds_the_plain_manifests(kubectl: Path, repository: Path) -> None:
    """The kustomization in deploy/kubernetes gives every object, that of dashboards/ each dashboard's ConfigMap."""

    def build(directory: str) -> list[Manifest]:
        done = run_program(kubectl, "kustomize", repository / directory)
        return list(yaml.safe_load_all(done.stdout))

    manifests = build("deploy/kubernetes")
    assert {"Deployment", "PrometheusRule", "ServiceMonitor"} <= {manifest["kind"] for manifest in manifests}
    assert set(_named(manifests, "ConfigMap")) == {"gigas-exporter"}
    assert len(_named(build("dashboards"), "ConfigMap")) == len(list((repository / "dashboards").glob("*.json")))


def test_the_page_kustomization_edits_all_that_must_be_edited(
    kubectl: Path, repository: Path, tmp_path: Path, schema_problems: SchemaProblems
) -> None:
    """The kustomization of docs/kubernetes.md, with the rules that it names, changes each thing of the page's table."""
    page = (repository / "docs/kubernetes.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(# kustomization\.yaml\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shutil.copytree(repository / "deploy/kubernetes", tmp_path / "deploy/kubernetes")
    own = tmp_path / "own"
    own.mkdir()
    (own / "kustomization.yaml").write_text(text, encoding="utf-8")
    (command,) = re.findall(r"^ +# gigas-exporter (.*)$", text, re.MULTILINE)
    subprocess.run([sys.executable, "-m", "gigas_exporter", *command.split()], cwd=own, check=True, timeout=60)
    built = run_program(kubectl, "kustomize", own)
    manifests = list(yaml.safe_load_all(built.stdout))
    assert schema_problems(manifests) == ""
    assert {manifest["metadata"]["labels"]["release"] for manifest in manifests} == {"prometheus"}
    (pod,) = _named(manifests, "Deployment")["gigas-exporter"]["spec"]["template"]["spec"]["containers"]
    assert pod["image"].startswith("registry.example.com/gigas-exporter:")
    assert (
        "proxy"
        in yaml.safe_load(_named(manifests, "ConfigMap")["gigas-exporter"]["data"]["gigas-exporter.yaml"])["api"]
    )
    policy = _named(manifests, "NetworkPolicy")["gigas-exporter"]["spec"]
    assert "prometheus" in str(policy["ingress"][0]["from"])
    assert policy["egress"][-1]["ports"] == [{"protocol": "TCP", "port": 3128}]
    (rules,) = _named(manifests, "PrometheusRule").values()
    assert "https://grafana.example.com/d/" in json.dumps(rules)
    assert "localhost:3000" not in built.stdout


def test_the_page_names_each_value_that_is_off(chart: Path, repository: Path) -> None:
    """What the chart leaves out until it is asked for stands in the table of what must be edited."""
    page = (repository / "docs/kubernetes.md").read_text(encoding="utf-8")
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    off = [name for name, value in values.items() if isinstance(value, dict) and value.get("enabled") is False]
    assert set(off) == {"serviceMonitor", "prometheusRule", "dashboards"}
    assert [name for name in off if f"`{name}.enabled" not in page] == []
