"""Seeded mutations: the same seed and number give the same spec, cluster file, text or damaged file."""

import json
import random
from copy import deepcopy
from typing import Any

SPECS: tuple[dict[str, Any], ...] = (
    {
        "name": "loans",
        "task": "binary",
        "features": {"labels": {"path": "rows.parquet", "label": "income == '>50K'", "key": "row_id"}},
        "split": {"by": "column", "column": "part"},
        "model": "xgboost",
    },
    {
        "name": "flight_delay",
        "task": "binary",
        "features": {
            "labels": {
                "path": "data/flights",
                "label": "arr_delay > 15",
                "key": "flight_id",
                "time": "sched_dep_ts",
                "weight": None,
                "columns": ["carrier", "dist*", "hour"],
                "slice_only": ["tailnum"],
            },
            "weather": {
                "path": "data/weather",
                "on": ["origin"],
                "time": "time_hour",
                "known_at": "available_ts",
                "max_age": "6h",
                "columns": ["temp", "wind_speed"],
            },
            "planes": {"path": "s3://bucket/planes", "on": ["tailnum"], "columns": ["year", "seats"]},
        },
        "select": {"from": "2013-01-01", "to": "2014-01-01", "where": "carrier != 'OO' and distance is not null"},
        "split": {"by": "time", "validation": "2013-09-01", "test": "2013-11-01", "gap": "1d"},
        "encode": {"weather.temp": {"impute": "median"}, "hour": {"type": "category", "as": "target", "rare": 20}},
        "model": {
            "xgboost": {
                "max_depth": {"int": [3, 10]},
                "learning_rate": {"log": [0.01, 0.3]},
                "subsample": {"float": [0.5, 1]},
                "num_boost_round": 400,
                "max_bin": {"any": [128, 256]},
            },
            "mlp": {},
        },
        "search": {"trials": 32, "metric": "auc", "seed": 7, "time": "10m", "target": 0.9, "trial_seconds": "90s"},
        "fit": {"on": "train", "class_weight": {"0": 1, "1": 2.5}},
        "evaluate": {
            "metrics": ["auc", "log_loss", {"f_beta": {"beta": 2}}, "lift_at(share=0.05)"],
            "slices": ["carrier", {"column": "distance", "bins": 4}, ["origin", "carrier"]],
            "calibrate": "sigmoid",
            "threshold": {"cost": {"false_positive": 1, "false_negative": 5}},
            "confidence": 0.9,
            "draws": 500,
        },
        "bias": {"groups": ["origin"], "min_rows": 50},
        "gates": ["auc >= 0.65", "auc >= champion - 0.005", "true_positive_rate gap by origin <= 0.15"],
        "register": {"alias": "challenger", "when": "always"},
        "checks": {"fail_on": "medium", "ignore": ["drift:weather.temp"]},
        "explain": {"rows": 100, "slices": ["carrier"]},
        "seed": 5,
    },
    {
        "name": "prices",
        "task": "regression",
        "features": {"labels": {"path": "rows/*.parquet", "label": "price / area", "time": "day", "time_unit": "step"}},
        "split": {"by": "random", "validation": 0.1, "test": 0.2, "group": "owner", "stratify": False, "seed": 3},
        "model": ["xgboost", "linear"],
        "search": {"trials": 3, "metric": "pinball(quantile=0.9)"},
        "evaluate": {"metrics": ["r2", "mae"], "threshold": None},
        "register": False,
    },
)
CLUSTER: dict[str, Any] = {
    "address": "10.0.0.1:6379",
    "jobs": "http://10.0.0.1:8265",
    "data": "s3://bucket/data",
    "storage": "/runs",
    "registry": "sqlite:////runs/mlflow.db",
    "cpus_per_worker": 4,
    "workers_per_trial": "auto",
    "gpus_per_worker": 0.5,
    "concurrent_trials": 2,
    "memory": "8GiB",
    "start_within": "5m",
    "stall_after": "10m",
    "trust_keys": ["team.pub"],
    "trust": ["my_package"],
    "hooks": {
        "registered": {"command": "notify 'a team'"},
        "refused": {"command": ["notify", "team"]},
        "promoted": {"url": "https://deploy.example.com/models?a=b", "secret": "${env:HOME}"},
    },
    "lineage": "out/lineage.jsonl",
}
EXPRESSIONS = (
    "arr_delay > 15",
    "carrier != 'OO' and not (distance is null or hour in [1, 2.5, -3])",
    "`odd name` * 2 - weather.temp / 4 <= 1e3 and day >= '2013-01-01'",
    "a in ['x', 'y'] or b == true",
    "-(-x) + 1 > 0",
)
DURATIONS = ("90s", "10m", "1.5h", "1d", "2w")
CHOICES = ("f_beta(beta=2)", 'a(b=[1,2],c={"d":e},f=null)', "my_package.metrics.Cost(x=-1.5)")
GATES = (
    "auc >= 0.65",
    "auc >= champion - 0.005",
    "point f_beta(beta=2) worst by sex, race > 0.5",
    "log_loss ratio by origin <= 1.2",
)
DEEP = "[" * 2_000
NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**70), int("9" * 310), 10**5_000 % 10**4_400),
    *(0.1, -0.0, 1e308, 1e-320, float("inf"), float("-inf"), float("nan")),
    *("", " ", "\0", "\n", "\ud800", "a\udfffb", "\ufb00", "\u202e", "é", "😀", "x" * 3_000, "\x85", "\ufeff", "~"),
    *("99999999999999999999d", f"{'9' * 400}h", "1e5s", "-1d", "0s", "1.5.5h", "9" * 310, "1" + "0" * 20 + "GiB"),
    *(f"{'9' * 400}GiB", "9999-12-31", "2013-02-30", "0001-01-01", "10000-01-01", "2013-01-01T25:00", "24:00", "1_000"),
    *("${env:HOME}", "${env:NOT_SET_AT_ALL}", "${x}", "s3://", "s3://u:p@b/x", "gs://[::1", "file:///x", "../..", "~"),
    *("a > ", "a = b", "a < b < c", "(" * 300, "not " * 300 + "a", "a + " * 300 + "a > 1", "'" * 7, "`", "a in []"),
    *("a in [1, 'x', true]", "x is", "1 > 2", "a/0 > 1e999", "a == '\ud800'", f"a > {'9' * 5_000}", "a.b.c.d > 1"),
    *("f(" * 200, "f(a=1,a=2)", "f(a=b.c)", "auc()", "auc(x=1)", "f_beta(beta=0)", "f_beta(beta=1e400)", "__class__"),
    *("os.system", "ray_pipeline.errors", "*", "**", "?[", "null", "true", "1", "xgboost", "labels", "row_id"),
    *([], {}, [[]], [None], [{}], {"": 1}, {"int": [5, 1]}, {"log": [0, 1]}, {"any": []}, {"float": ["a", None]}),
    *({"int": [1, int("9" * 310)]}, {"maximize": "f1"}, {"column": "x", "bins": 10**30}, ["a", "a"], {"by": "time"}),
)
WORDS = (
    *"{}[],:&*!|>'\"%@`#?-\n\t ",
    "\r",
    "\x00",
    "\ud800",
    "<<: ",
    "&a ",
    "*a ",
    "!!python/object:x ",
    "---\n",
    "? ",
)


def random_for(seed: int, number: int) -> random.Random:
    """Random numbers that depend on both alone."""
    return random.Random(f"{seed}/{number}")


def mutated_spec(rng: random.Random) -> str:
    """A spec (or in some cases its text) with up to four changes."""
    return _mutated(rng, rng.choice(SPECS))


def mutated_cluster(rng: random.Random) -> str:
    """The same of a cluster file."""
    return _mutated(rng, CLUSTER)


def _mutated(rng: random.Random, written: dict[str, Any]) -> str:
    tree = json.loads(json.dumps(written))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(rng, tree)
    text = json.dumps(tree)
    return mutated_text(rng, text) if rng.random() < 0.2 else text


def _change(rng: random.Random, tree: Any) -> None:
    """Changes one place of a tree of dicts and lists, picked at random."""
    places = list[tuple[Any, Any]]()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            places.append((node, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    if not places:
        return
    node, key = rng.choice(places)
    match rng.randrange(8):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[rng.choice([str(rng.choice(NASTY))[:50], "type", "kind", "trials"])] = deepcopy(node[key])
        case 2:
            other, place = rng.choice(places)
            if place in other if isinstance(other, dict) else place < len(other):
                node[key] = json.loads(json.dumps(other[place]))
        case 3 if isinstance(node[key], str):
            node[key] = mutated_text(rng, node[key])
        case 4:
            node[key] = [deepcopy(node[key]) for _ in range(rng.choice((1, 2, 50)))]
        case 5:
            node[key] = {rng.choice(("xgboost", "a", "", "\ud800", "labels")): node[key]}
        case _:
            node[key] = deepcopy(rng.choice(NASTY))  # later changes stay in this tree


def mutated_text(rng: random.Random, text: str) -> str:
    """A text with up to four pieces cut, doubled, swapped or inserted."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(text))
        end = min(len(text), at + rng.choice((1, 1, 3, 20)))
        piece = text[at:end]
        nasty = rng.choice(NASTY)
        pieces = (
            "",
            piece * rng.choice((2, 2, 300)),
            piece[::-1],
            piece + rng.choice(WORDS),
            piece + (nasty if isinstance(nasty, str) else str(nasty)[:500]),
            chr(rng.choice((rng.randrange(128), rng.randrange(0x11000)))),
            rng.choice((DEEP, "{" * 500, "- " * 500)) if rng.random() < 0.1 else piece,
        )
        text = text[:at] + rng.choice(pieces) + text[end:]
    return text


def damaged(rng: random.Random, content: bytes) -> bytes:
    """A file with bytes flipped, cut, doubled or overwritten, half of the time near its end (the footer of Parquet)."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        low = max(0, len(made) - 600) if rng.random() < 0.5 else 0
        if low >= len(made):
            break
        at = rng.randrange(low, len(made))
        match rng.randrange(6):
            case 0:
                del made[at : at + rng.choice((1, 4, 100))]
            case 1:
                made[at:at] = made[at : at + rng.choice((1, 8, 50))]
            case 2:
                del made[at:]
            case 3:
                made[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"PAR1"))
            case _:
                made[at] ^= 1 << rng.randrange(8)
    return bytes(made)
