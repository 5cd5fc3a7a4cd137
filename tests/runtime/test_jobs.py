"""Runs as Ray jobs on real clusters, one without and one with a token."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from job_fixture import Cluster, free_port, head, wait_until

from ray_pipeline.errors import ResourceError, SpecError, StorageError
from ray_pipeline.runtime import job_server, jobs
from ray_pipeline.runtime.job_log import LineLog
from ray_pipeline.runtime.job_server import Job, JobExists, JobServer
from ray_pipeline.runtime.ray_token import is_this_machine
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

SPEC = """\
name: jobs_test
task: binary
features:
  labels: {path: data/rows.parquet, label: late, key: id}
split: {by: random}
model: {xgboost: {num_boost_round: 20}}
search: {trials: 3}
gates: [auc >= 0.6]
"""
SUBMITS = 20
TOKEN = "a-token-for-this-test-alone-0123456789abcdef"


# --- without a cluster


def test_each_line_of_a_log_is_shown_once_although_connections_are_lost() -> None:
    lines: list[str] = []
    log = LineLog(lines.append)
    for connection in (["one\ntw"], ["one\n", "two\nthr"], ["one\ntwo\nthree\nfour"]):
        log.rewind()
        for chunk in connection:
            log.write(chunk)
    log.close()
    assert lines == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "words"),
    [
        ("SUCCEEDED", 0, 0, ""),
        ("STOPPED", None, 130, "was stopped"),
        ("FAILED", -9, 4, "killed by signal 9"),
        ("FAILED", 137, 4, "killed by signal 9"),
        ("FAILED", None, 4, "never ran: no such image"),
        ("FAILED", 1, 1, "exit code 1"),
    ],
)
def test_a_job_without_an_answer_gets_one(status: str, code: int | None, exit_code: int, words: str) -> None:
    answer = jobs._without_answer(Job("j", status, code, "no such image"), ["last line"], None)
    assert answer["exit"] == exit_code
    assert words in json.dumps(answer)


def test_only_the_answer_of_a_verb_counts_as_one() -> None:
    assert jobs._answer('{"status": "refused", "exit": 7}') == {"status": "refused", "exit": 7}
    for line in ("", "text", "{", '{"exit": 0}', '{"status": "x", "exit": "0"}', "[0]", "{'status': 'x', 'exit': 0}"):
        assert jobs._answer(line) is None


def test_a_local_cluster_file_takes_no_jobs(tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text("address: local\n")
    with pytest.raises(SpecError, match="a job needs a cluster"):
        jobs.job_server(Where.find(str(tmp_path / "here.yaml"), tmp_path))


def test_a_cluster_that_does_not_exist_is_a_resource_error() -> None:
    with pytest.raises(ResourceError, match=r"no job server answers at http://127\.0\.0\.1"):
        JobServer(f"http://127.0.0.1:{free_port()}")


def test_a_server_that_accepts_and_never_answers_is_a_resource_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_server, "READ_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ResourceError, match="no job server answers"):
        JobServer(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_package_that_a_job_does_not_bring_is_named_before_it_starts(spec: Path) -> None:
    told: list[str] = []

    class Server:
        def jobs(self) -> tuple[Job, ...]:
            return ()

        def is_this_machine(self) -> bool:
            return False

        def cluster_id(self) -> str:
            return "cluster"

        def start(self, job_id: str, *_: Any, **__: Any) -> Job:
            told.append("started")
            return Job(job_id, "PENDING")

    own = "evaluate.metrics=[auc, my_package.cost.MeanCost, {f_beta: {beta: 2}}]"
    for sets in ([], [own]):
        jobs.submit(spec, Where(), server=Server(), sets=sets, note=told.append)  # type: ignore[arg-type]
    assert told[0] == told[2] == "started"
    assert told[1].startswith("my_package of the spec must be on every node")


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ResourceError, match=r"pip install 'ray-pipeline\[jobs\]'"):
        JobServer("http://127.0.0.1:8265")


# --- clusters


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with head(RAY_AUTH_MODE="disabled") as started:
        yield started


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(TOKEN)
    with head(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(file)) as started:
        yield started


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_spec(tmp_path)


def write_spec(folder: Path) -> Path:
    """A spec over 2,000 rows whose label follows `x`."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=2000)
    columns = {
        "id": np.arange(2000),
        "x": x,
        "noise": draw.normal(size=2000),
        "late": (x + draw.normal(size=2000) > 0).astype("int64"),
    }
    (folder / "data").mkdir()
    pq.write_table(pa.table(columns), folder / "data" / "rows.parquet")
    (folder / "late.yaml").write_text(SPEC)
    return folder / "late.yaml"


def cluster_file(folder: Path, url: str, more: str = "") -> Where:
    (folder / "there.yaml").write_text(f"address: auto\njobs: {url}\nstorage: {folder}/runs\n{more}")
    return Where.find(str(folder / "there.yaml"), folder)


def started(spec: Path, cluster: Cluster, entrypoint: str, **options: Any) -> tuple[JobServer, Job]:
    where = cluster_file(spec.parent, cluster.url)
    server = jobs.job_server(where)
    return server, jobs.submit(spec, where, server=server, entrypoint=entrypoint, **options)


@dataclass(frozen=True)
class Finished:
    """A job that looked around, said an answer and ended with 7; submitted while the environment named other
    clusters."""

    spec: Path
    job: Job
    lines: list[str]
    answer: dict[str, Any]


SAID = {"run": "r", "status": "refused", "exit": 7, "problems": []}


@pytest.fixture(scope="module")
def finished(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    spec = write_spec(tmp_path_factory.mktemp("finished"))
    (spec.parent / "secret.txt").write_text("stays at home")
    look = "find . -type f; cat spec/late.yaml; echo id=$RAY_PIPELINE_RUN_ID; echo cut; cat cluster.yaml; echo cut"
    with pytest.MonkeyPatch.context() as environment:
        nobody = f"http://127.0.0.1:{free_port()}"
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            environment.setenv(name, nobody)
        server, job = started(spec, cluster, f"{look}; echo '{json.dumps(SAID)}'; echo after; exit 7")
        lines: list[str] = []
        answer = jobs.follow(server, job.id, lines.append)
        assert [os.environ[name] for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")] == [
            nobody,
            nobody,
        ], "hidden from Ray's client only"
    # Ray's supervisor writes this line into the same log, at any place between the job's own lines.
    own = [line for line in lines if "Running entrypoint for job" not in line]
    return Finished(spec, job, own, answer)


@pytest.mark.ray
def test_a_job_gets_the_spec_and_the_cluster_file_and_nothing_else(finished: Finished) -> None:
    assert sorted(line for line in finished.lines if line.startswith("./")) == ["./cluster.yaml", "./spec/late.yaml"]
    assert finished.spec.read_text() in "\n".join(finished.lines)
    assert f"id={finished.job.id}" in finished.lines


@pytest.mark.ray
def test_the_answer_and_the_exit_code_are_the_job_s_own(finished: Finished) -> None:
    assert finished.answer == SAID | {"job": finished.job.id}
    assert finished.lines[-1] == "after"
    assert not any("refused" in line for line in finished.lines if line.startswith("{"))


@pytest.mark.ray
def test_the_travelling_cluster_file_finds_the_same_rows_and_keeps_the_fingerprint(
    finished: Finished, tmp_path: Path
) -> None:
    home = finished.spec.parent
    (tmp_path / "spec").mkdir()
    spec = tmp_path / "spec" / finished.spec.name
    spec.write_text(finished.spec.read_text())
    first, last = (number for number, line in enumerate(finished.lines) if line == "cut")
    (tmp_path / "cluster.yaml").write_text("\n".join(finished.lines[first + 1 : last]))
    where, moved = Where.find(str(tmp_path / "cluster.yaml"), spec.parent), Spec.from_file(spec)
    assert Path(where.resolve(moved.features.labels.path, moved.folder)).samefile(home / "data" / "rows.parquet")
    assert Path(where.storage_folder(moved.folder)) == home / "runs"
    assert where.address == "auto"
    assert moved.fingerprint == Spec.from_file(finished.spec).fingerprint


def number(job: Job) -> int:
    return int(job.id.rpartition("-")[2])


@pytest.mark.ray
def test_a_second_submit_of_a_run_under_way_points_to_the_first(spec: Path, cluster: Cluster) -> None:
    server, first = started(spec, cluster, "sleep 120")
    try:
        with pytest.raises(ResourceError, match=f"under way .* as job {first.id} "):
            started(spec, cluster, "sleep 120")
        _, other = started(spec, cluster, "sleep 120", sets=["search.trials=4"])
        assert other.id.split("-")[-2] != first.id.split("-")[-2], "another fingerprint is another run"
        _, second = started(spec, cluster, "sleep 120", again=True)
        assert number(second) == number(first) + 1
    finally:
        for job in (job for job in server.jobs() if not job.has_ended):
            if job.metadata["ray_pipeline_storage"] == str(spec.parent / "runs"):
                assert server.stop(job.id).status == "STOPPED"
    _, third = started(spec, cluster, "true")
    assert number(third) == number(first) + 2, "an ended job refuses nobody, and its number is not given again"


@pytest.mark.ray
def test_the_next_number_is_one_that_neither_a_job_nor_a_run_folder_has(cluster: Cluster, tmp_path: Path) -> None:
    storage, server = str(tmp_path / "runs"), JobServer(cluster.url)
    for name in ("a.b-0011aabb-3", "a.b-0011aabb-x", "aXb-0011aabb-9", "a.b-0011aabb-30-old"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert server.is_this_machine()
    assert jobs._next_id("a.b-0011aabb", storage, server, ["a.b-0011aabb-2"], here=True) == "a.b-0011aabb-4"
    assert jobs._next_id("a.b-0011aabb", storage, server, ["a.b-0011aabb-7"], here=True) == "a.b-0011aabb-8"
    assert jobs._next_id("other-0011aabb", storage, server, [], here=False) == "other-0011aabb-1"
    first, same, later = (jobs._next_id("a-0011aabb", "/not/here", server, ids, here=False) for ids in ([], [], ["x"]))
    assert first == same != later, "two submits at one instant choose one id"


@pytest.mark.ray
def test_of_many_submits_at_one_instant_one_wins(spec: Path, cluster: Cluster) -> None:
    at_once = threading.Barrier(SUBMITS)
    where = cluster_file(spec.parent, cluster.url)

    def one(_: int) -> str:
        server = jobs.job_server(where)
        at_once.wait()
        try:
            return jobs.submit(spec, where, server=server, entrypoint="sleep 120").id
        except ResourceError as refused:
            return str(refused)

    with ThreadPoolExecutor(SUBMITS) as pool:
        said = list(pool.map(one, range(SUBMITS)))
    server = jobs.job_server(where)
    active = [
        job.id
        for job in server.jobs()
        if not job.has_ended and job.metadata["ray_pipeline_storage"] == str(spec.parent / "runs")
    ]
    assert len(active) == 1, said
    (winner,) = active
    assert sorted(text == winner for text in said) == [False] * (SUBMITS - 1) + [True], said
    assert all(winner in text for text in said)
    server.stop(winner)


@pytest.mark.ray
def test_a_stopped_job_has_time_to_end_and_counts_as_interrupted(spec: Path, cluster: Cluster) -> None:
    server, job = started(
        spec, cluster, "trap 'sleep 5; echo journal closed; exit 130' TERM; echo ready; while true; do sleep 0.1; done"
    )
    wait_until(lambda: "ready" in server.log(job.id) if server.job(job.id).status == "RUNNING" else False, 30)
    assert server.stop(job.id).status == "STOPPED"
    lines: list[str] = []
    answer = jobs.follow(server, job.id, lines.append)
    assert "journal closed" in lines, "Ray's own 3 s would have killed it"
    assert (answer["exit"], answer["status"], answer["job"]) == (130, "interrupted", job.id)


@pytest.mark.ray
def test_unknown_jobs_and_taken_ids_are_told_apart(spec: Path, cluster: Cluster) -> None:
    server, job = started(spec, cluster, "true", submission_id=f"mine-{time.time_ns()}")
    with pytest.raises(StorageError, match="did you mean 'mine-"):
        server.job(job.id[:-1])
    for ask in (server.log, server.stop, lambda name: server.follow(name, str)):
        with pytest.raises(StorageError, match="knows no job"):
            ask("nobody")
    with pytest.raises(JobExists):
        server.start(job.id, "true", files={}, environment={}, metadata={})


# --- the verbs, as a user types them


def type_in(cluster: Cluster, *words: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    """The exit code, the JSON answer and standard error of one `ray-pipeline` command."""
    done = subprocess.run(
        [sys.executable, "-m", "ray_pipeline", *words, "--json"],
        env=cluster.environment | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.ray
def test_only_the_clusters_own_token_is_accepted(spec: Path, guarded: Cluster) -> None:
    cluster_file(spec.parent, guarded.url)
    asked = ("status", "nobody", "--on", str(spec.parent / "there.yaml"))
    code, answer, errors = type_in(guarded, *asked)
    assert (code, answer["exit"]) == (6, 6), errors
    for wrong in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": TOKEN[::-1]}):
        code, answer, errors = type_in(guarded, *asked, **wrong)
        assert (code, answer["exit"]) == (4, 4), errors
        assert "refuses the login" in answer["problems"][0]["found"]
        assert "RAY_AUTH_TOKEN" in answer["problems"][0]["fix"]
        assert "Traceback" not in errors
        assert TOKEN not in errors
        assert TOKEN[::-1] not in errors


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_of_this_machine_is_asked_with_the_token_that_a_local_ray_left(spec: Path, tmp_path: Path) -> None:
    token = tmp_path / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text(TOKEN)
    token.chmod(0o644)
    with head(HOME=str(tmp_path / "home")) as started_after_a_local_run:
        cluster_file(spec.parent, started_after_a_local_run.url)
        on = ("--on", str(spec.parent / "there.yaml"))
        for verb in ("status", "logs", "stop"):
            code, answer, errors = type_in(started_after_a_local_run, verb, "nobody", *on)
            assert (code, answer["exit"]) == (6, 6), errors
            assert TOKEN not in errors
        code, answer, _ = type_in(started_after_a_local_run, "status", "nobody", *on, RAY_AUTH_MODE="disabled")
        assert (code, "refuses the login" in answer["problems"][0]["found"]) == (4, True), "what the user sets counts"
    assert token.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http://127.0.0.1:8265", True),
        ("http://localhost:8265", True),
        ("https://[::1]:8265", True),
        (f"http://{socket.gethostname()}:8265", True),
        (f"http://{ray.util.get_node_ip_address()}:8265", True),
        ("http://10.0.0.7:8265", False),
        ("http://127.0.0.1.example.org:8265", False),
    ],
)
def test_only_a_cluster_of_this_machine_gets_the_token_unasked(address: str, here: bool) -> None:
    assert is_this_machine(address) is here


def connect(cluster: Cluster, address: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a session at an address writes, in a process of its own with the environment of a cluster and some more."""
    return subprocess.run(
        [sys.executable, "-c", SESSION, address],
        env={**cluster.environment, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


SESSION = """
import sys
import time
from ray_pipeline.errors import ResourceError
from ray_pipeline.runtime.session import session
from ray_pipeline.spec.where import Where

began = time.monotonic()
try:
    with session(Where(address=sys.argv[1])):
        import ray
        print("answers", ray.get(ray.remote(lambda: 1).remote()))
except ResourceError as error:
    print(f"within {time.monotonic() - began:.0f} s, {error}")
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_session_sends_the_token_of_this_machine_to_all_its_addresses(tmp_path: Path) -> None:
    token = tmp_path / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text(TOKEN)
    with head(HOME=str(tmp_path / "home")) as cluster:
        port = cluster.address.rpartition(":")[2]
        for host in ("127.0.0.1", ray.util.get_node_ip_address()):
            done = connect(cluster, f"{host}:{port}")
            assert done.stdout == "answers 1\n", done.stderr
        disabled = connect(cluster, cluster.address, RAY_AUTH_MODE="disabled")
        assert "asks for a token, and none was sent" in disabled.stdout, "what the user sets counts"


@pytest.mark.ray
@pytest.mark.slow
def test_a_refused_login_is_told_at_once(guarded: Cluster, tmp_path: Path) -> None:
    for wrong, what in (
        ({"RAY_AUTH_MODE": "disabled"}, "asks for a token, and none was sent"),
        ({"RAY_AUTH_TOKEN_PATH": "", "HOME": str(tmp_path)}, "asks for a token, and none was sent"),
        ({"RAY_AUTH_TOKEN": TOKEN[::-1]}, "refuses the token that was sent"),
        ({"RAY_AUTH_TOKEN": "x" * 2000}, "refuses the token that was sent"),
    ):
        done = connect(guarded, guarded.address, **wrong)
        assert what in done.stdout and "RAY_AUTH_TOKEN_PATH" in done.stdout, done.stderr
        seconds = int(done.stdout.split()[1])
        assert seconds < 8, "the import of Ray, and no waiting"
        assert (done.stderr, TOKEN[::-1] in done.stdout) == ("", False)


def test_a_token_that_another_session_turned_on_goes_to_no_other_machine() -> None:
    code = (
        "import os; from ray_pipeline.runtime.ray_token import token_of_session;"
        "print(token_of_session('auto', '127.0.0.1:1')); del os.environ['RAY_AUTH_MODE'];"
        "print(token_of_session('10.0.0.7:1', '10.0.0.7:1'))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"RAY_AUTH_TOKEN": TOKEN}, capture_output=True, text=True
    )
    assert done.stdout == f"{{'authorization': 'Bearer {TOKEN}'}}\n{{}}\n", done.stderr


@pytest.mark.ray
@pytest.mark.long
def test_a_submitted_run_is_the_same_run(spec: Path, guarded: Cluster) -> None:
    on = str(spec.parent / "there.yaml")
    cluster_file(spec.parent, guarded.url)
    sets = ["gates=[auc >= 0.999]", "register.when=always"]
    code, answer, errors = type_in(
        guarded, "submit", str(spec), "--on", on, *(word for override in sets for word in ("--set", override))
    )
    assert (code, answer["exit"], answer["status"]) == (7, 7, "refused"), errors
    assert answer["model"] == "models:/jobs_test/1", "refused, and registered all the same, as the spec says"
    assert answer["job"] == answer["run"], "the job's id is the run's"
    assert answer["run"] == f"jobs_test-{Spec.from_file(spec, sets).fingerprint[:8]}-1"
    assert (spec.parent / "runs" / answer["run"] / "manifest.json").is_file()
    assert answer["trials"] == 3
    assert TOKEN not in errors

    code, status, _ = type_in(guarded, "status", answer["job"], "--on", on)
    assert (code, status["status"], status["job_exit"]) == (0, "failed", 7)


@pytest.mark.ray
@pytest.mark.long
def test_ctrl_c_detaches_and_stop_stops(spec: Path, cluster: Cluster) -> None:
    on = str(spec.parent / "there.yaml")
    cluster_file(spec.parent, cluster.url)
    words = [
        sys.executable,
        "-m",
        "ray_pipeline",
        "submit",
        str(spec),
        "--on",
        on,
        "--set",
        "search.trials=500",
        "--json",
    ]
    child = subprocess.Popen(words, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stderr
    assert any(line.startswith("submitted ") for line in child.stderr)
    assert any("Running entrypoint" in line for line in child.stderr)
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=30)
    answer = json.loads(out.splitlines()[-1])
    assert (child.returncode, answer["status"], answer["exit"]) == (130, "interrupted", 130)
    assert f"the job {answer['job']} continues" in errors

    code, status, _ = type_in(cluster, "status", answer["job"], "--on", on)
    assert (code, status["status"]) == (0, "running")
    code, stopped, _ = type_in(cluster, "stop", answer["job"], "--on", on)
    assert (code, stopped["status"]) == (0, "stopped")
    code, log, errors = type_in(cluster, "logs", answer["job"], "--on", on, "--follow")
    assert (code, log["status"]) == (0, "stopped")
    assert "Running entrypoint" in errors


@pytest.mark.ray
@pytest.mark.long
def test_a_job_that_was_stopped_is_resumed_with_the_file_that_it_was_submitted_with(
    spec: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    on, trials = spec.parent / "there.yaml", 60
    on.write_text(f"address: {cluster.address}\njobs: {cluster.url}\nstorage: {spec.parent}/runs\n")
    asked = ("submit", str(spec), "--on", str(on), "--set", f"search.trials={trials}", "--detach")
    code, answer, errors = type_in(cluster, *asked)
    assert code == 0, errors
    journal = spec.parent / "runs" / answer["job"] / "journal"
    wait_until(lambda: len(list(journal.glob("trial-*.json"))) > 1, 90)
    code, stopped, _ = type_in(cluster, "stop", answer["job"], "--on", str(on))
    assert (code, stopped["status"]) == (0, "stopped")
    before = len(list(journal.glob("trial-*.json")))
    assert before < trials
    monkeypatch.chdir(spec.parent.parent)
    code, resumed, errors = type_in(cluster, "resume", answer["job"], "--on", str(on))
    assert (code, resumed["status"], resumed["trials"]) == (0, "registered", trials), errors
