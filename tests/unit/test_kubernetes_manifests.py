"""The Kubernetes manifests are valid offline, and agree with the code, the image and the compose file."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import yaml

from worker import __version__
from worker.cli.main import app
from worker.cli.operations.web import STOP_SECONDS
from worker.settings import SECRETS, Settings
from worker.usecases.operations.leave_when_stuck import GRACE_SECONDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
#: The oldest version with `preStop.sleep`, which the kustomization names; and a newer one.
VERSIONS = ("1.30", "1.37")
#: Kustomize's own file, and KEDA's, are none of Kubernetes' kinds.
FOREIGN = ("kustomize.config.k8s.io", "keda.sh")
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
SECRETS_FOLDER = str(SECRETS)


def documents() -> list[dict[str, Any]]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.rglob("*.yaml"))]
    return [one for text in texts for one in yaml.safe_load_all(text)]


def named(one: dict[str, Any]) -> str:
    return f"{one['kind']}/{one.get('metadata', {}).get('name', '')}"


ALL = {named(one): one for one in documents()}
OURS = {name: one for name, one in ALL.items() if not one["apiVersion"].startswith(FOREIGN)}
PODS = {name.partition("/")[2]: one for name, one in ALL.items() if name.startswith(("Deployment", "Job"))}
SCALER = ALL["ScaledObject/worker"]


def pod(name: str) -> dict[str, Any]:
    return PODS[name]["spec"]["template"]["spec"]


def container(name: str) -> dict[str, Any]:
    (only,) = pod(name)["containers"]
    return only


def settings() -> dict[str, str]:
    lines = (FOLDER / "settings.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OURS)
def test_every_object_keeps_to_the_schema_of_kubernetes(name, version):
    kubernetes_validate.validate(OURS[name], version, strict=True)


def test_the_horizontal_autoscaler_that_keda_derives_keeps_to_its_schema():
    """No schema of KEDA's is at hand: this is what it makes of a ScaledObject, and its own keys by name."""
    spec = SCALER["spec"]
    assert set(spec) == {
        "scaleTargetRef",
        "pollingInterval",
        "minReplicaCount",
        "maxReplicaCount",
        "advanced",
        "triggers",
    }
    assert ALL[f"Deployment/{spec['scaleTargetRef']['name']}"]["apiVersion"] == "apps/v1"
    for trigger in spec["triggers"]:
        assert set(trigger) == {"type", "name", "metricType", "metadata"}
        assert set(trigger["metadata"]) == {"serverAddress", "query", "threshold", "ignoreNullValues"}
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
    target = spec["scaleTargetRef"] | {"apiVersion": "apps/v1", "kind": "Deployment"}
    metrics = [
        {
            "type": "External",
            "external": {
                "metric": {"name": trigger["name"]},
                "target": {"type": trigger["metricType"], "value": trigger["metadata"]["threshold"]},
            },
        }
        for trigger in spec["triggers"]
    ]
    derived = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": SCALER["metadata"],
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
            "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
            "metrics": metrics,
        },
    }
    kubernetes_validate.validate(derived, VERSIONS[0], strict=True)


def test_the_scaler_follows_the_age_of_the_oldest_undecided_submission():
    """That its metrics exist is tested with the dashboard's and the alerts'."""
    first, *_ = (trigger["metadata"]["query"] for trigger in SCALER["spec"]["triggers"])
    assert first.startswith("max(moderation_undecided_oldest_seconds)")


def test_the_kustomization_names_every_file():
    assert {path.name for path in FOLDER.glob("*.yaml")} == {
        *KUSTOMIZATION["resources"],
        "kustomization.yaml",
        "secret.example.yaml",
    }
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    assert generated == {"name": "moderation-settings", "envs": ["settings.env"]}


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl, which has kustomize in it")
@pytest.mark.parametrize("scaled", [False, True])
def test_kustomize_builds_it(scaled, tmp_path):
    copy = shutil.copytree(FOLDER, tmp_path / "kubernetes")
    file = copy / "kustomization.yaml"
    if scaled:
        file.write_text(re.sub("(?m)^# (?=components:)", "", file.read_text(encoding="utf-8")))
    built = subprocess.run(["kubectl", "kustomize", copy], check=True, capture_output=True, text=True).stdout
    found = {named(one): one for one in yaml.safe_load_all(built)}
    worker = found["Deployment/worker"]
    assert worker["metadata"]["namespace"] == "moderation"
    assert ("replicas" in worker["spec"]) == (not scaled)
    assert ("ScaledObject/worker" in found) == scaled
    assert worker["spec"]["template"]["spec"]["containers"][0]["image"] == f"moderation-worker:{__version__}"


def test_the_image_is_the_one_that_compose_builds():
    (image,) = KUSTOMIZATION["images"]
    assert {container(name)["image"] for name in PODS} == {image["name"]}
    assert COMPOSE["worker"]["image"].endswith(f"-{image['newName']}:{image['newTag']}}}")
    assert image["newTag"] == __version__


def test_every_setting_exists_and_fits(monkeypatch):
    for variable, value in settings().items():
        assert variable.removeprefix("MODERATION_").lower() in Settings.model_fields
        monkeypatch.setenv(variable, value)
    read = Settings.read()
    assert read.fits_its_model
    assert read.schedule_in_workers is False


@pytest.mark.parametrize("name", PODS)
def test_a_process_gets_its_settings_from_the_shared_ones(name):
    assert container(name)["envFrom"] == [{"configMapRef": {"name": "moderation-settings"}}]
    assert "env" not in container(name)


def test_every_key_of_the_secret_is_a_setting_and_no_setting_is_in_both():
    keys = {key.upper() for key in ALL["Secret/moderation"]["stringData"]}
    assert {key.removeprefix("MODERATION_").lower() for key in keys} <= set(Settings.model_fields)
    assert keys & set(settings()) == set()
    assert not re.search(r"//[^/\s]*:[^/\s]*@", settings()["MODERATION_DATABASE_URL"])


@pytest.mark.parametrize("name", PODS)
def test_secrets_are_mounted_where_they_are_read(name):
    mounts = {mount["name"]: mount for mount in container(name)["volumeMounts"]}
    assert mounts["secrets"] == {"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True}
    volumes = {volume["name"]: volume for volume in pod(name)["volumes"]}
    assert volumes["secrets"]["secret"]["secretName"] == "moderation"
    assert set(mounts) == set(volumes)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_can_do_no_more_than_it_must(name):
    user, group = COMPOSE["worker"]["user"].split(":")
    context = pod(name)["securityContext"]
    assert context["runAsNonRoot"] is True
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    assert set(container(name)["resources"]) == {"requests", "limits"}
    labels = ALL["Namespace/moderation"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", PODS)
def test_every_command_is_one_of_the_command_lines(name):
    program, *words = container(name)["args"]
    assert program == "moderate"
    found = typer.main.get_command(app)
    while words and hasattr(found, "commands"):
        found, words = found.commands[words[0]], words[1:]
        found = found.load() if hasattr(found, "load") else found
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_parts_and_commands_are_those_of_the_compose_file():
    compose = {name: one["command"] for name, one in COMPOSE.items() if one["command"][0] == "moderate"}
    renamed = {"upgrade" if name == "migrate" else name: command for name, command in compose.items()}
    assert {name: container(name)["args"] for name in PODS} == renamed


@pytest.mark.parametrize("name", sorted(PODS.keys() - {"upgrade"}))
def test_probes_ask_what_the_process_serves(name):
    """Paths are those of `wiring/observability.py` and `web/api/operations.py`; `schedule` has no /readyz."""
    (port,) = container(name)["ports"]
    served = {"/healthz"} if name == "schedule" else {"/healthz", "/readyz"}
    probes = {key: value["httpGet"] for key, value in container(name).items() if key.endswith("Probe")}
    assert {probe["path"] for probe in probes.values()} == served
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert probes["livenessProbe"]["path"] == "/healthz"
    expected = 8000 if name == "web" else int(settings()["MODERATION_METRICS_PORT"])
    assert port["containerPort"] == expected
    annotations = PODS[name]["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"prometheus.io/scrape": "true", "prometheus.io/port": str(expected)}


def test_ports_are_those_of_the_compose_file():
    assert COMPOSE["web"]["ports"] == [f"127.0.0.1:8000:{container('web')['ports'][0]['containerPort']}"]
    assert COMPOSE["worker"]["environment"]["MODERATION_METRICS_PORT"] == str(
        container("worker")["ports"][0]["containerPort"]
    )
    (port,) = ALL["Service/web"]["spec"]["ports"]
    assert port["targetPort"] == container("web")["ports"][0]["name"]


def test_a_pod_has_the_time_that_stopping_takes():
    seconds = {name: pod(name).get("terminationGracePeriodSeconds") for name in PODS}
    assert f"{seconds['worker']}s" == COMPOSE["worker"]["stop_grace_period"]
    pause = container("web")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert seconds["web"] >= pause + STOP_SECONDS


def test_a_stuck_worker_leaves_before_it_is_killed():
    """Only the worker knows whether its jobs wait for an unavailable database."""
    probe = container("worker")["livenessProbe"]
    # /healthz fails after MODERATION_STUCK_SECONDS; the worker leaves as long after that.
    leaves = Settings.model_fields["stuck_seconds"].default + GRACE_SECONDS
    assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) > leaves
    assert Settings.model_fields["exit_when_stuck"].default is True
    assert "MODERATION_EXIT_WHEN_STUCK" not in settings()


@pytest.mark.parametrize("name", ["Service/web", "PodDisruptionBudget/web", "PodDisruptionBudget/worker"])
def test_selectors_find_their_pods(name):
    selector = ALL[name]["spec"]["selector"]
    labels = PODS[name.partition("/")[2]]["spec"]["template"]["metadata"]["labels"]
    assert selector.get("matchLabels", selector).items() <= labels.items()


def test_the_network_is_closed_but_for_what_is_named():
    policies = {name: one["spec"] for name, one in ALL.items() if name.startswith("NetworkPolicy/")}
    closed = policies.pop("NetworkPolicy/deny-all")
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (public,) = policies["NetworkPolicy/public-https"]["egress"]
    assert "169.254.0.0/16" in public["to"][0]["ipBlock"]["except"]
    (chosen,) = policies["NetworkPolicy/public-https"]["podSelector"]["matchExpressions"]
    assert set(chosen["values"]) <= set(PODS)
