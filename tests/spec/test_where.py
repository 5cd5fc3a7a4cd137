"""The cluster file: how it is found, what it takes, and where its relative paths start."""

from pathlib import Path

import pytest

from ray_pipeline.errors import SpecError
from ray_pipeline.spec.where import Where


def written(folder: Path, text: str, name: str = "cluster.yaml") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_without_a_file_everything_is_here(tmp_path: Path) -> None:
    for where in (Where.find(None, tmp_path), Where.find("local", tmp_path)):
        assert where.address == "local"
        assert where.storage_folder(tmp_path) == f"{tmp_path}/runs"
        assert where.registry_uri(tmp_path) == f"sqlite:///{tmp_path}/runs/mlflow.db"
        assert where.resolve("data/x.parquet", tmp_path) == f"{tmp_path}/data/x.parquet"
        assert where.resolve("/data/x.parquet", tmp_path) == "/data/x.parquet"
        assert where.resolve("s3://b/x", tmp_path) == "s3://b/x"
        assert (
            where.cpus_per_worker,
            where.workers_per_trial,
            where.gpus_per_worker,
            where.concurrent_trials,
            where.memory,
        ) == ("auto",) * 5


def test_a_file_is_found_by_path_or_by_name_beside_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "address: big:6379\n", "cluster/big.yaml")
    written(tmp_path, "address: auto\n", "cluster/local.yaml")
    other = written(tmp_path, "address: other:6379\n", "other.yaml")
    assert Where.find("big", tmp_path).address == "big:6379"
    assert Where.find("local", tmp_path).address == "auto"
    assert Where.find(str(other), tmp_path / "elsewhere").address == "other:6379"
    monkeypatch.chdir(tmp_path)
    assert Where.find("other.yaml", tmp_path / "elsewhere").address == "other:6379"
    with pytest.raises(SpecError, match=r"there is no cluster file 'bgi'; did you mean 'big'\? Known: local, big"):
        Where.find("bgi", tmp_path)
    with pytest.raises(SpecError, match="there is no such file"):
        Where.find("none.yaml", tmp_path)


def test_every_key_is_read(tmp_path: Path) -> None:
    where = Where.find(
        str(
            written(
                tmp_path,
                "address: 10.0.0.1:6379\njobs: http://10.0.0.1:8265/\ndata: s3://lake/tables/\nstorage:"
                " s3://lake/runs\nregistry: https://mlflow.example\ncpus_per_worker: 4\nworkers_per_trial:"
                " 2\ngpus_per_worker: 0.5\nconcurrent_trials: 3\nmemory: 8GiB\ntrust: [my_package, other.models]\n",
            )
        ),
        tmp_path,
    )
    assert (where.jobs, where.cpus_per_worker, where.gpus_per_worker, where.memory) == (
        "http://10.0.0.1:8265",
        4,
        0.5,
        8 * 2**30,
    )
    assert where.trust == ("my_package", "other.models")
    assert where.storage_folder(tmp_path) == "s3://lake/runs"
    assert where.registry_uri(tmp_path) == "https://mlflow.example"
    assert where.resolve("flights/2013", tmp_path) == "s3://lake/tables/flights/2013"
    assert where.resolve("/local/x", tmp_path) == "/local/x"


def test_relative_paths_start_where_they_are_expected(tmp_path: Path) -> None:
    where = Where.find(
        str(written(tmp_path, "data: ../lake\nstorage: out\nregistry: sqlite:///reg/mlflow.db\n", "cluster/one.yaml")),
        tmp_path,
    )
    assert where.resolve("x.parquet", Path("/spec")) == f"{tmp_path}/lake/x.parquet"
    assert where.storage_folder(Path("/here")) == "/here/out"
    assert where.registry_uri(Path("/here")) == "sqlite:////here/reg/mlflow.db"


def test_variables_are_filled_in_where_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "data: ${env:LAKE}\nregistry: ${env:MLFLOW}\n")
    monkeypatch.setenv("LAKE", "s3://lake")
    monkeypatch.setenv("MLFLOW", "http://mlflow:5000")
    where = Where.find(str(file), tmp_path)
    assert where.resolve("x", tmp_path) == "s3://lake/x"
    assert where.registry_uri(tmp_path) == "http://mlflow:5000"
    monkeypatch.delenv("MLFLOW")
    with pytest.raises(SpecError, match="the environment variable MLFLOW is not set"):
        Where.find(str(file), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adress: auto", ":1: adress: unknown key 'adress'; did you mean 'address'?"),
        ("address: ray://head:10001", ":1: address: Ray Client (ray://) is not supported"),
        ("address: head", ":1: address: expected `local`, `auto` or host:6379, got 'head'"),
        ("jobs: head:8265", ":1: jobs: expected http://host:8265, got 'head:8265'"),
        ("jobs: http://me:pw@head:8265", ":1: jobs: the URI carries a user or password"),
        ("storage: ftp://host/runs", ":1: storage: there is no scheme 'ftp://' for data"),
        ("storage: s3://bucket/runs", ":1: registry: it is required where storage is a URI"),
        ("registry: ./mlruns", ":1: registry: './mlruns' is a folder"),
        ("registry: postgresql://me:pw@db/mlflow", ":1: registry: the URI carries a user or password"),
        ("registry: redis://db", ":1: registry: there is no scheme 'redis' for a registry"),
        ("cpus_per_worker: 0", ":1: cpus_per_worker: expected a whole number from 1 to 100000, got 0"),
        ("cpus_per_worker: many", ":1: cpus_per_worker: expected a whole number from 1 to 100000, got 'many'"),
        ("gpus_per_worker: -1", ":1: gpus_per_worker: expected a number from 0 to 1000, got -1"),
        ("memory: lots", ":1: memory: expected `auto` or a size like 8GiB, got 'lots'"),
        (
            "hooks: {registred: {command: a}}",
            ":1: hooks.registred: unknown key 'registred'; did you mean 'registered'? Known: registered, refused,"
            " revoked, promoted",
        ),
        ("registered: {command: a}", ":1: registered: unknown key 'registered'; did you mean 'hooks.registered'?"),
        (
            "hooks: {refused: {command: a, url: 'http://a'}}",
            ":1: hooks.refused: a hook takes either `command` or `url`, got both · Fix: write one of them",
        ),
        ("hooks: {refused: {}}", ":1: hooks.refused: a hook takes either `command` or `url`, got neither"),
        (
            "hooks: {refused: {url: 'ftp://host/pw'}}",
            ":1: hooks.refused.url: expected a URL that starts with http:// or https:// and a host, got the scheme"
            " 'ftp://'",
        ),
        ("hooks: {refused: {url: 'http:///pw'}}", ":1: hooks.refused.url: expected a URL that starts with http://"),
        ("hooks: {refused: {url: 'http://host:x/pw'}}", ":1: hooks.refused.url: the URL has a wrong host or port"),
        ("hooks: {refused: {url: 'http://h/pw x'}}", ":1: hooks.refused.url: a URL has no spaces"),
        ("hooks: {refused: {url: 'http://me:pw@h'}}", ":1: hooks.refused.url: the URI carries a user or password"),
        (
            "hooks: {refused: {url: 'http://h', secret: pw}}",
            ":1: hooks.refused.secret: expected the environment variable that holds the secret · Fix: write"
            " ${env:NAME}",
        ),
        ("hooks: {refused: {url: 'http://h', secret: {a: pw}}}", ":1: hooks.refused.secret: expected the environment"),
        (
            "hooks: {refused: {url: 'http://h', secret: '${env:NOT_SET_AT_ALL}'}}",
            ":1: hooks.refused.secret: the environment variable NOT_SET_AT_ALL is not set",
        ),
        (
            "hooks: {refused: {command: a, secret: '${env:HOME}'}}",
            ":1: hooks.refused: only a POST to a `url` is signed with `secret` · Fix: remove `secret`",
        ),
        (
            "hooks: {refused: {command: notify | tee x}}",
            ":1: hooks.refused.command: no shell reads the command, so '|' has no meaning in it · Fix: write a list, as"
            " in [sh, -c, ...]",
        ),
        ("hooks: {refused: {command: echo $HOME}}", ":1: hooks.refused.command: no shell reads the command, so '$'"),
        ("hooks: {refused: {command: don't}}", ":1: hooks.refused.command: a quote is not closed"),
        ("hooks: {refused: {command: []}}", ":1: hooks.refused.command: expected a program and its arguments"),
        ("lineage: s3://bucket/events", ":1: lineage: expected a URL that starts with http:// or https:// and a host"),
        ("trust: [os; rm]", ":1: trust: expected the dotted name of a package, got 'os; rm'"),
        ("address: auto\naddress: local", ":2: address: the key is given twice, at lines 1 and 2"),
        ("password: x", ":1: password: unknown key 'password', which looks like a secret"),
        ("- local", ":1: it is a list at the top level"),
    ],
)
def test_a_bad_cluster_file_is_told_exactly(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, text + "\n")
    with pytest.raises(SpecError) as refused:
        Where.find(str(file), tmp_path)
    assert str(refused.value.problems[0]).startswith(f"{file}{message}")
    assert refused.value.exit_code == 2
    assert "pw" not in str(refused.value)


def test_the_words_of_a_command_are_those_of_a_shell_or_of_a_list(tmp_path: Path) -> None:
    text = "hooks: {registered: {command: notify 'a b' --to=team}, refused: {command: [sh, -c, 'a | b $C']}}\n"
    where = Where.from_file(written(tmp_path, f"{text}lineage: out/events.jsonl\n", "there/cluster.yaml"))
    assert where.hooks.registered and where.hooks.registered.command == ("notify", "a b", "--to=team")
    assert where.hooks.refused and where.hooks.refused.command == ("sh", "-c", "a | b $C")
    assert where.lineage_sink() == f"{tmp_path}/there/out/events.jsonl"
    assert where.with_absolute_paths(tmp_path, tmp_path).lineage == where.lineage_sink()


def test_all_problems_of_a_cluster_file_are_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "address: head\nmemory: lots\ntrsut: [x]\n")
    with pytest.raises(SpecError) as refused:
        Where.find(str(file), tmp_path)
    assert [problem.line for problem in refused.value.problems] == [1, 2, 3]


def test_a_cluster_file_travels_without_relative_paths_and_with_its_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "s3://secret-bucket")
    (tmp_path / "there").mkdir()
    file = tmp_path / "there" / "cluster.yaml"
    file.write_text("data: tables\nstorage: ./runs\nregistry: sqlite:///reg/mlflow.db\n")
    with_absolute_paths = Where.from_file(file).with_absolute_paths(tmp_path / "spec", tmp_path / "here")
    assert (with_absolute_paths.data, with_absolute_paths.storage, with_absolute_paths.registry) == (
        f"{tmp_path}/there/tables",
        f"{tmp_path}/here/runs",
        f"sqlite:///{tmp_path}/here/reg/mlflow.db",
    )
    file.write_text("data: ${env:BUCKET}/tables\nstorage: ${env:BUCKET}/runs\nregistry: http://mlflow:5000\n")
    with_absolute_paths = Where.from_file(file).with_absolute_paths(tmp_path, tmp_path)
    assert (with_absolute_paths.data, with_absolute_paths.storage, with_absolute_paths.registry) == (
        "${env:BUCKET}/tables",
        "${env:BUCKET}/runs",
        "http://mlflow:5000",
    )
