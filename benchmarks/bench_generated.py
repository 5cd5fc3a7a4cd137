"""Which generated features would earn their place: XGBoost with and without each kind, on the quality tables.

usage: bench_generated.py TABLES [--seeds 3] [--sets adult ...]   -> a JSON line for each table, then one with the means

A table's categories are native splits up to 8 values and frequency ranks beyond, as the product encodes them. Each kind
adds columns that are fitted on train alone: `target` (out-of-fold means of the label by category), `count` (rows of
the category), `cross` (out-of-fold means by pairs of categories), `ratio` (quotients of the eight numbers that split
most) and `text` (hashed trigrams of texts of 50 values or more). A gain is that of the test error, in percent; `chosen`
is the gain where validation decides whether the kind is used.
"""

import argparse
import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from paired_errors import error_of, metric_value
from quality_sets import QUALITY_SETS
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import TargetEncoder

NATIVE_VALUES, PAIRS, CROSS_VALUES, RATIO_COLUMNS, TEXT_VALUES, TEXT_COLUMNS = 8, 12, 20_000, 8, 50, 48
OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}
Parts = dict[str, pd.DataFrame]


class Table:
    """A quality table in its parts, with labels as numbers."""

    def __init__(self, path: Path) -> None:
        self.about = QUALITY_SETS[path.stem]
        frame = pd.read_parquet(path)
        label = frame["label"]
        self.classes = sorted(label.unique()) if self.about.task == "multiclass" else []
        codes = label.map({name: at for at, name in enumerate(self.classes)}) if self.classes else label
        left_out = ["row_id", "label", "part", *([self.about.group] if self.about.group else [])]
        features = frame.drop(columns=left_out)
        of_part = {part: (frame["part"] == part).to_numpy() for part in ("train", "validation", "test")}
        self.features: Parts = {part: features[rows] for part, rows in of_part.items()}
        self.label = {part: codes[rows].to_numpy(float) for part, rows in of_part.items()}
        self.texts = [name for name in features if not pd.api.types.is_numeric_dtype(features[name])]
        self.numbers = [name for name in features if name not in self.texts]

    def base(self) -> Parts:
        """The columns as the product encodes them for trees."""
        train, made = self.features["train"], {}
        for part, rows in self.features.items():
            columns = {name: rows[name].astype(float) for name in self.numbers}
            for name in self.texts:
                counts = train[name].value_counts()
                if len(counts) <= NATIVE_VALUES:
                    columns[name] = pd.Categorical(rows[name], categories=sorted(counts.index))
                else:
                    columns[name] = (
                        rows[name].map({value: rank for rank, value in enumerate(counts.index)}).astype(float)
                    )
            made[part] = pd.DataFrame(columns, index=rows.index)
        return made

    def encoded_means(self, columns: Parts) -> Parts:
        """Out-of-fold means of the label for train, means of all of train for the other parts."""
        task = {"binary": "binary", "multiclass": "multiclass", "regression": "continuous"}[self.about.task]
        encoder = TargetEncoder(target_type=task, random_state=0)
        filled = {part: rows.astype(str) for part, rows in columns.items()}
        train = encoder.fit_transform(filled["train"], self.label["train"])
        others = {part: encoder.transform(filled[part]) for part in ("validation", "test")}
        return {
            part: _frame(values, columns[part].index, "mean") for part, values in {"train": train, **others}.items()
        }

    def target(self) -> Parts | None:
        """Means by category."""
        wide = [name for name in self.texts if self.features["train"][name].nunique() > 2]
        return self.encoded_means({part: rows[wide] for part, rows in self.features.items()}) if wide else None

    def count(self) -> Parts | None:
        """Rows of the category in train."""
        if not self.texts:
            return None
        counts = {name: self.features["train"][name].value_counts() for name in self.texts}
        return {
            part: pd.DataFrame({f"count {name}": rows[name].map(of).astype(float) for name, of in counts.items()})
            for part, rows in self.features.items()
        }

    def cross(self) -> Parts | None:
        """Means by pairs of categories, of the pairs with most values first."""
        values = {name: self.features["train"][name].nunique() for name in self.texts}
        pairs = [
            pair for pair in itertools.combinations(self.texts, 2) if values[pair[0]] * values[pair[1]] <= CROSS_VALUES
        ]
        pairs = sorted(pairs, key=lambda pair: -values[pair[0]] * values[pair[1]])[:PAIRS]
        if not pairs:
            return None
        return self.encoded_means(
            {
                part: pd.DataFrame({f"{a} {b}": rows[a].astype(str) + "\0" + rows[b].astype(str) for a, b in pairs})
                for part, rows in self.features.items()
            }
        )

    def ratio(self) -> Parts | None:
        """Quotients of the numbers that split most without them."""
        if len(self.numbers) < 2:
            return None
        gain = self.fit(self.base(), 0)[1]
        most = sorted(self.numbers, key=lambda name: -gain.get(name, 0.0))[:RATIO_COLUMNS]
        return {
            part: pd.DataFrame(
                {
                    f"{a} / {b}": rows[a].astype(float) / rows[b].replace(0, np.nan)
                    for a, b in itertools.permutations(most, 2)
                }
            )
            for part, rows in self.features.items()
        }

    def text(self) -> Parts | None:
        """Hashed trigrams of the words of long texts."""
        long = [name for name in self.texts if self.features["train"][name].nunique() >= TEXT_VALUES]
        if not long:
            return None
        hashed = HashingVectorizer(
            analyzer="char_wb", ngram_range=(3, 3), n_features=TEXT_COLUMNS, alternate_sign=False
        )
        return {
            part: pd.concat(
                [_frame(hashed.transform(rows[name].fillna("")).toarray(), rows.index, name) for name in long], axis=1
            )
            for part, rows in self.features.items()
        }

    def fit(self, columns: Parts, seed: int) -> tuple[dict[str, float], dict[str, float]]:
        """The errors of validation and test, and the gain of each column."""
        params = {"objective": OBJECTIVES[self.about.task], "max_depth": 6, "eta": 0.05, "subsample": 0.8, "seed": seed}
        params |= {"colsample_bytree": 0.7, "min_child_weight": 2, "max_bin": 256, "nthread": 2}
        params |= {"num_class": len(self.classes)} if self.classes else {}
        matrices = {
            part: xgboost.DMatrix(rows, self.label[part], enable_categorical=True) for part, rows in columns.items()
        }
        evals = [(matrices["validation"], "validation")]
        params["eval_metric"] = {"auc": "auc", "log_loss": "mlogloss", "rmse": "rmse"}[self.about.metric]
        booster = xgboost.train(params, matrices["train"], 1000, evals, early_stopping_rounds=60, verbose_eval=False)
        errors = {}
        for part in ("validation", "test"):
            score = booster.predict(matrices[part], iteration_range=(0, booster.best_iteration + 1))
            label = self.label[part].astype(int) if self.classes else self.label[part]
            errors[part] = error_of(self.about.metric, metric_value(self.about.metric, label, score))
        return errors, booster.get_score(importance_type="total_gain")


def _frame(values: np.ndarray, index: pd.Index, name: str) -> pd.DataFrame:
    return pd.DataFrame(values, index=index, columns=[f"{name} {at}" for at in range(values.shape[1])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*", default=list(QUALITY_SETS))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    kinds = ("target", "count", "cross", "ratio", "text")
    gains: dict[str, list[float]] = {kind: [] for kind in (*kinds, *(f"{kind} chosen" for kind in kinds))}
    for name in asked.sets:
        table = Table(asked.tables / f"{name}.parquet")
        base, seeds = table.base(), range(asked.seeds)
        plain = [table.fit(base, seed)[0] for seed in seeds]
        before = np.mean([one["test"] for one in plain])
        noise = np.std([one["test"] for one in plain], ddof=1) / before if len(plain) > 1 else 0.0
        line = {"set": name, "error": round(float(before), 5), "seeds_differ_%": round(100 * float(noise), 2)}
        for kind in kinds:
            added = getattr(table, kind)()
            if added is None:
                continue
            both = {part: pd.concat([base[part], added[part].set_axis(base[part].index)], axis=1) for part in base}
            fitted = [table.fit(both, seed)[0] for seed in seeds]
            gain = 100 * (1 - np.mean([one["test"] for one in fitted]) / before)
            better = np.mean([one["validation"] for one in fitted]) < np.mean([one["validation"] for one in plain])
            line[kind] = round(float(gain), 2)
            gains[kind].append(float(gain))
            gains[f"{kind} chosen"].append(float(gain) if better else 0.0)
        print(json.dumps(line), flush=True)
    means = {kind: [round(float(np.mean(of)), 2), len(of)] for kind, of in gains.items() if of}
    print(json.dumps({"benchmark": "generated", "seeds": asked.seeds, "mean_gain_%_and_tables": means}))


if __name__ == "__main__":
    main()
