"""The plain files of a bundle suffice: the program in docs/serving.md scores with numpy, XGBoost and json alone."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from scoring_fixture import json_rows

from ray_pipeline.bundle import Bundle, write_bundle
from ray_pipeline.components.column_encodings.number import Number
from ray_pipeline.components.column_encodings.ordinal import Ordinal
from ray_pipeline.components.encoders.trees import Trees
from ray_pipeline.components.models._xgboost_names import feature_names

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
CARRIERS = ("UA", "B6", "AA", "É 'x'", "None")
ALONE = """
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("ray_pipeline", "ray", "mlflow", "pandas", "pyarrow", "sklearn", "polars"):
            raise ModuleNotFoundError(f"forbidden: {name}", name=name)
sys.meta_path.insert(0, Forbid())
"""


def rows(count: int = 300) -> pa.Table:
    """Rows as the demo has them, each column with nulls; the last two have values that training never saw."""
    draw = np.random.default_rng(3)

    def holes(values: Any) -> list[Any]:
        return [None if hole else value for hole, value in zip(draw.random(count) < 0.15, values.tolist(), strict=True)]

    carrier = [*holes(draw.choice(CARRIERS, count))[:-2], "ZZ", ""]
    return pa.table(
        {
            "distance": pa.array(holes(draw.integers(80, 3000, count)), pa.int64()),
            "carrier": pa.array(carrier, pa.string()),
            "tailnum": pa.array(holes(draw.choice([f"N{i}" for i in range(40)], count)), pa.string()),
            "sched_dep_ts": pa.array(
                holes(1_356_998_400_000_000 + draw.integers(-(10**13), 10**13, count)), pa.timestamp("us", "UTC")
            ),
            "day": pa.array(holes(draw.integers(15_000, 16_000, count)), pa.date32()),
            "late": pa.array(holes(draw.random(count) < 0.3), pa.bool_()),
            "weather.temp": pa.array(holes(draw.normal(50, 20, count)), pa.float64()),
            "weather.pressure": pa.array(holes(draw.normal(1013, 8, count)), pa.float64()),
            "plane": pa.array(holes(10**15 + draw.integers(0, 9, count)), pa.int64()),
            "code": pa.array(holes(draw.integers(0, 9, count)), pa.int64()),
            "night": pa.array(holes(draw.random(count) < 0.5), pa.bool_()),
            "size": pa.array(holes(draw.integers(0, 9, count).astype(str)), pa.string()),
            "share": pa.array(holes(draw.random(count)), pa.float32()),
            "weather.wind[0] < 5": pa.array(holes(draw.exponential(3.0, count)), pa.float64()),
        }
    )


def encoder() -> Trees:
    """Every form of `number` and `ordinal`, and the kinds that a spec declares."""
    return Trees(
        encoded=(
            Number(name="distance", kind="number", log=True),
            Ordinal(name="carrier", kind="category", categories=CARRIERS),
            Ordinal(name="tailnum", kind="category", categories=("N3", "N1"), finite=True, native=False),
            Number(name="sched_dep_ts", kind="time"),
            Number(name="day", kind="time", centre=15_500.0, width=3.5),
            Number(name="late", kind="number", missing=0.25, flagged=True),
            Number(name="weather.temp", kind="number", knots=(0.0, 50.0, 99.0), quantiles=(-2.0, 0.0, 2.0)),
            Number(name="weather.pressure", kind="number", missing=1013.1),
            Number(name="plane", kind="number", offset=1e15 + 4),
            Ordinal(name="code", kind="category", declared=True, categories=("7", "1", "3")),
            Ordinal(name="night", kind="category", declared=True, categories=("true", "false")),
            Number(name="size", kind="number", declared=True),
            Number(name="share", kind="number", centre=0.3, width=0.7),
            Number(name="weather.wind[0] < 5", kind="number"),
        )
    )


def bundle_of(folder: Path, task: str, calibration: dict[str, Any]) -> Bundle:
    """A bundle of the rows, trained by XGBoost itself."""
    table, fitted = rows(), encoder()
    matrix = fitted.apply(table)
    signal = np.nan_to_num(matrix[:, 0]) + 2 * (matrix[:, 1] == 1) + np.nan_to_num(matrix[:, 7])
    signal += sum(np.nan_to_num(matrix[:, place]) % 4 for place in range(10, 15))
    data = xgboost.DMatrix(
        matrix,
        signal > np.median(signal) if task == "binary" else signal,
        feature_names=feature_names(fitted.columns),
        feature_types=["c" if codes else "q" for codes in fitted.cardinalities],
        enable_categorical=True,
    )
    objective = "binary:logistic" if task == "binary" else "reg:squarederror"
    booster = xgboost.train({"objective": objective, "max_depth": 5, "nthread": 1, "max_cat_to_onehot": 1}, data, 20)
    booster.save_model(folder / "booster.ubj")
    return write_bundle(
        folder / "model",
        encoder=fitted.to_json(),
        model_file=folder / "booster.ubj",
        model={"format": 1, "family": "xgboost"},
        calibration=calibration,
        schema={
            "format": 1,
            "task": task,
            "classes": ["0", "1"] if task == "binary" else [],
            "threshold": None,
            "columns": [{"name": field.name, "type": str(field.type)} for field in table.schema],
        },
    )


@pytest.mark.parametrize(
    ("task", "calibration"),
    [
        ("binary", {"kind": "none"}),
        ("binary", {"kind": "sigmoid", "slope": [1.3], "offset": [-0.2]}),
        ("binary", {"kind": "temperature", "temperature": 1.7}),
        ("binary", {"kind": "isotonic", "score": [[0.1, 0.5, 0.9]], "probability": [[0.0, 0.4, 1.0]]}),
        ("regression", {"kind": "none"}),
    ],
)
def test_a_stranger_scores_with_the_plain_files_bit_for_bit(
    tmp_path: Path, task: str, calibration: dict[str, Any]
) -> None:
    bundle = bundle_of(tmp_path, task, calibration)
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    sent = json_rows(rows())
    for row in sent:  # times in UTC, as Arrow writes them
        row["sched_dep_ts"] = row["sched_dep_ts"] and row["sched_dep_ts"].removesuffix("+00:00") + "Z"
    (tmp_path / "score.py").write_text(ALONE + program, encoding="utf-8")
    (tmp_path / "rows.json").write_text(json.dumps(sent), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", tmp_path / "score.py", bundle.folder, tmp_path / "rows.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = bundle.score(rows())
    assert len(set(expected.tolist())) > 50 or calibration["kind"] == "isotonic"
    assert json.loads(done.stdout) == expected.tolist()
    assert bundle.predict(sent).tolist() == expected.tolist()


def test_the_model_names_the_columns_of_its_matrix(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "binary", {"kind": "none"})
    names = xgboost.Booster(model_file=bundle.folder / "model.ubj").feature_names
    assert names == [*(name for name in encoder().columns[:-1]), "weather.wind_0_ _ 5"]
