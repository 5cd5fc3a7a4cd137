"""Secrets in every place where a user may have them: none reaches a file, a log, a database, a title or an answer."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from job_fixture import free_port, head
from tables import write_spec

from ray_pipeline.runtime import jobs
from ray_pipeline.spec.where import Where

CANARY = "canary7e0c"
ENVIRONMENT = {
    name: f"{CANARY}-{name.lower().replace('_', '-')}"
    for name in (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_CLIENT_SECRET"),
        *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD", "RAY_AUTH_TOKEN", "HF_TOKEN"),
        *("HOOK_SECRET", "OPENLINEAGE_API_KEY"),
    )
} | {"DATABASE_URL": f"postgresql://me:{CANARY}-login@db/x", "SIGNED_URL": f"https://b/k?sig={CANARY}-signature"}
LOGIN = f"me:{CANARY}-password"


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for Ray with a short path, because a socket's path holds 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="rp", dir="/tmp") as folder:
        yield Path(folder)


@contextmanager
def watched_titles() -> Iterator[list[str]]:
    """Fills a list with each command line of the machine that holds the canary while the block runs."""
    found, ended = list[str](), threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    title = path.read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if CANARY in title:
                    found.append(title)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def holders(folder: Path) -> list[str]:
    """The files below the folder whose name or content holds the canary."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if CANARY in str(path) or CANARY.encode() in path.read_bytes()]


def command(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One `ray-pipeline` command with all that it can say."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-m", "ray_pipeline", *words, "--json", "--debug"],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        umask=0o022,
        check=False,
    )


@pytest.mark.ray
@pytest.mark.long
def test_a_run_leaves_no_secret_anywhere_and_its_files_to_its_user_alone(
    loans: Path, tmp_path: Path, short: Path
) -> None:
    (tmp_path / "data").symlink_to(loans / "data")
    write_spec(tmp_path, trials="trials: 6 => trials: 2")
    chat = {"CHAT_URL": f"http://127.0.0.1:{free_port()}/{CANARY}-path"}
    hook, lineage = "{url: '${env:CHAT_URL}', secret: '${env:HOOK_SECRET}'}", "lineage: ${env:CHAT_URL}"
    (tmp_path / "on.yaml").write_text(f"hooks: {{registered: {hook}}}\n{lineage}\n")
    with watched_titles() as titles:
        done = command(tmp_path, "run", "loans.yaml", "--on", "on.yaml", **ENVIRONMENT, **chat, RAY_TMPDIR=str(short))
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, answer["status"]) == (0, "registered"), done.stderr[-3000:]
    assert titles == []
    assert CANARY not in done.stdout + done.stderr
    assert done.stderr.count("127.0.0.1 did not answer (Connection refused) 4 times") == 2
    assert any(short.rglob("runtime_env_agent.log")), "with --debug the folder stays"
    assert holders(short) == []
    assert holders(tmp_path / "runs") == []
    private = [tmp_path / "runs", *(tmp_path / "runs").iterdir(), *(tmp_path / "runs" / answer["run"]).rglob("*")]
    assert tmp_path / "runs" / "mlflow.db" in private
    assert [str(path) for path in private if path.stat().st_mode & 0o077] == []


@pytest.mark.ray
@pytest.mark.long
def test_a_submitted_job_takes_no_secret_with_it(loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").symlink_to(loans / "data")
    spec = write_spec(tmp_path)
    with head(RAY_AUTH_MODE="disabled") as cluster, watched_titles() as titles:
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        where = Where(address="auto", jobs=cluster.url, storage=str(tmp_path / "runs"))
        server, lines = jobs.job_server(where), list[str]()
        job = jobs.submit(spec, where, server=server, entrypoint="env; cat cluster.yaml spec/loans.yaml")
        assert jobs.follow(server, job.id, lines.append)["exit"] == 0
        assert any("RAY_PIPELINE_RUN_ID=" in line for line in lines)
        assert CANARY not in "".join(lines) + str(server.jobs())
        assert titles == []
        assert holders(cluster.folder) == []


@pytest.fixture(scope="module")
def refusing() -> str:
    """An address at which nothing listens."""
    return f"127.0.0.1:{free_port()}"


CLUSTER_FILES = {
    "registry with a login": "registry: http://LOGIN@ADDRESS",
    "registry with a token": "registry: http://ADDRESS/?token=CANARY-x",
    "storage with a login": "{storage: 's3://LOGIN@bucket/runs', registry: 'http://ADDRESS'}",
    "signed storage": "{storage: 's3://bucket/runs?X-Amz-Signature=CANARY-x', registry: 'http://ADDRESS'}",
    "Azure's signature": "{storage: 'abfs://c@a.dfs.core.windows.net/runs?sig=CANARY-x', registry: 'http://ADDRESS'}",
    "jobs with a login": "jobs: http://LOGIN@ADDRESS",
    "data with a login": "data: s3://LOGIN@bucket/data",
    "address with a login": "address: LOGIN@ADDRESS",
    "login from the environment": "registry: ${env:DATABASE_URL}",
    "hook with a login": "hooks: {refused: {url: 'http://LOGIN@ADDRESS'}}",
    "hook with a token": "hooks: {refused: {url: 'http://ADDRESS/?token=CANARY-x'}}",
    "hook of another scheme": "hooks: {refused: {url: 'ftp://ADDRESS/CANARY-x'}}",
    "hook from the environment": "hooks: {refused: {url: '${env:DATABASE_URL}'}}",
    "secret of a hook": "hooks: {refused: {url: 'http://ADDRESS', secret: CANARY-x}}",
    "secret that is a list": "hooks: {refused: {url: 'http://ADDRESS', secret: [CANARY-x]}}",
    "lineage with a login": "lineage: http://LOGIN@ADDRESS",
    "unknown key": "password: CANARY-x",
    "mapping": "registry: {password: CANARY-x}",
    "not YAML": "password: [CANARY-x",
    "not YAML either": "registry: 'http://LOGIN@ADDRESS",
}


@pytest.mark.parametrize("text", CLUSTER_FILES.values(), ids=CLUSTER_FILES.keys())
def test_a_cluster_file_with_a_secret_is_refused_without_showing_it(
    text: str, loans: Path, tmp_path: Path, refusing: str
) -> None:
    text = text.replace("LOGIN", LOGIN).replace("ADDRESS", refusing).replace("CANARY", CANARY)
    (tmp_path / "there.yaml").write_text(text)
    (tmp_path / "data").symlink_to(loans / "data")
    write_spec(tmp_path)
    done = command(tmp_path, "run", "loans.yaml", "--on", "there.yaml", **ENVIRONMENT)
    assert (done.returncode, json.loads(done.stdout)["exit"]) == (2, 2), done.stdout
    assert CANARY not in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists()


COMMANDS = {
    "database": ("models", "list", "--registry", "postgresql://LOGIN@ADDRESS/mlflow"),
    "server": ("models", "show", "loans@champion", "--registry", "http://LOGIN@ADDRESS"),
    "no registry": ("models", "list", "--registry", "redis://LOGIN@ADDRESS"),
    "folder as registry": ("models", "list", "--registry", "file://LOGIN@ADDRESS/x"),
    "pages of a database": ("ui", "--registry", "postgresql://LOGIN@ADDRESS/mlflow", "--port", "1"),
    "pages of a server": ("ui", "--registry", "http://LOGIN@ADDRESS"),
    "bucket": ("report", "loans-01234567-1", "--storage", "s3://LOGIN@bucket/runs?endpoint_override=ADDRESS"),
    "signed bucket": ("report", "loans-01234567-1", "--storage", "s3://bucket/runs?X-Amz-Signature=CANARY-x"),
    "run in a bucket": ("report", "s3://LOGIN@bucket/runs/loans-01234567-1"),
    "rows": ("predict", "loans@champion", "--rows", "s3://LOGIN@bucket/rows", "--out", "out.parquet"),
    "path in the spec": ("check", "loans.yaml", "--set", "features.rates.path=s3://LOGIN@bucket/rates"),
    "signed path": ("check", "loans.yaml", "--set", "features.rates.path=s3://bucket/rates?sig=CANARY-x"),
    "job server": ("status", "loans-01234567-1", "--on", "http://LOGIN@ADDRESS"),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.slow
def test_a_command_that_fails_does_not_show_the_secret_in_its_address(
    words: tuple[str, ...], loans: Path, tmp_path: Path, refusing: str
) -> None:
    (tmp_path / "data").symlink_to(loans / "data")
    write_spec(tmp_path)
    typed = [word.replace("LOGIN", LOGIN).replace("ADDRESS", refusing).replace("CANARY", CANARY) for word in words]
    environment = {"AWS_ENDPOINT_URL": f"http://{refusing}", "AWS_EC2_METADATA_DISABLED": "true"}
    done = command(tmp_path, *typed, **ENVIRONMENT, **environment)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["exit"] == done.returncode
    assert done.returncode in (2, 3, 5, 6) or words[0] == "ui", done.stdout + done.stderr
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.slow
def test_the_default_registry_may_have_a_login_that_no_message_shows(tmp_path: Path, refusing: str) -> None:
    address = {"MLFLOW_TRACKING_URI": f"http://{LOGIN}@{refusing}"}
    done = command(tmp_path, "models", "verify", "loans@champion", **ENVIRONMENT, **address)
    assert done.returncode == 5, done.stdout
    assert refusing in done.stdout
    assert CANARY not in done.stdout + done.stderr
