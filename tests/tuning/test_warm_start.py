"""A warm start is what an earlier run or the champion won with; looked up once, and the second trial of its family."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from encoded_fixture import SPEC
from run_fixture import Told, run_at

from ray_pipeline.components.space import Float, Int, Log
from ray_pipeline.errors import StorageError
from ray_pipeline.runs.reproducibility import pin
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.sampler import Sampler
from ray_pipeline.tuning.warm_start import WarmStart, find_warm_start

WON: dict[str, Any] = {"max_depth": 4, "learning_rate": 0.07, "num_boost_round": 90}


@dataclass
class Champions:
    """A registry in which a version may be champion."""

    folder: Path | None
    version: int = 3

    def champion(self, name: str) -> tuple[int, Path] | None:
        assert name == "toy"
        return (self.version, self.folder / "model") if self.folder else None


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage with one whole run and one that has no model yet."""
    for run in ("toy-00000000-1", "toy-00000000-2"):
        (tmp_path / "runs" / run / "model").mkdir(parents=True)
        (tmp_path / "runs" / run / "spec.yaml").write_text(SPEC)
    (tmp_path / "runs/toy-00000000-1/model/model.json").write_text(
        json.dumps({"family": "xgboost", "params": WON, "rounds": 77})
    )
    return tmp_path / "runs"


def asked(
    word: str, storage: Path, registry: Champions | None = None, folder: RunFolder | None = None, text: str = SPEC
) -> tuple[WarmStart | None, RunFolder, list[str]]:
    spec = Spec.from_text(text, [f"search.warm_start={word}"], file="toy.yaml", folder=storage.parent)
    told = Told()
    run = run_at(storage, spec, folder=folder or RunFolder.create(storage, "toy", "1" * 64), progress=told)
    run.registry = registry or Champions(None)  # type: ignore[assignment]
    return find_warm_start(spec, run), run.folder, told.notes


def won(source: str, **params: Any) -> WarmStart:
    return WarmStart(source=source, family="xgboost", params=params or WON)


@pytest.mark.parametrize(
    "word", ["toy-00000000-1", "runs/toy-00000000-1"], ids=["by id", "by folder, as seen from the spec"]
)
def test_a_run_gives_what_it_won_with(storage: Path, word: str) -> None:
    found, run, _ = asked(word, storage)
    assert found == won("toy-00000000-1")
    assert run.journal.recorded("warm_start") == {"source": "toy-00000000-1", "family": "xgboost", "params": WON}


def test_who_was_champion_at_the_beginning_counts_when_the_run_is_resumed_or_built_again(storage: Path) -> None:
    champion = Champions(storage / "toy-00000000-1")
    first, run, _ = asked("champion", storage, champion)
    assert first == won("models:/toy/3")
    (storage / "toy-00000000-2/model/model.json").write_text(
        json.dumps({"family": "xgboost", "params": {"max_depth": 2}})
    )
    later = Champions(storage / "toy-00000000-2", version=4)
    assert asked("champion", storage, later, folder=run)[0] == first
    again = RunFolder.create(storage, "toy", "1" * 64)
    pin(again.journal, {"plan": {}, "warm_start": run.journal.recorded("warm_start")}, verify=False)
    assert asked("champion", storage, later, folder=again)[0] == first
    assert asked("champion", storage, later)[0] == won("models:/toy/4", max_depth=2)


def test_no_champion_yet_is_noted_and_stays_so_for_this_run(storage: Path) -> None:
    found, run, said = asked("champion", storage)
    assert found is None and said == ["no warm start: no version of 'toy' is champion yet"]
    assert asked("champion", storage, Champions(storage / "toy-00000000-1"), folder=run)[0] is None


def test_a_family_that_is_not_searched_is_noted(storage: Path) -> None:
    found, _, said = asked(
        "toy-00000000-1",
        storage,
        text=SPEC.replace(
            "{xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}", "linear"
        ),
    )
    assert found is None and said == ["no warm start: toy-00000000-1 is a 'xgboost', and the search is over linear"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("toy-0000000-1", ["there is no run 'toy-0000000-1'", "did you mean 'toy-00000000-1'"]),
        ("toy-00000000-2", ["run toy-00000000-2 has no model yet", "ray-pipeline resume toy-00000000-2"]),
    ],
)
def test_an_unknown_run_and_an_unfinished_one_are_told(storage: Path, word: str, told: list[str]) -> None:
    with pytest.raises(StorageError) as refused:
        asked(word, storage)
    (problem,) = refused.value.problems
    assert refused.value.exit_code == 6 and problem.key == "search.warm_start" and not problem.file
    assert all(words in f"{problem.found}; {problem.fix}" for words in told)


def test_it_is_the_second_trial_within_the_spaces_and_beside_fixed_values() -> None:
    space: dict[str, Any] = {
        "depth": Int(low=1, high=9),
        "rate": Log(low=0.01, high=1.0),
        "share": Float(low=0.5, high=1.0),
        "rounds": 40,
    }
    start = {"depth": 3, "rate": 0.1, "share": 0.8}

    def first(warm: dict[str, Any] | None) -> list[dict[str, Any]]:
        search = Sampler(
            family="toy",
            space=space,
            start=start,
            integers=frozenset(),
            num_trials=6,
            seed=5,
            better="higher",
            warm=warm,
        )
        return [dict(proposal.params) for proposal in (search.ask() for _ in range(3)) if proposal]

    cold = first(None)
    warm = first({"depth": 7, "rate": 0.3, "share": 0.2, "rounds": 90, "elsewhere": 1})
    assert cold[0] == warm[0] == {**start, "rounds": 40}
    assert warm[1] == {"depth": 7, "rate": 0.3, "share": 0.8, "rounds": 40}
    assert warm[2] not in warm[:2]
    assert first(dict(start)) == cold, "the default is not tried twice"
