"""`retrain`: the champion's spec with a new range; and three months in a row, whose history `models show` prints."""

import itertools
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from own_choices import DOTTED, write_package

from ray_pipeline import pipeline, retraining
from ray_pipeline.cli import models
from ray_pipeline.components.choice import Untrusted, find
from ray_pipeline.errors import DataError, Problem, RegistryError, SpecError
from ray_pipeline.profiling.requirements import EmptyPart
from ray_pipeline.registry.registry import Registry
from ray_pipeline.retraining import naming_the_date, retrained
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

FLIGHTS = Path(__file__).parents[1] / "ray_pipeline" / "examples" / "flights"
NO_RANGE = ["select={}"]
STEPS = [
    "features={labels: {path: a.parquet, label: y, key: id, time: t, time_unit: step}}",
    "select={to: 1000}",
    "split={by: time, validation: 600, test: 800}",
    "evaluate.slices=[]",
    "bias.groups=[]",
    "gates=[auc >= 0.5]",
]
NO_TIME = [*STEPS[3:], "features={labels: {path: a.parquet, label: y, key: id}}", "select={}", "split={by: random}"]

Champion = Callable[..., None]


@pytest.fixture
def champion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Champion:
    """Makes a champion of the flights example with some keys changed."""

    def make(*sets: str, times: dict[str, Any] | None = None) -> None:
        spec = Spec.from_text((FLIGHTS / "flights.yaml").read_text(), sets, folder=FLIGHTS)
        schema = {"spec": spec.render(), "base": str(FLIGHTS)}
        monkeypatch.setattr(Registry, "champion", lambda *_: (3, tmp_path))
        monkeypatch.setattr(Registry, "file", lambda *_: {"columns": {}, "times": times or {}})
        monkeypatch.setattr(retraining.Bundle, "load", lambda _: SimpleNamespace(schema=schema))

    return make


def asked(**options: str) -> dict[str, Any]:
    data = retrained("flight_delay", Where(), **options).as_data()
    return {"select": data["select"], "split": data["split"], "gates": data["gates"], "search": data["search"]}


def test_a_growing_range_moves_its_end_and_its_cuts_by_whole_months(champion: Champion) -> None:
    champion()
    new = asked(to="2014-02-01")
    assert (new["select"]["from"], new["select"]["to"]) == ("2013-01-01", "2014-02-01")
    assert (new["split"]["validation"], new["split"]["test"], new["split"]["gap"]) == ("2013-10-01", "2013-12-01", "1d")
    assert new["search"]["warm_start"] == "champion"
    assert new["gates"] == ["auc >= 0.65", "auc >= champion - 0.005", *new["gates"][2:]], "its own gate stays"


def test_a_rolling_range_has_its_length_and_other_days_move_the_cuts_by_days(champion: Champion) -> None:
    champion()
    new = asked(to="2014-01-15", window="180d")
    assert (new["select"]["from"], new["select"]["to"]) == ("2013-07-19", "2014-01-15")
    assert (new["split"]["validation"], new["split"]["test"]) == ("2013-09-15", "2013-11-15")


def test_the_range_ends_today_where_nothing_else_is_said(champion: Champion) -> None:
    champion()
    assert asked()["select"]["to"] == datetime.now(UTC).date().isoformat()


def test_without_select_to_the_last_test_row_of_the_champion_is_its_end(champion: Champion) -> None:
    champion(*NO_RANGE, times={"test": ["2013-11-01T00:05:00", "2013-12-31T23:59:00"]})
    new = asked(to="2014-02-01")
    assert (new["split"]["validation"], new["split"]["test"]) == ("2013-10-01", "2013-12-01")
    champion(*NO_RANGE)
    with pytest.raises(SpecError, match="does not say when its test rows end"):
        asked(to="2014-02-01")


def test_steps_stay_steps(champion: Champion) -> None:
    champion(*STEPS)
    new = asked(to="1200", window="500")
    assert (new["select"]["from"], new["select"]["to"]) == (700, 1200)
    assert (new["split"]["validation"], new["split"]["test"]) == (800, 1000)
    assert new["gates"] == ["auc >= 0.5", "point auc >= champion"], "a gate with the champion is added"


@pytest.mark.parametrize(
    ("sets", "options", "found"),
    [
        ([], {"to": "soon"}, "--to: expected a date|--to: .*'soon'"),
        ([], {"to": "2014-13-01"}, "--to: expected a date or a time, got '2014-13-01' · Fix: write a date"),
        ([], {"to": "12"}, "--to: 12 is a number of steps"),
        ([], {"to": "2014-02-01", "window": "long"}, "--window: expected a length of time"),
        ([], {"to": "2014-02-01", "window": "12"}, "--window: 12 is not as long as"),
        ([], {"to": "2014-02-01", "window": "10d"}, "select.from|split.validation"),
        (STEPS, {}, "--to: the times are steps"),
        (NO_TIME, {"to": "2014-02-01"}, "--to: the champion's spec has no features.labels.time"),
    ],
)
def test_what_does_not_fit_is_exit_2(sets: list[str], options: dict[str, str], found: str, champion: Champion) -> None:
    champion(*sets)
    with pytest.raises(SpecError, match=found):
        asked(**options)


def test_rows_without_time_are_all_read_again(champion: Champion) -> None:
    champion(*NO_TIME)
    new = asked()
    assert new["select"] == {"from": None, "to": None, "where": None} and new["split"]["by"] == "random"


def test_queries_are_asked_again(champion: Champion) -> None:
    table = "{kind: sql, url: 'sqlite:///a.db', query: SELECT 1, label: y, key: id, path: runs/a-1/tables/labels}"
    champion(*NO_TIME[:-3], f"features={{labels: {table}}}", *NO_TIME[-2:])
    assert "path" not in retrained("flight_delay", Where()).as_data()["features"]["labels"]


def test_without_a_champion_there_is_nothing_to_retrain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "champion", lambda *_: None)
    with pytest.raises(RegistryError, match="model 'flight_delay' has no champion") as ended:
        asked(to="2014-02-01")
    assert "ray-pipeline models promote flight_delay/VERSION" in ended.value.problems[0].fix


@pytest.mark.parametrize("name", ["late@champion", "late/1", "models:/late/1"])
def test_one_version_is_no_name(name: str) -> None:
    with pytest.raises(SpecError, match=r"its champion is retrained · Fix: write late$"):
        retrained(name, Where())


def ended(error: DataError, to: str | None = None, **options: Any) -> str:
    """The fix of a run of `retrained` that has ended with an error."""
    spec = retrained("hr", Where(), to=to, **options)
    with pytest.raises(DataError) as raised, naming_the_date(spec, "hr", Where(), **options):
        raise error
    return raised.value.problems[0].fix


def empty_part(newest: str | None) -> EmptyPart:
    error = EmptyPart(Problem(stage="split", rows=0, found="test is empty", fix="move the cut dates"))
    error.newest = newest
    return error


@pytest.mark.parametrize("newest", ["2013-12-19 23:59:59.25", "2013-12-19", "2013-12-19 08:00:00+00:00"])
def test_where_the_labels_end_in_the_past_the_fix_is_the_command_with_the_date(champion: Champion, newest: str) -> None:
    champion()
    assert ended(empty_part(newest)) == (f"the newest label is of {newest}: `ray-pipeline retrain hr --to 2013-12-20`")
    assert asked(to="2013-12-20")["split"]["test"] == "2013-10-20", "which the newest label is after"


def test_the_command_keeps_window_and_registry(champion: Champion) -> None:
    champion()
    fix = ended(empty_part("2013-12-19"), window="365d", registry="sqlite:///a b.db")
    assert fix.endswith("`ray-pipeline retrain hr --to 2013-12-20 --window 365d --registry 'sqlite:///a b.db'`")


def test_where_the_new_range_has_no_row_the_end_of_the_champions_rows_is_named(champion: Champion) -> None:
    champion(*NO_RANGE, times={"test": ["2013-11-01T00:05:00", "2013-12-31T23:59:00"]})
    nothing = DataError(Problem(stage="read", rows=0, found="0 rows left of 9: 9 out of range", fix="widen `select`"))
    assert ended(nothing, window="365d") == (
        "the champion's rows end before 2014-01-01: `ray-pipeline retrain hr --to 2014-01-01 --window 365d`"
    )


def test_a_champion_with_a_class_of_a_trusted_package_is_trained_again(
    champion: Champion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_package(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    champion(*NO_RANGE, f"model={DOTTED['models']}", times={"test": ["2013-11-01T00:05:00", "2013-12-31T23:59:00"]})
    schema = retraining.Bundle.load(tmp_path).schema

    def load(_: Path) -> SimpleNamespace:
        find("models", DOTTED["models"])  # as a bundle does
        return SimpleNamespace(schema=schema)

    monkeypatch.setattr(retraining.Bundle, "load", load)
    with pytest.raises(Untrusted, match="own_package"):
        retrained("flight_delay", Where(), to="2014-02-01")
    where = Where(trust=("own_package",))
    spec = retrained("flight_delay", where, to="2014-02-01")
    assert [*spec.model] == [DOTTED["models"]]
    nothing = DataError(Problem(stage="read", rows=0, found="0 rows left", fix="widen `select`"))
    with pytest.raises(DataError) as raised, naming_the_date(spec, "flight_delay", where):
        raise nothing
    assert raised.value.problems[0].fix.startswith("the champion's rows end before 2014-01-01: ")


@pytest.mark.parametrize("sets", [[], NO_TIME])
def test_another_fix_stays_where_the_date_is_not_to_blame(champion: Champion, sets: list[str]) -> None:
    champion(*sets)
    assert ended(DataError(Problem(stage="read", found="no file", fix="name one"))) == "name one"
    assert ended(empty_part("2013-12-19"), to=None if sets else "2013-12-20") == "move the cut dates", (
        "the range ends there already, or has no end"
    )


def test_promotion_needs_a_gate_that_compares(tmp_path: Path) -> None:
    text = (FLIGHTS / "flights.yaml").read_text()
    better = "register={alias: challenger, promote: if_better}"
    assert Spec.from_text(text, [better]).fingerprint == Spec.from_text(text).fingerprint
    with pytest.raises(SpecError, match=r"register\.promote: if_better compares with the champion, and no gate does"):
        Spec.from_text(text, [better, "gates=[auc >= 0.6]"])


QUICK = [
    "search.trials=2",
    "model.xgboost.num_boost_round=20",
    "evaluate={metrics: [auc], slices: [], draws: 100}",
    "bias.groups=[]",
    "gates=[auc >= 0.55, point auc >= champion - 0.02]",
    "register={promote: if_better}",
]


@pytest.mark.ray
@pytest.mark.long
def test_three_months_in_a_row_leave_their_history(
    ray_local: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FLIGHTS, tmp_path / "flights")
    first = ["select.to=2013-10-01", "split.validation=2013-08-01", "split.test=2013-09-01"]
    where = Where()
    releases = [pipeline.run(Spec.from_file(tmp_path / "flights/flights.yaml", [*QUICK, *first]), where)]
    for to in ("2013-11-01", "2013-12-01", "2014-01-01"):
        spec = retrained("flight_delay", where, to=to, window="320d" if to.startswith("2014") else None)
        releases.append(pipeline.run(spec, where))
    assert [release.version for release in releases] == [1, 2, 3, 4]
    tests = [release.rows["test"] for release in releases]
    assert len(set(tests)) == 4 and min(tests) > 20_000, "each month is judged on its own rows"
    assert releases[3].rows["train"] < releases[2].rows["train"], "the last range is a rolling one"

    detail = models.show("flight_delay/4")
    printed = capsys.readouterr().out.partition("\nchampion\n")[2].splitlines()
    moves = detail["journal"]
    assert moves[0]["to"] == 1 and moves[0]["why"] == "there was no champion"
    assert len(printed) == 1 + len(moves) and "WHY" in printed[0]
    for move, line in zip(moves, printed[1:], strict=True):
        assert move["action"] == "promote" and str(move["why"]) in line
    for before, move in itertools.pairwise(moves):
        assert (
            move["from"] == before["to"]
            and f"better than version {before['to']} on the same rows: auc by" in move["why"]
        )
    compared = [next(gate for gate in release.gates if "champion" in gate["gate"]) for release in releases[1:]]
    gains = {release.version: gate["value"] for release, gate in zip(releases[1:], compared, strict=True)}
    assert {move["to"] for move in moves[1:]} == {version for version, gain in gains.items() if gain > 0}
