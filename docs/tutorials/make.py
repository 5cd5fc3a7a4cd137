"""Writes and executes the tutorials: `python docs/tutorials/make.py` makes `first-model.ipynb` anew.

Texts and code of a notebook stand here, so a change is a readable diff. `make.py --out FOLDER` writes elsewhere.
"""

import argparse
import tempfile
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

TIMEOUT_S = 300
FIRST_MODEL = [
    """# A first model

From a data frame to a gated, registered model, and back to scores: who earns more than 50,000 dollars a year? The data
is a part of Adult (Census 1994; CC BY 4.0; Becker & Kohavi, 1996), which is among the examples of the package.""",
    """from importlib.resources import files

import pandas as pd

import ray_pipeline as rp

adult = pd.read_parquet(files("ray_pipeline") / "examples/adult/data/adult.parquet")
adult = adult[adult["row_id"] % 8 == 0]
adult[["row_id", "age", "education", "occupation", "sex", "income", "official_split"]].head()""",
    """## What to train

A spec says what to train. It has the same keys as a spec file. Here the frame stands in place of a path.

- The label is an expression: true if the income is above 50,000 dollars.
- The data names the rows of its test part, in the column `official_split`. The test part is used once, for the verdict.
- The gates say when a model is good enough to be registered. They are judged on the bounds of 95 % intervals, not on
  point values, so that luck does not pass.""",
    """spec = {
    "name": "adult_income",
    "task": "binary",
    "features": {
        "labels": {
            "path": adult,
            "label": "income == '>50K'",
            "key": "row_id",
            "columns": ["age", "workclass", "education_num", "marital_status", "occupation", "hours_per_week"],
            "slice_only": ["sex"],
        },
    },
    "split": {"by": "column", "column": "official_split"},
    "model": {"xgboost": {"num_boost_round": 60, "max_depth": {"int": [2, 6]}, "learning_rate": {"log": [0.05, 0.3]}}},
    "search": {"trials": 4, "metric": "auc", "seed": 7},
    "evaluate": {"metrics": ["auc", "log_loss", "accuracy"], "slices": ["sex"], "draws": 200},
    "gates": ["auc >= 0.80", "auc worst by sex >= 0.75"],
}""",
    """## Run it

`run` starts a Ray on this machine, which ends with the run. It profiles the rows, searches hyperparameters, fits and
calibrates the best model, judges it on the test part, and registers it. The run folder is in `runs`.""",
    """release = rp.run(spec)
release""",
    """## What it found

The results are data frames. Here is every metric by slice, with its interval:""",
    """evaluation = release.evaluation
evaluation[evaluation["metric"] == "auc"].round(3)""",
    """The trials of the search, the best one first:""",
    """trials = release.trials.sort_values("metric", ascending=False)
searched = pd.json_normalize(trials["params"])[["max_depth", "learning_rate", "subsample"]]
searched.assign(auc=trials["metric"].to_numpy()).round(3)""",
    """## Use it

`load` fetches the model from the registry by its name. `predict` returns the probability that the label is true. The
rows need no label.""",
    """model = rp.load(release.model)
new_rows = adult.drop(columns="income").head(3)
model.predict(new_rows).round(3)""",
    """As an estimator of scikit-learn it decides, too:""",
    """from sklearn.metrics import classification_report

test = adult[adult["official_split"] == "test"]
estimator = model.estimator()
print(classification_report(test["income"] == ">50K", estimator.predict(test)))""",
    """## What next

- Change the spec and run again: an equal spec on equal data is the same experiment.
- [Everything that a spec can say](../spec.md): feature tables joined as of the moment of prediction, splits by time,
  model families, slices, bias and gates.
- [The Python interface](../python.md): joins as of now, scikit-learn, the stages one by one.
- [Running](../running.md): the same spec on a cluster, resuming, the registry.""",
]
NOTEBOOKS = {"first-model": FIRST_MODEL}


def build(cells: list[str]) -> NotebookNode:
    """Return a notebook whose cells are text and code in turns."""
    made = [
        (new_code_cell if place % 2 else new_markdown_cell)(source, id=f"cell-{place}")
        for place, source in enumerate(cells)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=made, metadata={"kernelspec": kernel})


def execute(notebook: NotebookNode) -> None:
    """Execute a notebook in an empty folder; its outputs are in it afterwards, of each only the best form."""
    kept = notebook.metadata.copy()
    with tempfile.TemporaryDirectory(prefix="kernel-") as sockets, tempfile.TemporaryDirectory() as folder:
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/socket")
        resources = {"metadata": {"path": folder}}
        options = {"timeout": TIMEOUT_S, "resources": resources, "record_timing": False}
        NotebookClient(notebook, km=manager, **options).execute()
    notebook.metadata = kept  # without the version of this Python
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("data", {}).get("text/html") != ""]
            for output in cell.outputs:
                if "text/html" in output.get("data", {}):
                    output.data = {"text/html": output.data["text/html"]}


def main() -> None:
    """Write every notebook."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="the folder to write to; default: that of this file"
    )
    out = parser.parse_args().out
    for name, cells in NOTEBOOKS.items():
        notebook = build(cells)
        execute(notebook)
        nbformat.write(notebook, out / f"{name}.ipynb")


if __name__ == "__main__":
    main()
