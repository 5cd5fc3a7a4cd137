"""Three nodes with an address and a /tmp/ray of their own each, tables and runs on an S3 server: run by
`test_many_nodes.py` as root.

usage: unshare --net --mount --propagation private python namespaces_run.py FOLDER [cut | slow]   -> one JSON line
FOLDER holds loans.yaml and data/. Nothing is set up outside of this process's own namespaces; they go with it.
cut    a node is cut off for 90 s after the first trial, and comes back
slow   a node has a link of 1 Mbit/s
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUBNET, NODES, CUT_S = "10.231.7", 3, 90.0
SERVE = (
    f"import time; from moto.server import ThreadedMotoServer; ThreadedMotoServer(ip_address='{SUBNET}.1',"
    " port=9000).start(); time.sleep(1e6)"
)
ENVIRONMENT = {
    "AWS_ENDPOINT_URL": f"http://{SUBNET}.1:9000",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TMPDIR": "/tmp/ray/own",
}


def sh(command: str) -> None:
    subprocess.run(command, shell=True, check=True, capture_output=True, text=True)


def node(number: int, command: str) -> subprocess.Popen[bytes]:
    """A command in a network of its own and with a /tmp/ray of its own."""
    inside = f"mount -t tmpfs tmpfs /tmp/ray && mkdir -p /tmp/ray/own && {command}"
    return subprocess.Popen(
        ["ip", "netns", "exec", f"n{number}", "unshare", "--mount", "--propagation", "private", "bash", "-c", inside],
        env={**os.environ, **ENVIRONMENT},
    )


def set_up() -> None:
    Path("/tmp/ray").mkdir(exist_ok=True)
    sh("mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && ip link set lo up")
    sh(f"ip link add rpbr type bridge && ip addr add {SUBNET}.1/24 dev rpbr && ip link set rpbr up")
    for i in range(NODES):
        sh(
            f"ip netns add n{i} && ip link add v{i} type veth peer name e0 netns n{i} && ip link set v{i} master"
            " rpbr up"
        )
        sh(
            f"ip netns exec n{i} ip link set lo up && ip netns exec n{i} ip addr add {SUBNET}.{10 + i}/24 dev e0 && ip"
            f" netns exec n{i} ip link set e0 up"
        )


def bucket_client() -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=ENVIRONMENT["AWS_ENDPOINT_URL"],
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )


def fill(folder: Path) -> None:
    client = bucket_client()
    for bucket in ("tables", "runs"):
        client.create_bucket(Bucket=bucket)
    for file in (folder / "data").rglob("*.parquet"):
        client.upload_file(str(file), "tables", str(file.relative_to(folder)))


def cut() -> None:
    """Cut the second node off for a while, once the first trial has ended."""
    client, done = bucket_client(), False
    while not done:
        time.sleep(0.2)
        keys = [found["Key"] for found in client.list_objects_v2(Bucket="runs").get("Contents", [])]
        done = any("/journal/trial-" in key for key in keys)
    sh("ip link set v1 down")
    time.sleep(CUT_S)
    sh("ip link set v1 up")


def slow() -> None:
    """Give the second node a slow link in both directions."""
    limited = "root tbf rate 1mbit burst 32kbit latency 400ms"
    sh(f"tc qdisc add dev v1 {limited} && ip netns exec n1 tc qdisc add dev e0 {limited}")


FAULTS: dict[str, Callable[[], None]] = {"cut": cut, "slow": slow}


def main(folder: Path, fault: str | None) -> None:
    set_up()
    server = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(5)
    fill(folder)
    ray = (
        f"{Path(sys.executable).with_name('ray')} start --num-cpus=1 --object-store-memory=200000000"
        " --disable-usage-stats"
    )
    head = (
        f"{ray} --head --node-ip-address={SUBNET}.10 --port=6379 --include-dashboard=false >/dev/null && exec"
        f" {sys.executable} {__file__} {folder} drive"
    )
    driver = node(0, head)
    others = [
        node(
            i, f"sleep 8; exec {ray} --address={SUBNET}.10:6379 --node-ip-address={SUBNET}.{10 + i} --block >/dev/null"
        )
        for i in range(1, NODES)
    ]
    if fault:
        threading.Thread(target=FAULTS[fault], daemon=True).start()
    code = driver.wait(500)
    for process in (*others, server):
        process.kill()
    sys.exit(code)


def drive(folder: Path) -> None:
    """On the first node: the run on all of them, then the same again here alone."""
    import ray

    from ray_pipeline import pipeline
    from ray_pipeline.registered_model import predict_rows
    from ray_pipeline.resuming import rerun
    from ray_pipeline.runtime.process_state import SETTINGS
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.where import Where

    os.environ.update(SETTINGS)
    ray.init(address=f"{SUBNET}.10:6379", log_to_driver=False)
    while sum(found["Alive"] for found in ray.nodes()) < NODES:
        time.sleep(0.5)
    nodes = {found["NodeManagerAddress"] for found in ray.nodes()}
    ray.shutdown()
    where = Where(
        address=f"{SUBNET}.10:6379",
        data="s3://tables",
        storage="s3://runs/namespaces",
        registry="sqlite:////tmp/ray/own/mlflow.db",
    )
    answer = pipeline.run(Spec.from_file(folder / "loans.yaml", ["register={alias: challenger}"]), where).as_json()
    scored = predict_rows(
        "loans@challenger", "s3://tables/data/loans", Path("/tmp/ray/own/scores.parquet"), where, None
    )
    manifest = Path("/tmp/ray/own/manifest.json")
    from ray_pipeline.storage.blob_store import BlobStore

    manifest.write_bytes(BlobStore("s3://runs/namespaces").read(f"{answer['run']}/manifest.json"))
    again = rerun(str(manifest), Where(data="s3://tables", storage="/tmp/ray/own/alone"), verify=True)
    print(
        json.dumps(
            {
                "nodes": sorted(nodes),
                "plan": json.loads(manifest.read_text())["plan"],
                "again": again["status"],
                "same": again["same"],
                "exit": answer["exit"],
                "scored": scored["rows"],
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    asked = next(iter(sys.argv[2:]), None)
    drive(Path(sys.argv[1])) if asked == "drive" else main(Path(sys.argv[1]), asked)
