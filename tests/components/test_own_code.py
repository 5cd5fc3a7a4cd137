"""A class of a user's own that raises, or returns another form than is asked for, is named with its method and line."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import wrong_splitter
from tables import write_spec
from typer.testing import CliRunner

from ray_pipeline.cli import build
from ray_pipeline.components.calibrators._base import Calibrator
from ray_pipeline.components.checks._base import Check
from ray_pipeline.components.column_encodings._base import Encoding
from ray_pipeline.components.metrics._base import HALF, MeanMetric, ShareMetric
from ray_pipeline.components.metrics.log_loss import LogLoss
from ray_pipeline.components.models._base import Diverged, Model, TrainingState
from ray_pipeline.components.models._scores import refuse_other_scores
from ray_pipeline.components.slices._base import Slice
from ray_pipeline.components.splitters._base import Splitter
from ray_pipeline.errors import DataError, PipelineError, Problem, SpecError

ROWS = 10
LABEL, SCORE, WEIGHT = np.zeros(ROWS), np.full(ROWS, 0.5), np.ones(ROWS)


class Wrong(MeanMetric):
    """Raises or returns what its field says."""

    tasks = ("binary",)
    better = "lower"
    how: str = "right"

    def per_row(self, label: Any, score: Any, threshold: float = HALF) -> Any:
        if self.how == "raises":
            return {}["absent"]
        if self.how == "disk":
            raise OSError(28, "No space left on device")
        if self.how == "data":
            raise DataError(Problem(found="not these rows"))
        return {"right": score, "short": score[1:], "scalar": 1.0, "columns": score[:, None]}[self.how]


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("raises", r"test_own_code.Wrong.per_row: KeyError: 'absent' \(test_own_code.py, line 4\d\)"),
        ("short", r"Wrong.per_row returned shape \(9,\) where \(10,\) is asked for"),
        ("scalar", r"Wrong.per_row returned a float where an array of shape \(0,\) is asked for"),
        ("columns", r"Wrong.per_row returned shape \(0, 1\) where \(0,\) is asked for"),
    ],
)
def test_what_a_method_does_wrong_is_told_with_its_name(how: str, found: str) -> None:
    with pytest.raises(SpecError, match=found) as refused:
        Wrong(how=how)(LABEL, SCORE, WEIGHT)
    assert pickle.loads(pickle.dumps(refused.value)).problems == refused.value.problems
    assert "docs/extending.md" in str(refused.value)


def test_what_is_right_or_means_something_to_the_caller_stays_as_it_is() -> None:
    assert Wrong()(LABEL, SCORE, WEIGHT) == pickle.loads(pickle.dumps(Wrong()))(LABEL, SCORE, WEIGHT) == 0.5
    with pytest.raises(OSError, match="No space left"):
        Wrong(how="disk")(LABEL, SCORE, WEIGHT)
    with pytest.raises(DataError, match="not these rows"):
        Wrong(how="data")(LABEL, SCORE, WEIGHT)
    assert not hasattr(LogLoss.per_row, "__wrapped__")  # classes of this package are not slowed down


class Share(ShareMetric):
    tasks = ("binary",)
    better = "lower"

    def terms(self, label: Any, score: Any, threshold: float = HALF) -> Any:
        return np.ones((len(label), 2))

    def fraction(self, sums: Any) -> Any:
        raise ZeroDivisionError("division by zero")


class Others(Encoding):
    kinds = ("number",)
    name: str = "x"

    @classmethod
    def fit(cls, name: str, summary: Any, options: Any) -> Any:
        raise ValueError("no such option\nsecond line")

    @property
    def columns(self) -> Any:
        return ["x"] if self.name == "x" else [][0]

    def encode(self, values: Any, fold: Any) -> Any:
        return np.zeros(len(values))


class Few(Check):
    fix = "bring more"

    def check(self, profile: Any, spec: Any) -> Iterator[Any]:
        yield self.finding("low", None, 1, "one")
        raise IndexError("no second")


class Halves(Splitter):
    by: str = "halves"

    def part_of(self, rows: pa.Table) -> Any:
        return np.full(rows.num_rows, 7)


class Twice(Calibrator):
    @classmethod
    def fit(cls, label: Any, score: Any, weight: Any) -> Any:
        return cls()

    def apply(self, score: Any) -> Any:
        return 3 * score


class First(Slice):
    @property
    def columns(self) -> tuple[str, ...]:
        return ("x",)

    def name_of(self, table: pa.Table, edges: Any) -> Any:
        return {"x": np.array(["a"], object)}


class Family(Model):
    @classmethod
    def load(cls, folder: Path) -> Any:
        return lambda matrix: matrix @ np.ones(99)


class Fit(TrainingState):
    def advance(self, rounds: int) -> None:
        raise Diverged("the loss is not finite")

    def scores(self) -> Any:
        raise RuntimeError

    def model(self, rounds: int) -> bytes:
        return b""

    def state(self) -> bytes:
        return b""


TABLE = pa.table({"x": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("use", "found"),
    [
        (lambda: Share()(LABEL, SCORE, WEIGHT), "Share.fraction: ZeroDivisionError: division by zero"),
        (lambda: Others.fit("x", None, None), r"Others.fit: ValueError: no such option \(test_own"),
        (lambda: Others(name="y", kind="number").columns, "Others.columns: IndexError: list index out of range"),
        (
            lambda: Others(kind="number").encode(TABLE["x"], None),
            r"Others.encode returned shape \(2,\) where \(2, 1\) is asked",
        ),
        (lambda: list(Few().check(None, None)), "Few.check: IndexError: no second"),
        (lambda: Halves().part_of(TABLE), r"Halves.part_of returned 2 of 2 numbers that name no part \(0 to 3\)"),
        (lambda: Twice().apply(SCORE), "Twice.apply returned 10 of 10 numbers that are no probabilities"),
        (lambda: First().name_of(TABLE, {}), r"First.name_of returned for 'x' shape \(1,\) where \(2,\) is asked"),
        (lambda: Family.load(Path())(np.zeros((2, 3))), "Family.load: ValueError: matmul"),
        (lambda: Fit().scores(), r"Fit.scores: RuntimeError \(test_own_code.py"),
        (lambda: Wrong.per_row(1), "Wrong.per_row: TypeError: .*missing 2 required"),
    ],
)
def test_every_kind_of_class_and_member_is_guarded(use: Any, found: str) -> None:
    with pytest.raises(SpecError, match=found):
        use()


def test_a_loss_that_is_not_finite_is_no_fault_of_the_class() -> None:
    with pytest.raises(Diverged):
        Fit().advance(1)


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        (np.zeros((ROWS, 2)), r"the model gives shape \(10, 2\) where \(10,\) is asked for"),
        (np.where(np.arange(ROWS) < 3, np.nan, 0.5), "3 of 10 scores are not numbers"),
        (np.linspace(-0.2, 1.3, ROWS), "4 of 10 scores that are no probabilities: they go from -0.2 to 1.3"),
    ],
)
def test_scores_of_another_form_are_refused(scores: Any, found: str) -> None:
    with pytest.raises(PipelineError, match=found):
        refuse_other_scores(scores, ROWS, "binary", 2)
    refuse_other_scores(np.full(ROWS, 1 + 1e-7), ROWS, "binary", 2)
    refuse_other_scores(np.full(ROWS, 7.0), ROWS, "regression", 0)
    refuse_other_scores(np.zeros((ROWS, 3)), ROWS, "multiclass", 3)


def run_with_split(split: str, trusted: str, loans: Path, folder: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and the only problem of a run with a split of a trusted module."""
    (folder / "on.yaml").write_text(f"trust: [{trusted}]\nstorage: {folder}/runs\n")
    by_time = "{by: time, validation: 2024-01-18, test: 2024-01-24, gap: 12h}"
    spec = write_spec(loans, "own-split.yaml", change=f"{by_time} => {{by: {split}}}")
    done = CliRunner().invoke(build(), ["run", str(spec), "--on", str(folder / "on.yaml"), "--json"])
    (problem,) = json.loads(done.stdout.splitlines()[-1])["problems"]
    return done.exit_code, problem


def test_a_mistake_on_a_worker_ends_the_run_with_the_name_of_the_class(
    ray_local: None, loans: Path, tmp_path: Path
) -> None:
    code, problem = run_with_split("wrong_splitter.Halves", "wrong_splitter", loans, tmp_path)
    assert code == 2, problem
    assert problem["found"].startswith("wrong_splitter.Halves.part_of: KeyError")
    assert "(wrong_splitter.py, line 14)" in problem["found"]


def test_a_package_that_workers_cannot_import_is_named(
    ray_local: None, loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text(Path(wrong_splitter.__file__).read_text())
    monkeypatch.syspath_prepend(str(tmp_path))  # the shared Ray has started before
    code, problem = run_with_split("only_here.Halves", "only_here", loans, tmp_path)
    assert (code, problem["found"]) == (4, "a worker cannot import 'only_here', which the spec uses")
    assert "every node" in problem["fix"]
