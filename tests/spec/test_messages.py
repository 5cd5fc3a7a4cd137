"""A table of bad specs: each row is one edit of a good spec, and exactly what the user is told, with file, line and
dotted key; exit 2.

Messages are compared up to their list of known words, which grows with every new choice.
"""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ray_pipeline import pipeline
from ray_pipeline.cli import build
from ray_pipeline.errors import PipelineError, SpecError
from ray_pipeline.spec import Spec

BASE = """\
name: loans
task: binary
features:
  labels:
    path: data/loans.parquet
    label: status == 'bad'
    key: loan_id
    time: asked_at
    columns: [amount, age]
  rates:
    path: data/rates
    on: [region]
    time: day
    columns: [rate]
split: {by: time, validation: 2013-09-01, test: 2013-11-01}
model:
  xgboost: {max_depth: 6}
search: {trials: 8, metric: auc}
evaluate:
  metrics: [auc]
  slices: [region]
gates:
  - auc >= 0.6
register: {alias: challenger}
"""

# name: (text of BASE, what it becomes, the messages)
CASES: dict[str, tuple[str, str, list[str]]] = {
    "typo_model": (
        "xgboost: {",
        "xgbost: {",
        ["loans.yaml:17: model.xgbost: there is no model 'xgbost'; did you mean 'xgboost'?"],
    ),
    "typo_top": (
        "model:",
        "modle:",
        [
            "loans.yaml:1: model: it is required, and not given · Fix: add `model:`",
            "loans.yaml:16: modle: unknown key 'modle'; did you mean 'model'?",
        ],
    ),
    "typo_hyper": (
        "max_depth: 6",
        "max_dept: 6",
        ["loans.yaml:17: model.xgboost.max_dept: unknown key 'max_dept'; did you mean 'max_depth'?"],
    ),
    "hyper_type": (
        "max_depth: 6",
        "max_depth: ten",
        ["loans.yaml:17: model.xgboost.max_depth: expected a whole number, got 'ten' · Fix: correct the value"],
    ),
    "space": (
        "max_depth: 6",
        "max_depth: {int: [9, 3]}",
        ["loans.yaml:17: model.xgboost.max_depth: low 9 must be below high 3 · Fix: correct the value"],
    ),
    "space_word": (
        "max_depth: 6",
        "max_depth: {uniform: [3, 9]}",
        ["loans.yaml:17: model.xgboost.max_depth: there is no space 'uniform' here;"],
    ),
    "hyper_by_its_name_in_scikit_learn": (
        "max_depth: 6",
        "n_estimators: 100, eta: 0.1",
        [
            "loans.yaml:17: model.xgboost.n_estimators: unknown key 'n_estimators'; did you mean 'num_boost_round'?",
            "loans.yaml:17: model.xgboost.eta: unknown key 'eta'; did you mean 'learning_rate'?",
        ],
    ),
    "no_model_is_near": (
        "xgboost: {max_depth: 6}",
        "random_forest: {}",
        ["loans.yaml:17: model.random_forest: there is no model 'random_forest';"],
    ),
    "guessed_key": (
        "gates:\n  - auc >= 0.6\n",
        "generate: auto\n",
        ["loans.yaml:22: generate: unknown key 'generate'; did you mean 'gates'?"],
    ),
    "seed_of_the_search_is_not_written": (
        "search:",
        "seed: -1\nsearch:",
        ["loans.yaml:18: seed: expected a whole number from 0 to 4294967295, got -1 · Fix: correct the value"],
    ),
    "space_float_on_int": (
        "max_depth: 6",
        "max_depth: {float: [3, 9]}",
        ["loans.yaml:17: model.xgboost.max_depth: there is no space 'float' here;"],
    ),
    "space_log0": (
        "max_depth: 6",
        "learning_rate: {log: [0, 1]}",
        [
            "loans.yaml:17: model.xgboost.learning_rate: the bounds of a log space must be above 0, got low 0 · Fix:"
            " correct the value"
        ],
    ),
    "space_empty": (
        "max_depth: 6",
        "max_bin: {any: []}",
        ["loans.yaml:17: model.xgboost.max_bin: the list is empty · Fix: name at least one value"],
    ),
    "hyper_word": (
        "max_depth: 6",
        "objective: reg:squared",
        ["loans.yaml:17: model.xgboost.objective: 'reg:squared' is not known; did you mean 'reg:squarederror'?"],
    ),
    "hyper_of_another_task": (
        "max_depth: 6",
        "objective: reg:tweedie",
        [
            "loans.yaml:17: model.xgboost.objective: objective is for a regression, but the task is binary · Fix:"
            " remove it, or change the task"
        ],
    ),
    "space_one": (
        "max_depth: 6",
        "max_depth: {int: [3]}",
        [
            "loans.yaml:17: model.xgboost.max_depth: int: expected two bounds [low, high], got 1 values · Fix: correct"
            " the value"
        ],
    ),
    "space_two_keys": (
        "max_depth: 6",
        "max_depth: {int: [3, 4], any: [5]}",
        ["loans.yaml:17: model.xgboost.max_depth: a space is"],
    ),
    "hyper_null": (
        "{max_depth: 6}",
        "5",
        [
            "loans.yaml:17: model.xgboost: expected a mapping of hyperparameters, got 5 · Fix: write `name: value`"
            " pairs below it"
        ],
    ),
    "trials0": (
        "trials: 8",
        "trials: 0",
        ["loans.yaml:18: search.trials: expected a whole number from 1 to 100000, got 0 · Fix: correct the value"],
    ),
    "trials_true": (
        "trials: 8",
        "trials: true",
        ["loans.yaml:18: search.trials: expected a whole number from 1 to 100000, got true · Fix: correct the value"],
    ),
    "trials1e9": (
        "trials: 8",
        "trials: 1000000000",
        [
            "loans.yaml:18: search.trials: expected a whole number from 1 to 100000, got 1000000000 · Fix: correct the"
            " value"
        ],
    ),
    "trials_ten": (
        "trials: 8",
        "trials: ten",
        ["loans.yaml:18: search.trials: expected a whole number from 1 to 100000, got 'ten' · Fix: correct the value"],
    ),
    "trials_float": (
        "trials: 8",
        "trials: 8.0",
        ["loans.yaml:18: search.trials: expected a whole number from 1 to 100000, got 8.0 · Fix: correct the value"],
    ),
    "seed": (
        "trials: 8",
        "seed: -1",
        ["loans.yaml:18: search.seed: expected a whole number from 0 to 4294967295, got -1 · Fix: correct the value"],
    ),
    "seedf": (
        "trials: 8",
        "seed: 1.5",
        ["loans.yaml:18: search.seed: expected a whole number from 0 to 4294967295, got 1.5 · Fix: correct the value"],
    ),
    "nan": (
        "max_depth: 6",
        "gamma: .nan",
        ["loans.yaml:17: model.xgboost.gamma: .nan is not finite · Fix: write a number"],
    ),
    "octal": (
        "trials: 8",
        "trials: 012",
        ['loans.yaml:18: search.trials: 012 is ambiguous: YAML 1.1 reads an octal number · Fix: write 12 or "012"'],
    ),
    "no_bool": (
        "trials: 8",
        "deterministic: no",
        ["loans.yaml:18: search.deterministic: expected true or false, got 'no' · Fix: correct the value"],
    ),
    "time": (
        "trials: 8",
        "time: soon",
        [
            "loans.yaml:18: search.time: expected a length of time like 90s, 10m, 6h, 1d or 2w, got 'soon' · Fix:"
            " correct the value"
        ],
    ),
    "dup": (
        "search: {trials: 8, metric: auc}",
        "search: {trials: 8, metric: auc, trials: 9}",
        ["loans.yaml:18: search.trials: the key is given twice, both in line 18 · Fix: remove one"],
    ),
    "tag": (
        "name: loans",
        "name: !!python/object:os.system loans",
        ["loans.yaml:1: name: the tag !!python/object:os.system is not allowed · Fix: write plain values only"],
    ),
    "merge": (
        "split: {",
        "split: {<<: {a: 1}, ",
        ["loans.yaml:15: merge keys (<<) are not YAML 1.2 · Fix: write the keys out"],
    ),
    "required": (
        "    path: data/loans.parquet\n",
        "",
        ["loans.yaml:4: features.labels.path: it is required, and not given · Fix: add `path:`"],
    ),
    "required_on": (
        "    on: [region]\n",
        "",
        ["loans.yaml:10: features.rates.on: it is required, and not given · Fix: add `on:`"],
    ),
    "required_split": (
        "split: {by: time, validation: 2013-09-01, test: 2013-11-01}\n",
        "",
        ["loans.yaml:1: split: it is required, and not given · Fix: add `split:`"],
    ),
    "required_by": (
        "by: time, ",
        "",
        ["loans.yaml:15: split: write which splitter: `by:`"],
    ),
    "split_word": (
        "by: time",
        "by: tme",
        ["loans.yaml:15: split.by: there is no splitter 'tme'; did you mean 'time'?"],
    ),
    "split_key": (
        "test: 2013-11-01",
        "tset: 2013-11-01",
        [
            "loans.yaml:15: split.test: it is required, and not given · Fix: add `test:`",
            "loans.yaml:15: split.tset: unknown key 'tset'; did you mean 'test'?",
        ],
    ),
    "split_order": (
        "validation: 2013-09-01",
        "validation: 2013-12-01",
        ["loans.yaml:15: split: validation (2013-12-01) must be before test (2013-11-01) · Fix: correct the value"],
    ),
    "split_date": (
        "validation: 2013-09-01",
        "validation: september",
        ["loans.yaml:15: split.validation: expected a date like 2013-09-01, got 'september' · Fix: correct the value"],
    ),
    "split_gap": (
        "test: 2013-11-01",
        "test: 2013-11-01, gap: 100d",
        ["loans.yaml:15: split.gap: the gap of 100d swallows validation, which lasts 61d · Fix: shorten the gap"],
    ),
    "split_shares": (
        "{by: time, validation: 2013-09-01, test: 2013-11-01}",
        "{by: random, validation: 0.6, test: 0.5}",
        [
            "loans.yaml:15: split.validation: validation and test sum to 1.1, which leaves nothing to train on · Fix:"
            " make them sum to less than 1"
        ],
    ),
    "split_share_neg": (
        "{by: time, validation: 2013-09-01, test: 2013-11-01}",
        "{by: random, validation: -0.1}",
        ["loans.yaml:15: split.validation: expected a number above 0, got -0.1 · Fix: correct the number"],
    ),
    "split_col_type": (
        "{by: time, validation: 2013-09-01, test: 2013-11-01}",
        "{by: column, column: 5}",
        ["loans.yaml:15: split.column: expected text, got 5 · Fix: correct the value"],
    ),
    "label_feature": (
        "[amount, age]",
        "[amount, status]",
        [
            "loans.yaml:9: features.labels.columns[1]: 'status' is both a feature (columns[1]) and the label · Fix:"
            " remove it from"
        ],
    ),
    "key_feature": (
        "[amount, age]",
        "[amount, loan_id]",
        [
            "loans.yaml:9: features.labels.columns[1]: 'loan_id' is both a feature (columns[1]) and features.labels.key"
            " · Fix: remove it from"
        ],
    ),
    "two_roles": (
        "key: loan_id",
        "key: asked_at",
        [
            "loans.yaml:8: features.labels.time: 'asked_at' is both features.labels.time and features.labels.key · Fix:"
            " give each role a column of its own"
        ],
    ),
    "twice": (
        "[amount, age]",
        "[amount, amount]",
        ["loans.yaml:9: features.labels.columns: 'amount' is listed twice · Fix: correct the value"],
    ),
    "columns_type": (
        "[amount, age]",
        "7",
        ["loans.yaml:9: features.labels.columns: expected a list, got 7 · Fix: correct the value"],
    ),
    "columns_item": (
        "[amount, age]",
        "[amount, 7]",
        ["loans.yaml:9: features.labels.columns[1]: expected text, got 7 · Fix: correct the value"],
    ),
    "label_expr": (
        "label: status == 'bad'",
        "label: status = 'bad'",
        [
            "loans.yaml:6: features.labels.label: \"status = 'bad'\", at character 8 (\"= 'bad'\"): write `==` to"
            " compare · Fix: correct the value"
        ],
    ),
    "label_table": (
        "label: status == 'bad'",
        "label: rates.rate > 1",
        [
            "loans.yaml:6: features.labels.label: 'rates.rate' is a column of a feature table; a label comes from the"
            " label table · Fix: name a column of features.labels"
        ],
    ),
    "label_type": (
        "label: status == 'bad'",
        "label: 5",
        ["loans.yaml:6: features.labels.label: expected text, got 5 · Fix: correct the value"],
    ),
    "notime": (
        "    time: asked_at\n",
        "",
        [
            (
                "loans.yaml:12: features.rates.time: rates is joined as of features.labels.time, which is not given ·"
                " Fix: name the moment of prediction: `features.labels.time: COLUMN`"
            ),
            (
                "loans.yaml:14: split.by: a time split needs features.labels.time, which is not given · Fix: name the"
                " moment of prediction: `features.labels.time: COLUMN`"
            ),
        ],
    ),
    "known_at": (
        "    time: day\n",
        "    known_at: seen\n    max_age: 6h\n",
        [
            (
                "loans.yaml:13: features.rates.known_at: known_at needs features.rates.time, which is not given · Fix:"
                " add `time:` to rates, or remove known_at"
            ),
            (
                "loans.yaml:14: features.rates.max_age: max_age needs features.rates.time, which is not given · Fix:"
                " add `time:` to rates, or remove max_age"
            ),
        ],
    ),
    "max_age": (
        "    time: day\n",
        "    time: day\n    max_age: six hours\n",
        [
            "loans.yaml:14: features.rates.max_age: expected a length of time like 90s, 10m, 6h, 1d or 2w, got 'six"
            " hours' · Fix: correct the value"
        ],
    ),
    "on_empty": (
        "on: [region]",
        "on: []",
        ["loans.yaml:12: features.rates.on: the list is empty · Fix: name at least one, or leave the key out"],
    ),
    "table_name": (
        "  rates:",
        "  my rates:",
        [
            "loans.yaml:10: features.my rates: a feature table's name has letters, digits and _ only, got 'my rates' ·"
            " Fix: rename it"
        ],
    ),
    "labels_typo": (
        "  labels:",
        "  lables:",
        ["loans.yaml:4: features.lables: unknown key 'lables'; did you mean 'labels'? Fix: write 'labels'"],
    ),
    "table_key": (
        "    on: [region]",
        "    no: [region]",
        [
            "loans.yaml:10: features.rates.on: it is required, and not given · Fix: add `on:`",
            "loans.yaml:12: features.rates.no: unknown key 'no'; did you mean 'on'?",
        ],
    ),
    "kind": (
        "    path: data/rates",
        "    path: data/rates\n    kind: parquett",
        ["loans.yaml:12: features.rates.kind: there is no source 'parquett'; did you mean 'parquet'?"],
    ),
    "feast_neither": (
        "    path: data/rates\n    on: [region]\n    time: day\n    columns: [rate]\n",
        "    path: data/rates\n    kind: feast\n",
        [
            "loans.yaml:10: features.rates: a Feast repository takes either `service: NAME` or `views: [NAME, ...]` ·"
            " Fix: correct the value"
        ],
    ),
    "env": (
        "path: data/rates",
        "path: ${env:RAY_PIPELINE_NOT_SET}/rates",
        [
            "loans.yaml:11: features.rates.path: the environment variable RAY_PIPELINE_NOT_SET is not set · Fix:"
            " correct the value"
        ],
    ),
    "env_stray": (
        "name: loans",
        "name: ${env:HOME}",
        [
            (
                "loans.yaml:1: name: '${env:HOME}': ${env:NAME} is allowed in paths and URIs only · Fix: write the"
                " value itself"
            ),
            (
                "loans.yaml:1: name: a name has 1 to 100 characters out of A-Z a-z 0-9 _ . - and does not start with"
                " '-', got '${env:HOME}' · Fix: correct the value"
            ),
        ],
    ),
    "env_where": (
        "label: status == 'bad'",
        "label: status == '${env:HOME}'",
        [
            "loans.yaml:6: features.labels.label: \"status == '${env:HOME}'\": ${env:NAME} is allowed in paths and URIs"
            " only · Fix: write the value itself"
        ],
    ),
    "env_form": (
        "path: data/rates",
        "path: ${HOME}/rates",
        [
            "loans.yaml:11: features.rates.path: '${HOME}/rates': the only variables are ${env:NAME} · Fix: correct the"
            " value"
        ],
    ),
    "scheme": (
        "path: data/rates",
        "path: ftp://host/rates",
        ["loans.yaml:11: features.rates.path: there is no scheme 'ftp://' for data;"],
    ),
    "userinfo": (
        "path: data/rates",
        "path: s3://me:secret@bucket/rates",
        [
            "loans.yaml:11: features.rates.path: the URI carries a user or password · Fix: remove it, credentials come"
            " from the environment"
        ],
    ),
    "secret": (
        "register: {alias: challenger}",
        "register: {alias: challenger, token: abc}",
        [
            "loans.yaml:24: register.token: unknown key 'token', which looks like a secret · Fix: remove it;"
            " credentials come from the environment"
        ],
    ),
    "name": (
        "name: loans",
        "name: ../loans",
        [
            "loans.yaml:1: name: a name has 1 to 100 characters out of A-Z a-z 0-9 _ . - and does not start with '-',"
            " got '../loans' · Fix: correct the value"
        ],
    ),
    "name_dash": (
        "name: loans",
        "name: -loans",
        [
            "loans.yaml:1: name: a name has 1 to 100 characters out of A-Z a-z 0-9 _ . - and does not start with '-',"
            " got '-loans' · Fix: correct the value"
        ],
    ),
    "name_type": (
        "name: loans",
        "name: 5",
        ["loans.yaml:1: name: expected text, got 5 · Fix: correct the value"],
    ),
    "task": (
        "task: binary",
        "task: clasification",
        ["loans.yaml:2: task: there is no task 'clasification';"],
    ),
    "task_type": (
        "task: binary",
        "task: 2",
        ["loans.yaml:2: task: expected"],
    ),
    "metric": (
        "metric: auc",
        "metric: acu",
        ["loans.yaml:18: search.metric: there is no metric 'acu'; did you mean 'auc'?"],
    ),
    "metric_parameter": (
        "metric: auc",
        "metric: {f_beta: {betta: 2}}",
        [
            "loans.yaml:18: search.metric.f_beta.beta: it is required, and not given · Fix: add `beta:`",
            "loans.yaml:18: search.metric.f_beta.betta: unknown key 'betta'; did you mean 'beta'?",
        ],
    ),
    "metric_parameter_value": (
        "metrics: [auc]",
        "metrics: [auc, {lift_at: {share: 2}}]",
        [
            "loans.yaml:20: evaluate.metrics[1].lift_at.share: expected a number of at most 1, got 2 · Fix: correct"
            " the number"
        ],
    ),
    "metric_parameter_lacking": (
        "metrics: [auc]",
        "metrics: [auc, pinball]",
        ["loans.yaml:20: evaluate.metrics[1].quantile: it is required, and not given · Fix: add `quantile:`"],
    ),
    "metric_parameters_in_text": (
        "metrics: [auc]",
        "metrics: ['f_beta(beta 2)']",
        [
            "loans.yaml:20: evaluate.metrics[0]: 'f_beta(beta 2)' is no choice with parameters · Fix: write"
            " name(parameter=value,other=value)"
        ],
    ),
    "metric_twice": (
        "metrics: [auc]",
        "metrics: ['f_beta(beta=2)', {f_beta: {beta: 2.0}}]",
        ["loans.yaml:20: evaluate.metrics: 'f_beta(beta=2)' is listed twice · Fix: correct the value"],
    ),
    "metric_of_many_classes": (
        "metrics: [auc]",
        "metrics: [auc, {precision: {average: macro}}]",
        ["loans.yaml:20: evaluate.metrics[1]: 'precision(average=macro)' is not a binary metric;"],
    ),
    "metric_type": (
        "metrics: [auc]",
        "metrics: [auc, 5]",
        [
            "loans.yaml:20: evaluate.metrics[1]: expected a name or {name: {parameter: value}}, got 5 · Fix: correct"
            " the value"
        ],
    ),
    "metric_task": (
        "metric: auc",
        "metric: rmse",
        ["loans.yaml:18: search.metric: 'rmse' is not a binary metric;"],
    ),
    "metrics": (
        "metrics: [auc]",
        "metrics: [auc, f11]",
        ["loans.yaml:20: evaluate.metrics[1]: there is no metric 'f11'; did you mean 'f1'?"],
    ),
    "metrics_alone": (
        "metrics: [auc]",
        "metrics: acu",
        ["loans.yaml:20: evaluate.metrics[0]: there is no metric 'acu'; did you mean 'auc'?"],
    ),
    "metrics_empty": (
        "metrics: [auc]",
        "metrics: []",
        ["loans.yaml:20: evaluate.metrics: the list is empty · Fix: name at least one, or leave the key out"],
    ),
    "threshold": (
        "  metrics: [auc]",
        "  threshold: {maximise: f1}",
        [
            "loans.yaml:20: evaluate.threshold: there is no rule 'maximise'; did you mean 'maximize'? write a number,"
            " {maximize: METRIC}, {minimize: METRIC} or {cost: {false_positive: 1, false_negative: 5}} · Fix: correct"
            " the value"
        ],
    ),
    "threshold2": (
        "  metrics: [auc]",
        "  threshold: {maximize: auc}",
        ["loans.yaml:20: evaluate.threshold.maximize: 'auc' does not depend on the threshold or has no best;"],
    ),
    "threshold_worst": (
        "  metrics: [auc]",
        "  threshold: {maximize: false_negative_rate}",
        [
            "loans.yaml:20: evaluate.threshold.maximize: lower values of 'false_negative_rate' are better · Fix: write"
            " {minimize: false_negative_rate}"
        ],
    ),
    "threshold_best": (
        "  metrics: [auc]",
        "  threshold: {minimize: f1}",
        ["loans.yaml:20: evaluate.threshold.minimize: higher values of 'f1' are better · Fix: write {maximize: f1}"],
    ),
    "threshold3": (
        "  metrics: [auc]",
        "  threshold: 1.5",
        ["loans.yaml:20: evaluate.threshold: expected a number from 0 to 1, got 1.5 · Fix: correct the value"],
    ),
    "threshold4": (
        "  metrics: [auc]",
        "  threshold: {cost: {false_positive: -1}}",
        [
            (
                "loans.yaml:20: evaluate.threshold.cost.false_positive: expected a number of at least 0, got -1 · Fix:"
                " correct the value"
            ),
            (
                "loans.yaml:20: evaluate.threshold.cost.false_negative: it is required, and not given · Fix: add"
                " `false_negative:`"
            ),
        ],
    ),
    "slices": (
        "slices: [region]",
        "slices: [5]",
        [
            "loans.yaml:21: evaluate.slices[0]: 5 is not a slice · Fix: write a column, {column: NAME, bins: 4} or a"
            " list of columns"
        ],
    ),
    "slices_bins": (
        "slices: [region]",
        "slices: [{column: age, bins: 1}]",
        [
            "loans.yaml:21: evaluate.slices[0]: {'column': 'age', 'bins': 1} is not a slice: bins: Input should be"
            " greater than or equal to 2 · Fix: correct the value"
        ],
    ),
    "slices_clash": (
        "slices: [region]",
        "slices: [age, {column: age, bins: 3}]",
        [
            "loans.yaml:21: evaluate.slices: 'age' is sliced both by value and into 3 bins; slice a column in one way ·"
            " Fix: drop"
        ],
    ),
    "confidence": (
        "  metrics: [auc]",
        "  confidence: 95",
        ["loans.yaml:20: evaluate.confidence: expected a number between 0.5 and 1, got 95 · Fix: correct the value"],
    ),
    "calibrate": (
        "  metrics: [auc]",
        "  calibrate: platt",
        ["loans.yaml:20: evaluate.calibrate: there is no calibrator 'platt';"],
    ),
    "gate": (
        "auc >= 0.6",
        "acu >= 0.6",
        ["loans.yaml:23: gates[0]: there is no metric 'acu'; did you mean 'auc'?"],
    ),
    "gate_range": (
        "auc >= 0.6",
        "auc >= 1.2",
        ["loans.yaml:23: gates[0]: 'auc >= 1.2' can never hold: auc lies in [0, 1] · Fix: correct the gate"],
    ),
    "gate_contra": (
        "  - auc >= 0.6",
        "  - auc >= 0.6\n  - auc <= 0.5",
        [
            "loans.yaml:24: gates[1]: 'auc <= 0.5' contradicts 'auc >= 0.6': no model can pass both · Fix: correct the"
            " gate"
        ],
    ),
    "gate_task": (
        "auc >= 0.6",
        "rmse <= 0.6",
        ["loans.yaml:23: gates[0]: 'rmse' is not a binary metric;"],
    ),
    "gate_by": (
        "auc >= 0.6",
        "auc worst by zone >= 0.6",
        [
            "loans.yaml:23: gates[0]: 'zone' in 'auc worst by zone >= 0.6' is neither a slice nor a bias group; add it"
            " to evaluate.slices or bias.groups;"
        ],
    ),
    "gate_type": (
        "  - auc >= 0.6",
        "  - 5",
        ["loans.yaml:23: gates[0]: expected a gate such as `auc >= 0.7`, got 5 · Fix: correct the value"],
    ),
    "gates_map": (
        "  - auc >= 0.6",
        "  auc: 0.6",
        ["loans.yaml:22: gates: expected a list, got a mapping with auc · Fix: correct the value"],
    ),
    "alias": (
        "alias: challenger",
        "alias: v1",
        [
            "loans.yaml:24: register.alias: an alias has 1 to 100 characters out of A-Z a-z 0-9 _ -, and is neither"
            " `latest` nor `v1`, got 'v1' · Fix: correct the value"
        ],
    ),
    "alias2": (
        "alias: challenger",
        "alias: a b",
        [
            "loans.yaml:24: register.alias: an alias has 1 to 100 characters out of A-Z a-z 0-9 _ -, and is neither"
            " `latest` nor `v1`, got 'a b' · Fix: correct the value"
        ],
    ),
    "register_true": (
        "register: {alias: challenger}",
        "register: true",
        [
            "loans.yaml:24: register: expected false or a mapping such as {alias: challenger}, got true · Fix: correct"
            " the value"
        ],
    ),
    "register_key": (
        "alias: challenger",
        "alais: challenger",
        ["loans.yaml:24: register.alais: unknown key 'alais'; did you mean 'alias'?"],
    ),
    "register_when": (
        "alias: challenger",
        "when: allways",
        ["loans.yaml:24: register.when: expected"],
    ),
    "select": (
        "search:",
        "select: {from: 2014-01-01, to: 2013-01-01}\nsearch:",
        ["loans.yaml:18: select.to: to (2013-01-01) must be after from (2014-01-01) · Fix: correct"],
    ),
    "select_cut": (
        "search:",
        "select: {from: 2013-10-01}\nsearch:",
        [
            "loans.yaml:15: split.validation: the cut 2013-09-01 is not after select.from (2013-10-01), so that the"
            " part before it is empty · Fix: move the cut into the range"
        ],
    ),
    "where_value": (
        "search:",
        "select: {where: amount + 1}\nsearch:",
        ["loans.yaml:18: select.where: 'amount + 1' is a value, not a condition · Fix: compare it with something"],
    ),
    "where_expr": (
        "search:",
        "select: {where: amount > 1 AND age > 3}\nsearch:",
        [
            "loans.yaml:18: select.where: 'amount > 1 AND age > 3', at character 12 ('AND age > 3'): keywords are"
            " lower-case: write `and` (a column of that name stands in backticks) · Fix: correct the value"
        ],
    ),
    "search_list": (
        "search: {trials: 8, metric: auc}",
        "search: [1]",
        ["loans.yaml:18: search: expected a mapping of keys to values, got a list of 1 · Fix: correct the value"],
    ),
    "models_list": (
        "model:\n  xgboost: {max_depth: 6}",
        "model: [xgboost, mpl]",
        ["loans.yaml:16: model.mpl: there is no model 'mpl'; did you mean 'mlp'?"],
    ),
    "models_twice": (
        "model:\n  xgboost: {max_depth: 6}",
        "model: [xgboost, xgboost]",
        ["loans.yaml:16: model: 'xgboost' is listed twice · Fix: correct the value"],
    ),
    "models_none": (
        "model:\n  xgboost: {max_depth: 6}",
        "model: {}",
        ["loans.yaml:16: model: no model is named;"],
    ),
    "models_num": (
        "model:\n  xgboost: {max_depth: 6}",
        "model: 5",
        [
            "loans.yaml:16: model: expected the name of a model, a list of names, or a mapping, got 5 · Fix: correct"
            " the value"
        ],
    ),
    "syntax": (
        "search: {trials: 8, metric: auc}",
        "search: {trials: 8",
        [
            "loans.yaml:19: this is not YAML: while parsing a flow mapping expected ',' or '}', but got ':', column 9:"
            " evaluate: · Fix: correct the line"
        ],
    ),
    "colon": (
        "name: loans",
        "name: loans: 2",
        [
            "loans.yaml:1: this is not YAML: mapping values are not allowed here, column 12: name: loans: 2"
            " · Fix: correct the line"
        ],
    ),
    "tab": (
        "  labels:",
        "\tlabels:",
        [
            "loans.yaml:4: this is not YAML: while scanning for the next token found character '\\t' that cannot start"
            " any token, column 1: labels: · Fix: indent with spaces, not tabs"
        ],
    ),
    "regression": (
        "task: binary",
        "task: regression",
        [
            (
                "loans.yaml:2: task: the label \"status == 'bad'\" is true or false, but the task is regression · Fix:"
                " write `task: binary`, or a label with more values"
            ),
            "loans.yaml:18: search.metric: 'auc' is not a regression metric;",
            "loans.yaml:20: evaluate.metrics[0]: 'auc' is not a regression metric;",
            "loans.yaml:23: gates[0]: 'auc' is not a regression metric;",
        ],
    ),
    "fail_on": (
        "search:",
        "checks: {fail_on: always}\nsearch:",
        ["loans.yaml:18: checks.fail_on: expected"],
    ),
    "encode_unknown": (
        "search:",
        "encode: {amount: {imputed: median}}\nsearch:",
        ["loans.yaml:18: encode.amount.imputed: unknown key 'imputed'; did you mean 'impute'?"],
    ),
    "encode_scale": (
        "search:",
        "encode: {amount: {scale: robustly}}\nsearch:",
        ["loans.yaml:18: encode.amount.scale: expected"],
    ),
    "encode_two_kinds": (
        "search:",
        "encode: {amount: {scale: robust, as: one_hot}}\nsearch:",
        [
            "loans.yaml:18: encode.amount: scale, as do not go together · Fix: `as: frequency` takes impute, rare; `as:"
            " moment` takes parts, cycles; `as: number` takes impute, scale, flag; `as: one_hot` takes impute, rare;"
            " `as: ordinal` takes impute, rare; `as: target` takes impute, rare"
        ],
    ),
    "encode_as": (
        "search:",
        "encode: {amount: {as: onehot}}\nsearch:",
        ["loans.yaml:18: encode.amount.as: there is no column encoding 'onehot'; did you mean 'one_hot'?"],
    ),
    "encode_as_parameter": (
        "search:",
        "encode: {amount: {as: {target: {smooth: 3}}}}\nsearch:",
        ["loans.yaml:18: encode.amount.as.target.smooth: unknown key 'smooth';"],
    ),
    "extra_check": (
        "search:",
        "checks: {extra: [leekage]}\nsearch:",
        ["loans.yaml:18: checks.extra[0]: there is no check 'leekage'; did you mean 'leakage'?"],
    ),
    "slice_kind": (
        "slices: [region]",
        "slices: [{quantil: {column: age}}]",
        ["loans.yaml:21: evaluate.slices[0]: there is no slice 'quantil'; did you mean 'quantile'?"],
    ),
    "source_key": (
        "    path: data/rates",
        "    path: data/rates\n    kind: delta\n    vacuum: true",
        ["loans.yaml:13: features.rates.vacuum: unknown key 'vacuum';"],
    ),
    "source_s_hidden_key": (
        "    path: data/rates",
        "    path: data/rates\n    parameters: {a: 1}",
        ["loans.yaml:12: features.rates.parameters: unknown key 'parameters';"],
    ),
    "ignored_check": (
        "search:",
        "checks: {ignore: [drift, 'leekage:paid']}\nsearch:",
        ["loans.yaml:18: checks.ignore[1]: there is no check 'leekage'; did you mean 'leakage'?"],
    ),
    "class_weight_of_no_class": (
        "search:",
        "fit: {class_weight: {'yes': 20, true: 3, '0': 1}}\nsearch:",
        ["loans.yaml:18: fit.class_weight.yes: there is no class 'yes' in a binary task;"],
    ),
    "class_weight_twice": (
        "search:",
        "fit: {class_weight: {true: 20, 1: 3}}\nsearch:",
        ["loans.yaml:18: fit.class_weight.1: class 1 has two weights, as 'true' and as '1' · Fix: remove one"],
    ),
    "features_list": (
        "features:",
        "features: []\nfoo:",
        [
            "loans.yaml:3: features: expected a mapping of keys to values, got a list of 0 · Fix: correct the value",
            "loans.yaml:4: foo: unknown key 'foo';",
        ],
    ),
    "features_null": (
        BASE[BASE.index("features") : BASE.index("split")],
        "features:\n",
        ["loans.yaml:3: features: it is required, and not given · Fix: add `features:`"],
    ),
}

# name: (the whole file, the message after its name)
FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ": it is empty"),
    "only comments": (b"# nothing\n\n", ": it is empty"),
    "a list": (b"- name: loans\n", ":1: it is a list at the top level"),
    "one value": (b"loans\n", ":1: it is one value at the top level"),
    "not UTF-8": (b"name: a\ntask: \xff\n", ":2: byte 0xff at offset 14 is not UTF-8"),
    "NUL": (b"name: a\0\n", ":1: this is not YAML: the control character U+0000 is not allowed"),
    "larger than 1 MiB": (b"#" * (2**20 + 1), ": it is larger than 1 MiB"),
    "nested too deeply": (b"a: " + b"[" * 100_000, ":1: more than 32 levels of nesting"),
    "alias bomb": (
        b"a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + b"".join(b"%c: &%c [%s]\n" % (x + 1, x + 1, b",".join([b"*%c" % x] * 10)) for x in range(97, 103)),
        ":5: it expands to more than 100,000 values",
    ),
    "unknown alias": (b"name: *loans\n", ":1: there is no anchor &loans before this"),
    "recursive alias": (b"a: &a [*a]\n", ":1: there is no anchor &a before this"),
    "two documents": (b"a: 1\n---\nb: 2\n", ":2: a second document starts here"),
    "a list as key": (b"? [a]\n: 1\n", ":1: a key must be plain text"),
    "python object": (
        b"name: !!python/object/apply:os.system ['true']\n",
        ":1: the tag !!python/object/apply:os.system is not allowed",
    ),
    "binary": (b"name: !!binary aGk=\n", ":1: name: the tag !!binary is not allowed"),
    "duplicate key": (b"name: a\ntask: binary\nname: b\n", ":3: name: the key is given twice, at lines 1 and 3"),
    "too large": (b"seed: 1e999\n", ":1: seed: 1e999 is too large for a number"),
}


def told(error: PipelineError) -> list[str]:
    return [re.split(r" ?(?:[Kk]nown:|one of )", str(problem))[0] for problem in error.problems]


@pytest.mark.parametrize("name", CASES)
def test_a_bad_spec_is_told_exactly(name: str) -> None:
    old, new, messages = CASES[name]
    assert old in BASE
    with pytest.raises(SpecError) as refused:
        Spec.from_text(BASE.replace(old, new, 1), file="loans.yaml")
    assert told(refused.value) == messages
    assert refused.value.exit_code == 2
    assert all(problem.fix and problem.file == "loans.yaml" and problem.line for problem in refused.value.problems)


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_told_exactly(name: str, tmp_path: Path) -> None:
    raw, message = FILES[name]
    file = tmp_path / "loans.yaml"
    file.write_bytes(raw)
    with pytest.raises(SpecError) as refused:
        Spec.from_file(file)
    assert str(refused.value.problems[0]).startswith(f"{file}{message}"), refused.value


def test_absent_file_directory_and_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("a: 1")
    for path, found in (
        (tmp_path / "loans.yaml", "there is no such file"),
        (tmp_path, "this is a directory"),
        (Path("a\0b"), "it cannot be read"),
    ):
        with pytest.raises(SpecError, match=found):
            Spec.from_file(path)
    with pytest.raises(SpecError, match=r"here are other\.yaml"):
        Spec.from_file(tmp_path / "loans.yaml")


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "loans.yaml").write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert Spec.from_file(tmp_path / "loans.yaml") == Spec.from_text(BASE)


def test_all_problems_are_told_at_once() -> None:
    text = (
        BASE.replace("auc >= 0.6", "acu >= 0.6")
        .replace("key: loan_id", "kay: loan_id")
        .replace("trials: 8", "trials: ten")
        .replace("xgboost:", "xgbost:")
    )
    with pytest.raises(SpecError) as refused:
        Spec.from_text(text, file="loans.yaml")
    assert [problem.line for problem in refused.value.problems] == [7, 17, 18, 23]


def test_environment_variables_stand_in_paths_only(monkeypatch: pytest.MonkeyPatch) -> None:
    text = BASE.replace("path: data/rates", "path: ${env:LAKE}/rates")
    for value, found in (
        (None, "LAKE is not set"),
        ("", "LAKE is empty"),
        ("s3://me:pw@bucket", "carries a user or password"),
        ("ftp://host", "no scheme 'ftp://'"),
    ):
        monkeypatch.delenv("LAKE", raising=False)
        if value is not None:
            monkeypatch.setenv("LAKE", value)
        with pytest.raises(SpecError, match=found) as refused:
            Spec.from_text(text)
        assert "pw" not in str(refused.value)
    monkeypatch.setenv("LAKE", "/lake")
    assert Spec.from_text(text).features.tables["rates"].path == "${env:LAKE}/rates"


def test_windows_line_ends_change_neither_the_spec_nor_the_lines_of_its_problems(tmp_path: Path) -> None:
    file = tmp_path / "loans.yaml"
    file.write_bytes(BASE.replace("\n", "\r\n").encode())
    assert Spec.from_file(file).fingerprint == Spec.from_text(BASE, folder=tmp_path).fingerprint
    file.write_bytes(BASE.replace("auc >= 0.6", "acu >= 0.6").replace("\n", "\r\n").encode())
    with pytest.raises(SpecError, match=r"loans\.yaml:23: gates\[0\]: .*'auc'"):
        Spec.from_file(file)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["search.trials"], "--set: 'search.trials' is not key=value"),
        (["=5"], "--set: '=5' is not key=value"),
        (["search..trials=5"], "--set: 'search..trials=5' is not key=value"),
        (["search.trials=[1"], "search.trials: in --set 'search.trials=[1': this is not YAML"),
        (["search.trials=012"], "search.trials: in --set 'search.trials=012': 012 is ambiguous"),
        (["search.trails=5"], "loans.yaml:18: search.trails: unknown key 'trails'; did you mean 'trials'?"),
        (["serch.trials=5"], "loans.yaml:1: serch: unknown key 'serch'; did you mean 'search'?"),
        (["trials=5"], "loans.yaml:1: trials: unknown key 'trials'; did you mean 'search.trials'? Fix: write it as"),
        (["model.xgboost.max_dept=3"], "loans.yaml:17: model.xgboost.max_dept: unknown key 'max_dept'; did you mean"),
        (["search.trials 8"], "--set: 'search.trials 8' is not key=value · Fix: write --set search.trials=8"),
        (["search.trials"], "--set: 'search.trials' is not key=value · Fix: write --set search.trials=VALUE"),
    ],
)
def test_a_bad_override_is_told(sets: list[str], message: str) -> None:
    with pytest.raises(SpecError) as refused:
        Spec.from_text(BASE, sets, file="loans.yaml")
    assert str(refused.value.problems[0]).startswith(message)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (
            ["search.trials=2", "serch.trials=5"],
            "--set serch.trials: serch: unknown key 'serch'; did you mean 'search'?",
        ),
        (["model.xgboost.max_dept=3"], "--set model.xgboost.max_dept: model.xgboost.max_dept: unknown key 'max_dept'"),
        (
            ["evaluate={slises: [region]}"],
            "--set evaluate: evaluate.slises: unknown key 'slises'; did you mean 'slices'?",
        ),
        (["search.trials=2", "features.rates.time=null"], "loans.yaml:"),
    ],
)
def test_what_the_command_line_has_set_is_named_as_its_place(tmp_path: Path, sets: list[str], message: str) -> None:
    (tmp_path / "loans.yaml").write_text(
        BASE.replace("[region]\n    time", "[]\n    time") if "null" in sets[-1] else BASE
    )
    with pytest.raises(SpecError) as refused:
        Spec.from_file(tmp_path / "loans.yaml", sets)
    assert message in str(refused.value.problems[0])
    assert (refused.value.problems[0].line is None) == message.startswith("--set")


@pytest.mark.parametrize(
    ("kind", "key", "near", "known"),
    [
        ("csv", "delimeter", "delimiter", "delimiter, decimal, encoding, skip_rows"),
        ("parquet", "colums", "columns", "columns"),
        ("sql", "querry", "query", "query"),
        ("nothing", "delimeter", None, None),
    ],
)
@pytest.mark.parametrize("table", ["labels", "rates"])
def test_the_known_keys_of_a_table_are_also_those_of_its_kind(
    table: str, kind: str, key: str, near: str | None, known: str | None
) -> None:
    sets = [f"features.{table}.{one}" for one in (f"kind={kind}", f"{key}=x")]
    if kind == "sql":
        sets += [f"features.{table}.{one}" for one in ("url='sqlite:///a.db'", "query=SELECT 1")]
    with pytest.raises(SpecError) as refused:
        Spec.from_text(BASE, sets, file="loans.yaml")
    told = [one for one in refused.value.problems if one.key == f"features.{table}.{key}"]
    if near is None or known is None:
        assert "there is no source 'nothing'" in str(refused.value.problems[0])
    else:
        assert f"did you mean {near!r}? Known: path, kind, " in told[0].found and known in told[0].found
        assert told[0].fix == f"write {near!r}"


def test_a_family_of_ones_own_must_be_trusted_and_be_one() -> None:
    spec = Spec.from_text(
        BASE.replace("  xgboost: {max_depth: 6}", "  json.JSONDecoder: {depth: 3}"), file="loans.yaml"
    )
    for packages, told in (
        ((), "'json.JSONDecoder' is not trusted; the cluster file allows it with `trust: [json]`"),
        (("js",), "is not trusted"),
        (
            ("json",),
            "'json.JSONDecoder' is not a class that derives from ray_pipeline.components.models._base.Model",
        ),
    ):
        with pytest.raises(SpecError, match=r"loans\.yaml:17: model\.json\.JSONDecoder: ") as refused:
            spec.trusting(packages)
        assert told in str(refused.value)


@pytest.mark.parametrize(
    ("family", "library", "extra"),
    [("mlp", "torch", "nn"), ("lightgbm", "lightgbm", "lightgbm"), ("catboost", "catboost", "catboost")],
)
def test_a_family_whose_library_is_absent_names_the_extra_before_any_work(
    family: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Spec.from_text(BASE.replace("  xgboost: {max_depth: 6}", f"  {family}: {{}}"), file="loans.yaml")
    assert spec.not_installed() == ()
    monkeypatch.setattr("ray_pipeline.spec.installed.find_spec", lambda name: None)
    (problem,) = spec.not_installed()
    assert (
        str(problem)
        == f"loans.yaml:17: model.{family}: {family!r} trains with {library}, which is not installed · Fix:"
        f" pip install 'ray-pipeline[{extra}]'"
    )
    with pytest.raises(SpecError, match=rf"ray-pipeline\[{extra}\]"):
        pipeline.run(spec)


def run(*words: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON answer and standard error of one verb."""
    done = CliRunner().invoke(build(), [*words, "--json"])
    return done.exit_code, json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_check_tells_every_problem_and_exits_2(tmp_path: Path) -> None:
    file = tmp_path / "loans.yaml"
    file.write_text(BASE.replace("auc >= 0.6", "acu >= 0.6").replace("trials: 8", "trials: 0"))
    code, answer, stderr = run("check", str(file))
    assert (code, answer["status"], answer["exit"], answer["fingerprint"]) == (2, "error", 2, None)
    assert [(problem["line"], problem["key"]) for problem in answer["problems"]] == [
        (18, "search.trials"),
        (23, "gates[0]"),
    ]
    assert set(answer["problems"][0]) == {"file", "line", "key", "stage", "column", "rows", "found", "fix"}
    assert "Traceback" not in stderr


def test_check_takes_the_lowest_code_of_text_and_data(tmp_path: Path) -> None:
    file = tmp_path / "loans.yaml"
    file.write_text(BASE)
    code, answer, _ = run("check", str(file))
    assert (code, [problem["key"] for problem in answer["problems"]]) == (
        3,
        ["features.labels.path", "features.rates.path"],
    )
    file.write_text(BASE.replace("  xgboost: {max_depth: 6}", "  my_package.Forest: {}"))
    code, answer, _ = run("check", str(file))
    assert (code, len(answer["problems"])) == (2, 3)


mutations = st.lists(
    st.tuples(
        st.sampled_from(["delete", "double", "insert"]),
        st.integers(0, len(BASE) - 1),
        st.sampled_from([*"{}[]:,'\"\n -&*!|>#%@`0", "null", "é", "\t"]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(mutations)
def test_any_mutation_is_accepted_or_refused_with_a_spec_error(edits: list[tuple[str, int, str]]) -> None:
    text = BASE
    for kind, at, inserted in edits:
        text = (
            text[:at]
            + {"delete": "", "double": text[at : at + 1] * 2, "insert": inserted + text[at : at + 1]}[kind]
            + text[at + 1 :]
        )
    try:
        spec = Spec.from_text(text, file="loans.yaml")
    except SpecError as error:
        assert error.problems
        assert all(problem.found and problem.fix for problem in error.problems)
    else:
        assert Spec.from_text(spec.render()) == spec


def test_no_payload_runs_code(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for payload in (
        f"!!python/object/apply:os.system ['touch {canary}']",
        f"__import__('os').system('touch {canary}')",
        f"${{sh:touch {canary}}}",
        f"{{{{ self.__init__.__globals__ }}}}; touch {canary}",
    ):
        for old in ("loans\n", "status == 'bad'", "data/rates", "auc >= 0.6"):
            with contextlib.suppress(SpecError):  # as a path, some are odd names of files
                Spec.from_text(BASE.replace(old, payload + "\n" * old.endswith("\n"), 1)).render()
    assert not canary.exists()


def test_a_misspelt_section_does_not_hide_the_mistakes_in_the_others() -> None:
    text = BASE.replace("model:", "modle:", 1).replace("metric: auc", "metric: acu", 1)
    with pytest.raises(SpecError) as raised:
        Spec.from_text(text, file="loans.yaml")
    assert {problem.key for problem in raised.value.problems} == {"model", "modle", "search.metric"}
