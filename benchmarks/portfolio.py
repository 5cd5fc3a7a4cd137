"""Which configurations complement each other: the start portfolio, judged on tables that it was not chosen on.

`collect` trains configurations on the parts of the quality tables: the default of each family, and random draws from
its space (or from a wider one, which is named here). It keeps the scores of validation and test. `judge` chooses from
them without training: a portfolio by greedy selection on all tables but one, and an ensemble by the pipeline's own
selection.

usage: portfolio.py collect TABLES CACHE [--sets ames_housing ...] [--families xgboost ...] [--draws 0 16]
       portfolio.py judge CACHE [--sets ames_housing ...] [--size 4] -> one JSON line
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline.components.choice import find
from ray_pipeline.components.column_encodings._base import ColumnSummary
from ray_pipeline.components.column_encodings._columns import kind_of, numbers
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.components.space import Any as OneOf
from ray_pipeline.components.space import Float, Int, Log, Space
from ray_pipeline.encoded_block import KEY, LABEL, MATRIX, WEIGHT, view
from ray_pipeline.tuning.ensemble_selection import Caps, select
from ray_pipeline.values import PARTS

SETS = {
    "blood_transfusion": ("binary", "auc"),
    "concrete": ("regression", "rmse"),
    "heart_attack": ("multiclass", "log_loss"),
    "ames_housing": ("regression", "rmse"),
    "student_dropout": ("multiclass", "log_loss"),
    "parkinsons": ("regression", "rmse"),
    "telco_churn": ("binary", "auc"),
    "online_shoppers": ("binary", "auc"),
    "bike_sharing": ("regression", "rmse"),
}
WIDE = {
    "xgboost": {
        "learning_rate": Log(low=0.005, high=0.1),
        "max_depth": Int(low=4, high=10),
        "min_child_weight": Log(low=0.001, high=5.0),
        "subsample": Float(low=0.6, high=1.0),
        "colsample_bytree": 1.0,
        "colsample_bylevel": Float(low=0.6, high=1.0),
        "colsample_bynode": Float(low=0.6, high=1.0),
        "reg_alpha": Log(low=1e-4, high=5.0),
        "reg_lambda": Log(low=1e-4, high=5.0),
        "grow_policy": OneOf(values=("depthwise", "lossguide")),
        "max_leaves": Log(low=8, high=1024),
        "max_cat_to_onehot": Log(low=8, high=100),
        "num_boost_round": 4000,
        "early_stopping_rounds": 100,
    }
}
"""The space of TabArena (Erickson et al., 2025)."""
TRIAL_SECONDS = 25.0
EVALUATIONS = 4


class Data:
    """A quality table, encoded for trees as the pipeline does it."""

    def __init__(self, tables: Path, name: str) -> None:
        table = pq.read_table(tables / f"{name}.parquet")
        self.task, self.metric = SETS[name][0], metric_of(SETS[name][1])
        part = table["part"].to_numpy(zero_copy_only=False)
        features = [one for one in table.column_names if one not in ("row_id", "label", "part")]
        train = table.filter(pa.array(part == "train"))
        fitted = {one: _summary(train[one]) for one in features}
        encoder = find("encoders", "trees").fit({one: summary for one, summary in fitted.items() if summary})
        label, classes = table["label"], ()
        if self.task == "multiclass":
            classes = tuple(sorted(set(label.to_pylist())))
            label = pa.array([classes.index(one) for one in label.to_pylist()])
        matrix, label = encoder.apply(table), label.cast(pa.float64()).to_numpy()
        self.blocks = {one: _block(matrix[part == one], label[part == one]) for one in PARTS}
        self.context = TrainingContext(
            task=self.task,
            num_classes=len(classes) or 2 * (self.task == "binary"),
            cardinalities={"trees": encoder.cardinalities},
            codes={"trees": encoder.codes},
            threads=1,
            rows=int((part == "train").sum()),
            min_label=float(label.min()),
        )


def _summary(column: pa.ChunkedArray) -> ColumnSummary | None:
    kind = kind_of(column.type)
    if kind is None or len(column.unique()) < 2:
        return None
    if kind == "category":
        counts = {pair["values"]: pair["counts"] for pair in column.drop_null().value_counts().to_pylist()}
        return ColumnSummary(kind=kind, missing=column.null_count, counts=counts, sample=np.empty(0))
    sample = numbers(column)
    sample = sample[np.isfinite(sample)]
    return ColumnSummary(
        kind=kind,
        missing=column.null_count,
        counts={},
        sample=sample,
        mean=float(sample.mean()),
        deviation=float(sample.std()),
    )


def _block(matrix: np.ndarray, label: np.ndarray) -> Any:
    rows = len(label)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).reshape(-1)), matrix.shape[1])
    columns = {MATRIX + "trees": flat, LABEL: label, WEIGHT: np.ones(rows), KEY: np.arange(rows)}
    return view(pa.table(columns), "trees")


def drawn(family: str, space: str, number: int, context: TrainingContext) -> dict[str, Any]:
    """Draw a configuration; number 0 is the family's default."""
    kind = find("models", family)
    spaces = {**kind().space(context), **(WIDE[family] if space == "wide" else {})}
    generator = np.random.default_rng([number, 7])
    params = {}
    for name, one in spaces.items():
        share = generator.random()
        integer = "int" in str(kind.model_fields[name].annotation).split("|")[0]
        if not isinstance(one, Space):
            params[name] = one
        elif number == 0 and space == "own":
            params[name] = kind.start[name]
        elif isinstance(one, OneOf):
            params[name] = one.values[int(share * len(one.values))]
        else:
            value = one.low + share * (one.high - one.low)
            if isinstance(one, Log):
                value = one.low * (one.high / one.low) ** share
            params[name] = round(value) if integer or isinstance(one, Int) else value
    return params


def trained(data: Data, family: str, params: dict[str, Any]) -> dict[str, Any]:
    """Train to the best round on validation, and score validation and test."""
    kind, train, validation = find("models", family), data.blocks["train"], data.blocks["validation"]
    kind.warm_up()
    begun, sign = time.perf_counter(), 1 if data.metric.better == "higher" else -1
    training = kind.start_training(
        params, data.context, kind.prepare_data(params, data.context, [train], [validation]), 1
    )
    patience, budget, best = params[kind.patience], params[kind.budget], (-np.inf, 0)
    while training.rounds < budget and training.rounds - best[1] < patience:
        training.advance(min(training.rounds + patience // EVALUATIONS, budget))
        score = np.asarray(training.scores(), np.float64)
        best = max(best, (sign * data.metric(validation.label, score, validation.weight), training.rounds))
        if time.perf_counter() - begun > TRIAL_SECONDS:
            break
    seconds = time.perf_counter() - begun
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / kind.file).write_bytes(training.model(best[1]))
        scorer = kind.load(Path(folder))
        size = (Path(folder) / kind.file).stat().st_size
        scores = {part: np.asarray(scorer(data.blocks[part].matrix)) for part in ("validation", "test")}
    return {"rounds": best[1], "seconds": seconds, "size": size, **scores}


def collect(tables: Path, cache: Path, sets: list[str], families: list[str], draws: range) -> None:
    """Train what the cache lacks."""
    cache.mkdir(parents=True, exist_ok=True)
    for name in sets:
        data: Data | None = None
        for number in draws:
            for family in families:
                family, _, space = family.partition(":")
                file = cache / f"{name}.{family}.{space or 'own'}.{number}.npz"
                if file.exists():
                    continue
                data = data or Data(tables, name)
                params = drawn(family, space or "own", number, data.context)
                found = trained(data, family, params)
                labels = {f"label_{part}": data.blocks[part].label for part in ("validation", "test")}
                metrics = {
                    part: data.metric(
                        data.blocks[part].label, np.asarray(found[part], np.float64), np.ones(len(found[part]))
                    )
                    for part in ("validation", "test")
                }
                np.savez_compressed(file, params=json.dumps(params), **found, **labels)
                print(name, family, space, number, metrics, f"{found['seconds']:.1f} s", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Trained:
    """A trained configuration of the cache: how well it does on validation and test, higher is better."""

    config: str
    """Family, space and number of the draw: the same configuration on each table."""
    params: dict[str, Any]
    validation: float
    test: float
    seconds: float
    scores: dict[str, np.ndarray]


def cached(cache: Path, name: str) -> list[Trained]:
    """Read what the cache has of a table."""
    metric, found = metric_of(SETS[name][1]), []
    sign = 1 if metric.better == "higher" else -1
    for file in sorted(cache.glob(f"{name}.*.npz")):
        stored = np.load(file, allow_pickle=False)
        worth = {
            part: sign * metric(stored[f"label_{part}"], stored[part].astype(float), np.ones(len(stored[part])))
            for part in ("validation", "test")
        }
        scores = {one: stored[one].astype(float) for one in ("validation", "test", "label_validation", "label_test")}
        config = ".".join(file.name.split(".")[1:4])
        seconds = float(stored["seconds"])
        found.append(Trained(config, json.loads(str(stored["params"])), **worth, seconds=seconds, scores=scores))
    return found


def losses(tables: dict[str, list[Trained]], configs: list[str]) -> np.ndarray:
    """How far each configuration is behind the best one on validation, relative to it; shape (tables, configs)."""
    worth = np.array([[{one.config: one.validation for one in rows}[c] for c in configs] for rows in tables.values()])
    best = worth.max(axis=1, keepdims=True)
    return (best - worth) / np.abs(best)


def greedy(loss: np.ndarray, first: int, size: int) -> list[int]:
    """Choose the configurations whose best one has the least mean loss over the tables, after the first."""
    chosen = [first]
    while len(chosen) < size:
        best = [np.minimum(loss[:, chosen].min(axis=1), loss[:, one]).mean() for one in range(loss.shape[1])]
        chosen.append(int(np.argmin([np.inf if one in chosen else value for one, value in enumerate(best)])))
    return chosen


def judge_portfolio(tables: dict[str, list[Trained]], family: str, size: int) -> dict[str, Any]:
    """Compare a portfolio, chosen on all other tables, with as many random draws from the family's own space."""
    shared = set.intersection(*({one.config for one in rows} for rows in tables.values()))
    configs = sorted(one for one in shared if one.startswith(f"{family}."))
    default, gains = configs.index(f"{family}.own.0"), {}
    own = [at for at, one in enumerate(configs) if one.startswith(f"{family}.own.") and at != default]
    for name, rows in tables.items():
        others = {other: some for other, some in tables.items() if other != name}
        portfolio = greedy(losses(others, configs), default, size)
        by_config = {one.config: one for one in rows}
        taken = [by_config[one] for one in configs]

        def test_of(some: Iterable[int], taken: list[Trained] = taken) -> float:
            return max((taken[at] for at in some), key=lambda one: one.validation).test

        draws = [test_of((default, *some)) for some in combinations(own, min(size - 1, len(own)))]
        gains[name] = (test_of(portfolio) - float(np.mean(draws))) / abs(float(np.mean(draws)))
    whole = [configs[at] for at in greedy(losses(tables, configs), default, size)]
    first = next(iter(tables.values()))
    params = [{one.config: one.params for one in first}[config] for config in whole]
    mean = float(np.mean(list(gains.values())))
    return {
        "configs": len(configs),
        "mean_gain": mean,
        "gain": gains,
        "portfolio": dict(zip(whole, params, strict=True)),
    }


def judge_ensemble(name: str, rows: list[Trained], members: int = 8) -> dict[str, Any]:
    """Compare the ensemble of a table with its best configuration, on test."""
    metric = metric_of(SETS[name][1])
    sign = 1 if metric.better == "higher" else -1
    ranked = sorted(rows, key=lambda one: -one.validation)[:24]

    def worth(scores: np.ndarray, part: str = "validation") -> float:
        return sign * float(metric(ranked[0].scores[f"label_{part}"], scores, np.ones(len(scores))))

    weights = select([one.scores["validation"] for one in ranked], worth, Caps(members=members))
    test = worth(sum(weight * ranked[at].scores["test"] for at, weight in weights.items()), "test")
    gain = (test - ranked[0].test) / abs(ranked[0].test)
    return {
        "trials": len(rows),
        "members": len(weights),
        "best": sign * ranked[0].test,
        "ensemble": sign * test,
        "gain": gain,
    }


def judge(cache: Path, sets: list[str], size: int) -> dict[str, Any]:
    """What the cache says of portfolios and of the ensemble."""
    tables = {name: rows for name in sets if (rows := cached(cache, name))}
    families = sorted({one.config.split(".")[0] for rows in tables.values() for one in rows})
    return {
        "benchmark": "portfolio",
        "seconds": round(sum(one.seconds for rows in tables.values() for one in rows)),
        "portfolio": {family: judge_portfolio(tables, family, size) for family in families},
        "ensemble": {name: judge_ensemble(name, rows) for name, rows in tables.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    collecting = verbs.add_parser("collect")
    collecting.add_argument("tables", type=Path)
    collecting.add_argument("cache", type=Path)
    collecting.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    collecting.add_argument("--families", nargs="+", default=["xgboost", "xgboost:wide", "lightgbm", "catboost"])
    collecting.add_argument("--draws", nargs=2, type=int, default=[0, 8])
    judging = verbs.add_parser("judge")
    judging.add_argument("cache", type=Path)
    judging.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    judging.add_argument("--size", type=int, default=4, help="configurations of a portfolio, with the default")
    asked = parser.parse_args()
    if asked.verb == "judge":
        print(json.dumps(judge(asked.cache, asked.sets, asked.size)))
        return
    collect(asked.tables, asked.cache, asked.sets, asked.families, range(*asked.draws))


if __name__ == "__main__":
    main()
