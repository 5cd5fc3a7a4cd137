"""What every peer of `bench_systems.py` reads and writes: train, validation and test in one folder, and scores."""
import json
from pathlib import Path

import pandas as pd


def read(folder):
    """Features and label of train and of validation, the features of test (all by `row_id`), and the task."""
    parts = {name: pd.read_parquet(Path(folder, f"{name}.parquet")).set_index("row_id") for name in ("train", "validation", "test")}
    labels = {name: parts[name].pop("label") for name in ("train", "validation")}
    return parts, labels, json.loads(Path(folder, "task.json").read_text())


def write(out, rows, score, classes=None):
    """Write the key and the score of each test row: one column, or one for each class."""
    columns = {"score": score} if classes is None else {f"score_{name}": score[:, place] for place, name in enumerate(classes)}
    pd.DataFrame({"key": rows.index, **columns}).to_parquet(out, index=False)
