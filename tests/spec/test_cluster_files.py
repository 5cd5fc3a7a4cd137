"""The files under cluster/ are what they say, as far as a machine without a cluster can tell."""

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from ray_pipeline.cli import build

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
WHERE_FILES = ("local", "one-machine", "shared-folder", "s3-mlflow", "gs-mlflow")
LAUNCHED = ("ray-up-aws.yaml", "ray-up-gcp.yaml")


def load(name: str) -> Any:
    (document,) = YAML(typ="safe").load_all((CLUSTER / name).read_text())
    return document


@pytest.mark.parametrize("file", sorted(CLUSTER.glob("*.yaml")), ids=lambda file: file.name)
def test_every_file_is_one_yaml_mapping_that_opens_with_how_to_use_it(file: Path) -> None:
    assert isinstance(load(file.name), dict)
    assert file.read_text().startswith("# ")
    assert "ray-pipeline" in file.read_text()


@pytest.mark.parametrize("name", WHERE_FILES)
def test_cluster_files_parse(name: str) -> None:
    from ray_pipeline.spec.where import Where

    where = Where.find(str(CLUSTER / f"{name}.yaml"), ROOT)
    assert where.address == load(f"{name}.yaml")["address"]
    assert where == Where.find(name, ROOT), "cluster/NAME.yaml beside the spec is found by its NAME"


def test_local_yaml_says_what_leaving_on_away_means(tmp_path: Path) -> None:
    from ray_pipeline.spec.where import Where

    file, builtin = Where.find("local", ROOT), Where.find(None, tmp_path)
    fields = (
        "address",
        "jobs",
        "data",
        "storage",
        "registry",
        "cpus_per_worker",
        "workers_per_trial",
        "gpus_per_worker",
        "concurrent_trials",
        "memory",
        "start_within",
        "stall_after",
        "cache",
        "trust_keys",
        "trust",
        "hooks",
        "lineage",
    )
    assert {name: getattr(file, name) for name in fields} == {name: getattr(builtin, name) for name in fields}


def test_jobs_are_sent_to_the_address_in_the_file() -> None:
    from ray_pipeline.spec.where import Where

    assert Where.find("one-machine", ROOT).jobs == "http://127.0.0.1:8265"


def test_no_file_holds_a_secret() -> None:
    for file in CLUSTER.iterdir():
        assert not re.search(
            r"AKIA[0-9A-Z]{16}|(?i:(password|secret_access_key|auth_token)['\"]?\s*[:=]\s*['\"]?[A-Za-z0-9/+]{12,})",
            file.read_text(),
        ), file


# --- KubeRay: the fields that we rely on, as the CRD of ray.io/v1 (KubeRay 1.7.1) names and types them.

COUNT = {"type": "integer", "minimum": 0}
POD_TEMPLATE = {
    "type": "object",
    "required": ["spec"],
    "additionalProperties": False,
    "properties": {
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["containers"],
            "additionalProperties": False,
            "properties": {
                "securityContext": {"type": "object", "required": ["runAsNonRoot", "runAsUser"]},
                "volumes": {"type": "array", "items": {"type": "object", "required": ["name"]}},
                "containers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "image", "resources"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "image": {"type": "string", "pattern": r"^\S+:\S+$"},
                            "ports": {"type": "array", "items": {"type": "object", "required": ["containerPort"]}},
                            "env": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["name", "value"],
                                    "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
                                },
                            },
                            "envFrom": {"type": "array", "items": {"type": "object", "required": ["secretRef"]}},
                            "volumeMounts": {
                                "type": "array",
                                "items": {"type": "object", "required": ["name", "mountPath"]},
                            },
                            "resources": {"type": "object", "required": ["requests", "limits"]},
                        },
                    },
                },
            },
        },
    },
}
START_PARAMS = {"type": "object", "additionalProperties": {"type": "string"}}
RAY_JOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "anyOf": [{"required": ["name"]}, {"required": ["generateName"]}]},
        "spec": {
            "type": "object",
            "required": [
                "entrypoint",
                "submissionMode",
                "activeDeadlineSeconds",
                "preRunningDeadlineSeconds",
                "shutdownAfterJobFinishes",
                "rayClusterSpec",
            ],
            "additionalProperties": False,
            "properties": {
                "entrypoint": {"type": "string"},
                "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
                "submitterConfig": {
                    "type": "object",
                    "properties": {"backoffLimit": COUNT},
                    "additionalProperties": False,
                },
                "runtimeEnvYAML": {"type": "string"},
                "jobId": {"type": "string"},
                "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                "backoffLimit": COUNT,
                "activeDeadlineSeconds": {"type": "integer", "minimum": 1},
                "preRunningDeadlineSeconds": {"type": "integer", "minimum": 1},
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": COUNT,
                "suspend": {"type": "boolean"},
                "rayClusterSpec": {
                    "type": "object",
                    "required": ["rayVersion", "authOptions", "headGroupSpec"],
                    "additionalProperties": False,
                    "properties": {
                        "rayVersion": {"type": "string"},
                        "authOptions": {
                            "type": "object",
                            "required": ["mode"],
                            "properties": {"mode": {"enum": ["token", "disabled"]}, "secretName": {"type": "string"}},
                            "additionalProperties": False,
                        },
                        "enableInTreeAutoscaling": {"type": "boolean"},
                        "headGroupSpec": {
                            "type": "object",
                            "required": ["rayStartParams", "template"],
                            "additionalProperties": False,
                            "properties": {"rayStartParams": START_PARAMS, "template": POD_TEMPLATE},
                        },
                        "workerGroupSpecs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["groupName", "rayStartParams", "template"],
                                "additionalProperties": False,
                                "properties": {
                                    "groupName": {"type": "string"},
                                    "replicas": COUNT,
                                    "minReplicas": COUNT,
                                    "maxReplicas": COUNT,
                                    "rayStartParams": START_PARAMS,
                                    "template": POD_TEMPLATE,
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def test_the_rayjob_has_the_shape_of_its_crd() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(load("kuberay-rayjob.yaml"), RAY_JOB)
    misspelt = copy.deepcopy(load("kuberay-rayjob.yaml"))
    misspelt["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = (
        0  # Kubernetes wants a string here
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(misspelt, RAY_JOB)


def test_the_rayjob_types_our_command_ends_by_itself_and_asks_for_a_token() -> None:
    import importlib.metadata

    spec = load("kuberay-rayjob.yaml")["spec"]
    assert spec["entrypoint"].split()[:2] == ["ray-pipeline", "run"]
    assert spec["entrypoint"].endswith("--json")
    assert spec["preRunningDeadlineSeconds"] < spec["activeDeadlineSeconds"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["backoffLimit"] == 0, "each retry of KubeRay's own starts the run from nothing"
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert spec["rayClusterSpec"]["rayVersion"] == importlib.metadata.version("ray")
    mounted = {
        mount["mountPath"]
        for mount in spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    }
    assert all(
        any(word.startswith(f"{path}/") for path in mounted)
        for word in spec["entrypoint"].split()
        if word.endswith(".yaml")
    )


@pytest.mark.parametrize("name", LAUNCHED)
def test_the_launcher_of_ray_accepts_the_cluster(name: str) -> None:
    pytest.importorskip("jsonschema")
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(load(name))
    validate_config(prepared)
    assert prepared["head_node_type"] in prepared["available_node_types"]
    assert not any(command.startswith("pip install") and "ray" in command for command in prepared["setup_commands"]), (
        "the image holds Ray already"
    )
    broken = load(name) | {"max_nodes": 4}
    with pytest.raises(Exception, match="max_nodes"):
        validate_config(prepare_config(broken))


def test_the_image_is_built_from_files_that_exist_and_runs_without_rights() -> None:
    lines = (CLUSTER / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    copied = [source for word in words if word[0] == "COPY" for source in word[1:-1]]
    assert {"requirements.lock", "pyproject.toml", "ray_pipeline"} <= set(copied)
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [word[1] for word in words if word[0] == "USER"][-1] not in ("root", "0")
    assert any("--require-hashes" in word for word in words)
    assert words[0] == ["FROM", "python:3.11.14-slim-bookworm"]


def test_every_month_the_champion_is_trained_again() -> None:
    """The commands of both templates parse; a cron line has five fields and no percent sign, which cron would cut."""
    lines = [line for line in (CLUSTER / "retrain.cron").read_text().splitlines() if re.match(r"\d", line)]
    words = [re.split(r" && (?:flock -n \S+ )?", line)[1].split(" >>")[0].split() for line in lines]
    assert [line.split()[:5][3] for line in lines] == ["*"] * 3 and not any("%" in line for line in lines)
    job = load("retrain-cronjob.yaml")["spec"]
    assert (job["concurrencyPolicy"], job["schedule"]) == ("Forbid", "0 4 1 * *")
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never" and pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    root = typer.main.get_command(build())
    for command in (*words, container["command"]):
        assert command[0] == "ray-pipeline"
        group, rest = root, command[1:]
        while hasattr(group, "commands"):
            group, rest = group.commands[rest[0]], rest[1:]
        group.make_context("ray-pipeline", list(rest), resilient_parsing=False)
    assert [command[1] for command in (*words, container["command"])] == ["evaluate", "retrain", "runs", "retrain"]


def test_every_image_is_the_one_that_the_dockerfile_says_it_builds() -> None:
    tag = re.search(r"-t (\S+)", (CLUSTER / "Dockerfile").read_text())
    assert tag
    pods = load("kuberay-rayjob.yaml")["spec"]["rayClusterSpec"]
    images = [
        group["template"]["spec"]["containers"][0]["image"]
        for group in (pods["headGroupSpec"], *pods["workerGroupSpecs"])
    ]
    images.append(
        load("retrain-cronjob.yaml")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"]
    )
    assert {*images, *(load(name)["docker"]["image"] for name in LAUNCHED)} == {tag[1]}


SRUN = """#!/bin/bash
# Slurm's srun, as far as one machine goes: options away, the rest is run here.
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
RAY = """#!/bin/bash
# `ray symmetric-run`, as far as one machine goes: writes down how it was called,
# then runs what stands after `--` and ends as that does.
echo "$RAY_AUTH_MODE ${#RAY_AUTH_TOKEN} $*" > "$OUT/ray"
while [[ $1 != -- ]]; do shift; done
shift
exec "$@"
"""


@pytest.mark.parametrize("ends", [0, 7])
def test_the_slurm_job_starts_ray_on_every_node_and_ends_as_the_run_does(ends: int, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    tools = {
        "srun": SRUN,
        "ray": RAY,
        "scontrol": "#!/bin/bash\nprintf 'node7\\nnode8\\n'\n",
        "hostname": "#!/bin/bash\necho 10.0.0.7 fe80::1\n",
    }
    tools["ray-pipeline"] = f'#!/bin/bash\necho "$@" > "$OUT/run"\nexit {ends}\n'
    for name, text in tools.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    slurm = {
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "16",
        "SLURM_JOB_ID": "123456",
        "SLURM_SUBMIT_DIR": "/home/me/flights",
    }
    environment = {**slurm, "PATH": f"{tmp_path}/bin:/usr/bin:/bin", "OUT": str(tmp_path)}
    done = subprocess.run(
        ["bash", str(CLUSTER / "slurm.sh"), "run", "flights.yaml", "--set", "search.trials=4"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (ends, "")
    assert (
        (tmp_path / "ray")
        .read_text()
        .startswith(
            "token 64 symmetric-run --address 10.0.0.7:23456 --min-nodes 2 --num-cpus=16 -- ray-pipeline run"
            " flights.yaml"
        )
    )
    assert (
        tmp_path / "run"
    ).read_text() == "run flights.yaml --set search.trials=4 --on /home/me/flights/cluster/shared-folder.yaml --json\n"
    assert subprocess.run(["bash", str(CLUSTER / "slurm.sh")], env=environment, capture_output=True).returncode == 2
