"""The hooks of a cluster file: what they are told, how a POST is signed, and that a failure is one warning."""

import hashlib
import hmac
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from receiver_fixture import receiver
from run_fixture import Told

from ray_pipeline.cli import models
from ray_pipeline.events import delivery, hooks
from ray_pipeline.events.hooks import SIGNATURE, signature, tell, tell_move, tell_release
from ray_pipeline.registry.registry import Registry
from ray_pipeline.runs.context import Run
from ray_pipeline.runs.release import Release
from ray_pipeline.spec.hooks import EVENTS
from ray_pipeline.spec.where import Where

MOVE = {"action": "promote", "from": 2, "to": 3, "who": "ann@host", "when": "2026-11-26T10:00:00+00:00", "why": None}
SECRET = "whsec-0123456789"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setenv("HOOK_SECRET", SECRET)


def cluster_file(folder: Path, **written: Any) -> Where:
    (folder / "cluster.yaml").write_text(json.dumps(written))
    return Where.from_file(folder / "cluster.yaml")


def told_by(where: Where) -> list[str]:
    """The warnings of one event."""
    progress = Told()
    with progress.current():
        tell(where, "registered", {"name": "loans"})
    return progress.notes


def test_a_post_is_signed_with_the_secret_of_the_environment(tmp_path: Path) -> None:
    with receiver() as server:
        where = cluster_file(
            tmp_path, hooks={"registered": {"url": server.url, "secret": "${env:HOOK_SECRET}"}, "refused": None}
        )
        assert told_by(where) == []
        tell(where, "refused", {})
    (body,), (headers,) = server.bodies, server.headers
    expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == expected == signature(SECRET, body)
    assert not hmac.compare_digest(headers[SIGNATURE], signature("another", body)), "a wrong secret is found"
    assert not hmac.compare_digest(headers[SIGNATURE], signature(SECRET, body + b" ")), "a changed body is found"
    event = json.loads(body)
    assert (event["event"], event["name"], len(event["id"])) == ("registered", "loans", 32)


def test_each_repetition_has_the_same_id(tmp_path: Path) -> None:
    with receiver([500, 500]) as server:
        assert told_by(cluster_file(tmp_path, hooks={"registered": {"url": server.url}})) == []
    assert len(server.events) == 3 and len({event["id"] for event in server.events}) == 1
    assert SIGNATURE not in server.headers[0]


def test_a_failure_is_one_warning_without_secret_or_path(tmp_path: Path) -> None:
    with receiver([403]) as server:
        url = f"{server.url}/T0/path-of-the-team"
        where = cluster_file(tmp_path, hooks={"registered": {"url": url, "secret": "${env:HOOK_SECRET}"}})
        assert told_by(where) == ["the hook of `registered` failed: 127.0.0.1 answered 403"]


def test_a_command_that_hangs_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "DEADLINE_S", 0.2)
    where = cluster_file(tmp_path, hooks={"registered": {"command": "sleep 600"}})
    assert told_by(where) == ["the hook of `registered` failed: 'sleep' was killed after 0.2 s"]


def test_a_secret_that_is_gone_is_one_warning_and_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as server:
        where = cluster_file(tmp_path, hooks={"registered": {"url": server.url, "secret": "${env:HOOK_SECRET}"}})
        monkeypatch.delenv("HOOK_SECRET")
        assert told_by(where) == ["the hook of `registered` failed: the environment variable HOOK_SECRET is not set"]
    assert server.bodies == []


def test_where_no_run_goes_on_the_warning_goes_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = cluster_file(tmp_path, hooks={"promoted": {"command": ["false"]}})
    tell_move(where, "promoted", "loans", 3, MOVE)
    assert capsys.readouterr().err == "the hook of `promoted` failed: 'false' ended with exit code 1\n"


def release(status: str, version: int | None) -> Release:
    return Release(
        run="loans-0-1",
        status=status,  # type: ignore[arg-type]
        exit=7 if status == "refused" else 0,
        model=f"models:/loans/{version}" if version else None,
        version=version,
        family="xgboost",
        fit={},
        metrics={"auc": {"value": 0.7, "low": float("nan"), "high": 0.8}},
        gates=({"gate": "auc >= 0.6", "passed": status != "refused"},),
        num_trials=1,
        rows={},
        seconds={},
        report="runs/loans-0-1/report.html",
    )


ALIAS, OTHER, NONE = (SimpleNamespace(alias=alias) for alias in ("champion", "challenger", None))


@pytest.mark.parametrize(
    ("status", "version", "registration", "promotion", "events"),
    [
        ("registered", 3, OTHER, None, ["registered"]),
        ("registered", 3, NONE, None, ["registered"]),
        ("registered", 3, OTHER, MOVE, ["registered", "promoted"]),
        ("registered", 3, OTHER, {**MOVE, "action": "none"}, ["registered"]),
        ("registered", 3, ALIAS, None, ["registered", "promoted"]),
        ("refused", None, ALIAS, None, ["refused"]),
        ("refused", 3, ALIAS, None, ["refused"]),
        ("refused", None, None, None, []),
        ("unregistered", None, None, None, []),
    ],
)
def test_the_end_of_a_run_tells_its_events_in_their_order(
    status: str,
    version: int | None,
    registration: object,
    promotion: dict[str, Any] | None,
    events: list[str],
    tmp_path: Path,
) -> None:
    with receiver() as server:
        where = cluster_file(tmp_path, hooks={event: {"url": server.url} for event in EVENTS})
        spec = SimpleNamespace(name="loans", registration=registration)
        run = cast(Run, SimpleNamespace(where=where, spec=spec, promotion=promotion))
        tell_release(run, release(status, version))
    assert [event["event"] for event in server.events] == events
    texts = {
        "registered": "loans: version 3 is registered",
        "promoted": "loans: version 3 is champion now",
        "refused": "loans: refused because of auc >= 0.6",
    }
    for event in server.events:
        assert event["text"] == texts[event["event"]]
        assert (event["name"], event["version"]) == ("loans", version)
        assert event.get("gates", [{}])[0].get("passed") in (None, status != "refused")


def test_promote_and_rollback_tell_the_hook_and_a_move_that_is_none_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = {"promote": MOVE, "rollback": {**MOVE, "action": "rollback", "from": 3, "to": 2}}
    for verb, move in moves.items():
        monkeypatch.setattr(Registry, verb, lambda *_, move=move, **__: move)
    with receiver() as server:
        cluster_file(tmp_path, hooks={"promoted": {"url": server.url}})
        on = str(tmp_path / "cluster.yaml")
        models.promote("models:/loans@challenger", on=on)
        models.rollback("loans", on=on)
        models.promote("loans/3")
        monkeypatch.setattr(Registry, "promote", lambda *_, **__: {**MOVE, "action": "none"})
        models.promote("loans/3", on=on)
    assert [(event["event"], event["model"], event["alias"], event["from"]) for event in server.events] == [
        ("promoted", "models:/loans/3", "champion", 2),
        ("promoted", "models:/loans/2", "champion", 3),
    ]


def test_a_run_folder_keeps_no_hook(tmp_path: Path) -> None:
    where = cluster_file(
        tmp_path,
        hooks={"registered": {"command": [sys.executable, "x.py"]}},
        lineage="http://127.0.0.1:5000/api/v1/lineage",
    )
    stored = where.as_stored(tmp_path, tmp_path)
    assert "hooks" not in stored and "lineage" not in stored and stored["storage"] == f"{tmp_path}/runs"
    assert where.with_absolute_paths(tmp_path, tmp_path).hooks == where.hooks, "a job takes them along"
