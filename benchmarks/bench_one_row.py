"""One row through `load(...).predict`: 26 columns, as a dict, a list of one dict, a pandas frame and an Arrow table.

usage: bench_one_row.py [--family xgboost mlp] [--calls 500]   -> one JSON line; the median milliseconds of each form
are the result

`bare_ms` is the model alone on the encoded row: `Booster.inplace_predict` or the net; `of_bare` is a dict against it.
Every form must give the bits of the batch path.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from ray_pipeline.bundle import write_bundle
from ray_pipeline.components.choice import find
from ray_pipeline.components.column_encodings._base import ColumnSummary
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.serving import LoadedModel

ROWS, NUMBERS, TEXTS, ROUNDS = 5_000, 20, 6, {"xgboost": 300, "mlp": 1}


def table() -> pa.Table:
    """Numbers, whole numbers and texts, one in twenty missing."""
    drawn, gap = np.random.default_rng(0), np.random.default_rng(1)
    numbers = {
        f"x{i}": pa.array(
            drawn.normal(size=ROWS) if i % 3 else drawn.integers(0, 1_000, ROWS), mask=gap.random(ROWS) < 0.05
        )
        for i in range(NUMBERS)
    }
    texts = {f"c{i}": drawn.choice([f"value {code}" for code in range(4 + 40 * i)], ROWS) for i in range(TEXTS)}
    return pa.table({**numbers, **texts})


def trained(folder: Path, family: str, rows: pa.Table) -> LoadedModel:
    """A model on that table, trained and written as the pipeline does it."""
    model = find("models", family)
    counts = {
        name: {one["values"]: one["counts"] for one in rows[name].value_counts().to_pylist()}
        for name in rows.column_names
    }
    summaries = {
        name: ColumnSummary(
            kind="number" if name.startswith("x") else "category",
            missing=rows[name].null_count,
            counts={} if name.startswith("x") else counts[name],
            sample=rows[name].drop_null().to_numpy().astype(float) if name.startswith("x") else np.empty(0),
        )
        for name in rows.column_names
    }
    encoder = find("encoders", model.encoder).fit(summaries)
    matrix = encoder.apply(rows)
    label = (np.nan_to_num(matrix[:, 1]) + (matrix[:, -1] > 2) > 0.5).astype(float)
    block = EncodedBlock(matrix=matrix, label=label, weight=np.ones(ROWS), rows=rows)
    params = {**dict(model()), **model.start, "objective": "binary:logistic", "max_bin": 256}
    context = TrainingContext(
        task="binary", num_classes=2, cardinalities={model.encoder: encoder.cardinalities}, threads=1
    )
    training = model.start_training(params, context, model.prepare_data(params, context, [block], []), 0)
    training.advance(ROUNDS[family])
    (folder / model.file).write_bytes(training.model(ROUNDS[family]))
    write_bundle(
        folder / "model",
        encoder=encoder.to_json(),
        model_file=folder / model.file,
        model={"format": 1, "family": family, "params": {}, "rounds": ROUNDS[family], "metric": "log_loss"},
        calibration={"kind": "sigmoid", "slope": [1.1], "offset": [0.1]},
        schema={
            "format": 1,
            "task": "binary",
            "label": "y",
            "classes": [],
            "threshold": 0.5,
            "columns": [{"name": field.name, "type": str(field.type)} for field in rows.schema],
            "spec": "",
            "base": str(folder),
        },
    )
    return LoadedModel.load(folder / "model")


def median_ms(call: Callable[[], object], calls: int) -> float:
    seconds = []
    for _ in range(calls):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return round(statistics.median(seconds) * 1e3, 3)


def measured(family: str, calls: int) -> dict[str, float]:
    """Milliseconds of each form."""
    rows = table()
    with tempfile.TemporaryDirectory() as root:
        (folder := Path(root, family)).mkdir()
        model = trained(folder, family, rows)
        one = rows.slice(7, 1)
        record = one.to_pylist()[0]
        forms = {"dict": record, "list": [record], "pandas": one.to_pandas(), "arrow": one}
        expected = model.predict(rows)[7:8].tobytes()
        for form, sent in forms.items():
            assert model.predict(sent).tobytes() == expected, form
        matrix = model.encoder.apply(rows)[7:8]
        bare = median_ms(lambda: model.scorer(matrix), calls)
        ours = {f"{form}_ms": median_ms(lambda sent=sent: model.predict(sent), calls) for form, sent in forms.items()}
        return {"bare_ms": bare, **ours, "of_bare": round(ours["dict_ms"] / bare, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", nargs="+", default=["xgboost", "mlp"], choices=list(ROUNDS))
    parser.add_argument("--calls", type=int, default=500)
    asked = parser.parse_args()
    answer = {family: measured(family, asked.calls) for family in asked.family}
    print(json.dumps({"benchmark": "one_row", "columns": NUMBERS + TEXTS, **answer, "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
