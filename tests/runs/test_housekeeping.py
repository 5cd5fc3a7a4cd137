"""`runs list | show | clean`: what the journals say, and that a run under way and what later runs need stay."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.cli import runs as verbs
from ray_pipeline.cli.output import finish
from ray_pipeline.errors import ResourceError, SpecError, StorageError
from ray_pipeline.runs.housekeeping import runs_in
from ray_pipeline.runs.journal import JOURNAL
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.storage.blob_store import BlobStore

INTERRUPTED = {"exit": 130, "problems": [{"found": "interrupted; nothing is half-written", "stage": "search"}]}
FAILED = {"exit": 4, "problems": [{"found": "the raylet has gone", "stage": "fit"}]}


def release(status: str, model: str | None) -> dict[str, Any]:
    return {"status": status, "model": model, "exit": 7 if status == "refused" else 0}


def made(storage: Path, name: str, days: float, **steps: Any) -> RunFolder:
    """A run that began so many days ago, with these steps in its journal."""
    folder = RunFolder.create(storage, name, "0123456789")
    folder.write("spec.yaml", "name: loans\n" * 100)
    for step, content in {"begin": {"fingerprint": "0123456789"}, **steps}.items():
        folder.journal.record(step, content)
    begin = folder.path / JOURNAL / "begin.json"
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
    begin.write_text(json.dumps({**json.loads(begin.read_text()), "at": at}))
    return folder


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of every state, with what stands beside them."""
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    made(runs, "good", 30, release=release("registered", "models:/good/1"), test_part={"test_part": "a"})
    made(runs, "bad", 20, release=release("refused", None), test_part={"test_part": "a"})
    made(runs, "stopped", 10, problem=INTERRUPTED)
    made(runs, "lost", 9, problem=FAILED, test_part={"test_part": "a"})
    made(runs, "killed", 2)
    for beside in (".tables/0123/table.parquet", ".encoded/set/00000.arrow", "mlartifacts/good/1/model.ubj"):
        path = runs / beside
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1" * 1000)
    return runs


def states(storage: Path) -> dict[str, str]:
    return {one.run.partition("-")[0]: one.state for one in runs_in(BlobStore(str(storage)))}


def test_list_shows_state_age_size_and_model_the_oldest_first(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = verbs.list_runs()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["RUN", "STATE", "AGE", "SIZE", "MODEL"]
    assert [(line[0].partition("-")[0], line[1], line[2], line[3], line[-1]) for line in lines[1:]] == [
        ("good", "registered", "30", "d", "models:/good/1"),
        ("bad", "refused", "20", "d", "-"),
        ("stopped", "interrupted", "10", "d", "-"),
        ("lost", "failed", "9", "d", "-"),
        ("killed", "interrupted", "2", "d", "-"),
    ]
    first = answer["runs"][0]
    assert first["bytes"] == sum(path.stat().st_size for path in (storage / first["run"]).rglob("*") if path.is_file())
    assert (first["exit"], answer["runs"][3]["exit"], answer["runs"][4]["exit"]) == (0, 4, None)


def test_a_run_that_a_process_holds_is_running_and_is_never_removed(storage: Path) -> None:
    code = (
        "import sys; from ray_pipeline.storage.blob_store import BlobStore\n"
        "with BlobStore(sys.argv[1]).lease(sys.argv[2]): print('held', flush=True); input()"
    )
    run = next(path.name for path in storage.glob("stopped-*"))
    words = [sys.executable, "-c", code, str(storage), f"{run}/{JOURNAL}/lease"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        assert states(storage)["stopped"] == "running"
        assert (shown := verbs.show(run))["state"] == "running" and shown["exit"] == 0
        assert not any(name.startswith("stopped") for name in verbs.clean(older_than="0", all=True)["removed"])
        with pytest.raises(ResourceError, match=f"is held by process {holder.pid} "):
            verbs.clean([run])
        assert (storage / run / "spec.yaml").is_file()
        holder.communicate("\n")
    assert states(storage) == {"stopped": "interrupted"}


def test_clean_removes_old_runs_that_did_not_complete_and_what_is_named(storage: Path) -> None:
    answer = verbs.clean()
    assert [name.partition("-")[0] for name in answer["removed"]] == ["stopped", "lost"]
    assert states(storage) == {"good": "registered", "bad": "refused", "killed": "interrupted"}
    bad = next(path.name for path in storage.glob("bad-*"))
    assert verbs.clean([bad])["removed"] == [bad]
    assert verbs.clean(older_than="25d", all=True)["kept"] == 1
    assert states(storage) == {"killed": "interrupted"}


def test_a_dry_run_removes_nothing_and_counts_the_same(storage: Path) -> None:
    before = sorted(storage.rglob("*"))
    told = verbs.clean(all=True, older_than="0", cache=True, dry_run=True)
    assert [path for path in sorted(storage.rglob("*")) if ".use" not in path.parts] == before
    done = verbs.clean(all=True, older_than="0", cache=True)
    assert {**told, "dry_run": False} == done and len(done["removed"]) == 5 and states(storage) == {}


def test_given_tables_models_and_the_count_of_judgements_stay(storage: Path) -> None:
    verbs.clean(all=True, older_than="0", cache=True)
    assert (storage / ".tables/0123/table.parquet").is_file() and (storage / "mlartifacts/good/1/model.ubj").is_file()
    assert not (storage / ".encoded/set").exists()
    later = made(storage, "later", 0, test_part={"test_part": "a"})
    assert later.siblings("test_part") == [{"test_part": "a"}] * 4


def test_show_says_how_far_a_run_came_and_how_to_go_on(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = next(path.name for path in storage.glob("lost-*"))
    answer = verbs.show(run)
    out = capsys.readouterr().out
    assert "state    failed" in out and "problem  fit: the raylet has gone" in out
    assert out.endswith(f"go on    ray-pipeline resume {run}\n")
    assert (answer["state"], answer["exit"], answer["problems_found"]) == ("failed", 4, FAILED["problems"])


@pytest.mark.parametrize(("name", "code"), [("good", 0), ("bad", 7), ("stopped", 130), ("lost", 4), ("killed", 0)])
def test_show_ends_with_the_exit_code_of_the_run_and_with_0_where_it_has_none(
    storage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    monkeypatch.setattr(verbs, "print_run", lambda answer: None)
    run = next(path.name for path in storage.glob(f"{name}-*"))
    assert finish(lambda: verbs.show(run), json=True) == code
    out = capsys.readouterr()
    assert json.loads(out.out)["exit"] == code
    assert (f"go on    ray-pipeline resume {run}\n" in out.err) == (name in ("stopped", "lost", "killed"))


def test_an_unknown_run_and_an_odd_age_are_refused(storage: Path) -> None:
    with pytest.raises(StorageError, match="there is no run 'loans-1'"):
        verbs.clean(["loans-1"])
    with pytest.raises(SpecError, match="--older-than"):
        verbs.clean(older_than="yesterday")
    assert len(states(storage)) == 5


def test_an_entry_that_is_nested_without_end_is_a_damaged_one(tmp_path: Path) -> None:
    folder = made(tmp_path, "loans", 1.0)
    for depth in (600, 100_000):
        nested = b'{"found": {"a":' + b"[" * depth + b"]" * depth + b'}, "sha256": "x"}'
        (folder.path / JOURNAL / "release.json").write_bytes(nested)
        (folder.path / JOURNAL / "lease").write_bytes(nested)
        assert len(runs_in(BlobStore(str(tmp_path)))) == 1
        assert folder.journal.recorded("release") is None
