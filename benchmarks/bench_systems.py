"""Whole systems on the fifteen quality tables, at equal time, one after the other: ours, a plain script and AutoML.

Every system is a process of its own, reads the same parts, searches for T seconds, and scores the same test rows. One
function computes the metric of all of them. What has run is kept in the cache folder, so a run that was interrupted
goes on. With `--wall`, a system that took a tenth longer than T runs once more, its search shortened by what was over;
the first run counts where the second gives no model.

A system is `plain`, `flaml`, `autogluon` (medium_quality) or `autogluon_best` (best_quality), the last three also with
`_pooled` (train and validation as one table, which the peer divides by itself); or ours: a family or `auto`, and keys
of the spec after commas, such as `auto,ensemble=off` or `auto,fit.on=train`.

An ensemble is also compared with its first member, the best single trial, refitted alike; both without calibration.

usage: bench_systems.py TABLES CACHE [--sets ames_housing ...] [--systems auto xgboost plain flaml autogluon ...]
                        [--seconds 60] [--seeds 0] [--peer-seeds 0] [--wall]
-> one JSON line for each set, and one for all of them
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from paired_errors import LEVELS, Resampled, error_of, improvability, metric_value, rounded
from peer_environments import PACKAGES, python_of, versions_of
from quality_sets import QUALITY_SETS, QualitySet

from ray_pipeline.bundle import Bundle
from ray_pipeline.bundle_members import Members
from ray_pipeline.components.calibrators._base import load as load_calibrator

PEERS = ("plain", "flaml", "autogluon")
STANDARD = ("auto", "xgboost", *PEERS)
START_S = {"plain": 3, "flaml": 4, "autogluon": 5, "ours": 8}
"""Seconds that a system takes beside its search: `--wall` takes them off the time of the search."""
LARGE, TOO_LONG = 2_000, 1.1
SCRIPTS = Path(__file__).parent / "peers"


def own_spec(tables: Path, name: str, system: str, seconds: float, seed: int) -> tuple[dict[str, Any], list[str]]:
    """The spec of one of our systems, and its keys that are set on the command line."""
    about, (model, *keys) = QUALITY_SETS[name], system.split(",")
    group = {"group": about.group} if about.group else {}
    labels = {"path": str(tables / f"{name}.parquet"), "label": "label", "key": "row_id"}
    spec = {
        "name": name,
        "task": about.task,
        "features": {"labels": labels | ({"slice_only": [about.group]} if about.group else {})},
        "split": {"by": "column", "column": "part", **group},
        "model": model,
        "search": {"time": f"{seconds:g}s", "metric": about.metric},
        "register": False,
        "checks": {"fail_on": "never"},
        "seed": seed,
    }
    return spec, [part for key in keys for part in ("--set", key)]


def run_ours(spec: dict[str, Any], keys: list[str], scores: Path) -> dict[str, Any]:
    """Run the pipeline; what its leaderboard and its ensemble say goes with the result."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "spec.yaml").write_text(json.dumps(spec))  # JSON is YAML
        command = [sys.executable, "-m", "ray_pipeline", "run", "spec.yaml", "--json", "--quiet", *keys]
        begun = time.time()
        answer = json.loads(finished(command, folder).stdout.splitlines()[-1])
        wall = round(time.time() - begun, 1)
        run = folder / "runs" / answer["run"]
        shutil.move(run / "predictions" / "test.parquet", scores)
        shutil.rmtree(scores.with_suffix(".model"), ignore_errors=True)
        shutil.move(run / "model", scores.with_suffix(".model"))
        return {"wall": wall, **about_run(answer, run, scores.with_suffix(".model"))}


def about_run(answer: dict[str, Any], run: Path, model: Path) -> dict[str, Any]:
    """What is worth knowing of a run: trials, seconds, the fit and the ensemble."""
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    found = {
        "trials": Counter(trial["family"] for trial in trials),
        "trained": {
            f: round(sum(t["seconds"] for t in trials if t["family"] == f), 1) for f in {t["family"] for t in trials}
        },
        "completed": Counter(trial["family"] for trial in trials if trial["status"] == "completed"),
        "family": answer["family"],
        "fit": json.loads((model / "model.json").read_text())["fit"],
        "stages": {stage: round(seconds, 1) for stage, seconds in answer["seconds"].items()},
    }
    if (run / "ensemble.json").exists():
        ensemble = json.loads((run / "ensemble.json").read_text())
        found["ensemble"] = {key: ensemble[key] for key in ("single", "value", "members", "why")}
    return found


def run_peer(
    tables: Path, name: str, system: str, cache: Path, seconds: float, seed: int, scores: Path
) -> dict[str, Any]:
    """Run a peer on the parts as files of their own: those of test have no label."""
    about, (peer, *options) = QUALITY_SETS[name], system.split("_")
    with tempfile.TemporaryDirectory() as place:
        folder, table = Path(place), pq.read_table(tables / f"{name}.parquet")
        classes = sorted(set(table["label"].to_pylist())) if about.task == "multiclass" else None
        (folder / "task.json").write_text(json.dumps({"task": about.task, "metric": about.metric, "classes": classes}))
        for part in ("train", "validation", "test"):
            rows = table.filter(np.asarray(table["part"].to_pylist()) == part)
            left_out = ["part", *([about.group] if about.group else []), *(["label"] if part == "test" else [])]
            pq.write_table(rows.drop_columns(left_out), folder / f"{part}.parquet")
        python = sys.executable if peer == "plain" else python_of(cache, peer)
        command = [python, str(SCRIPTS / f"quality_{peer}.py"), place, str(scores), f"{seconds:g}", str(seed), *options]
        begun = time.time()
        done = finished(command, folder)
        wall = time.time() - begun
    lines = done.stdout.splitlines()
    chosen = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return {"wall": round(wall, 1), **chosen}


class Failed(Exception):
    """A system that gave no scores: it is missing from the line of the set."""


def finished(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed(f"exit {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
    return done


def result_of(tables: Path, name: str, system: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """What a system answered for a table, from the cache if it has run; its scores lie beside it."""
    stem = f"{name}.{system}.{seed}.{asked.seconds:g}{'w' * asked.wall}"
    about, scores = asked.cache / "results" / f"{stem}.json", asked.cache / "results" / f"{stem}.parquet"
    if not about.exists():
        about.parent.mkdir(parents=True, exist_ok=True)
        peer = system.split("_")[0] if system.split("_")[0] in PEERS else None
        seconds = asked.seconds - (START_S[peer or "ours"] if asked.wall else 0)

        def run(seconds: float) -> dict[str, Any]:
            if peer:
                return run_peer(tables, name, system, asked.cache, seconds, seed, scores)
            return run_ours(*own_spec(tables, name, system, seconds, seed), scores)

        found = run(seconds)
        over = found["wall"] - asked.seconds
        if asked.wall and found["wall"] > TOO_LONG * asked.seconds:
            try:
                found = {**run(seconds - over), "first_wall": found["wall"]}
            except Failed as error:
                found["shortened"] = str(error).splitlines()[-1]
        about.write_text(json.dumps(found))
        print(name, system, seed, about.read_text(), file=sys.stderr, flush=True)
    return {**json.loads(about.read_text()), "scores": scores}


def judged(tables: Path, name: str, results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The line of one set: metric, time and improvability of every system, and how far it is behind the best peer."""
    about = QUALITY_SETS[name]
    table = pq.read_table(tables / f"{name}.parquet")
    test = table.filter(np.asarray(table["part"].to_pylist()) == "test")
    label, units = label_of(test, table, about), test[about.group].to_numpy() if about.group else None
    scores = {
        system: [score_of(one["scores"], test["row_id"].to_numpy()) for one in some] for system, some in results.items()
    }
    values = {s: float(np.mean([metric_value(about.metric, label, one) for one in some])) for s, some in scores.items()}
    errors = {system: error_of(about.metric, value) for system, value in values.items()}
    resampled = Resampled(about.metric, label, units)
    draws = {system: resampled.errors(some) for system, some in scores.items()}
    peers = [system for system in results if system.split("_")[0] in PEERS]
    best = min(peers, key=lambda system: errors[system]) if peers else None
    better = improvability(errors, [s for s in results if s in STANDARD or s in peers] or list(results))

    def behind(system: str, other: str) -> dict[str, Any]:
        return resampled.interval(errors[system] - errors[other], draws[system] - draws[other])

    lines = {
        system: {
            "value": rounded(values[system]),
            "improvability": better[system],
            "wall": [one["wall"] for one in some],
            **({"behind_best_peer": behind(system, best)} if best and system not in peers else {}),
            **({"behind_auto": behind(system, "auto")} if "auto" in results and system != "auto" else {}),
        }
        for system, some in results.items()
    }
    gain = gain_of_ensemble(about, test, label, results.get("auto", []), resampled)
    about_set = {"set": name, "metric": about.metric, "test_rows": len(label), "best_peer": best}
    return {**about_set, "ensemble_less_single": gain, "systems": lines}


def label_of(test: Any, table: Any, about: QualitySet) -> np.ndarray:
    """The labels of test; classes as places in the sorted list of all classes of the table."""
    if about.task == "multiclass":
        return np.searchsorted(sorted(set(table["label"].to_pylist())), test["label"].to_pylist())
    return test["label"].to_numpy().astype(float)


def score_of(file: Path, keys: np.ndarray) -> np.ndarray:
    """The scores of the test rows in the order of these keys; shape (rows,), or (rows, classes)."""
    table = pq.read_table(file)
    names = sorted(name for name in table.column_names if name == "score" or name.startswith("score_"))
    own = table["key"].to_numpy()
    order = np.argsort(own)[np.searchsorted(np.sort(own), keys)]
    assert np.array_equal(own[order], keys), f"{file}: other rows than those of test"
    score = np.stack([table[name].to_numpy()[order] for name in names], axis=1).astype(float)
    return score[:, 0] if len(names) == 1 else score


def gain_of_ensemble(
    about: QualitySet, test: pa.Table, label: np.ndarray, results: list[dict[str, Any]], resampled: Resampled
) -> dict[str, Any] | None:
    """The error of the ensembles less that of their first members, over the seeds that have one."""
    pairs = []
    for one in results:
        folder = one["scores"].with_suffix(".model")
        if one.get("ensemble", {}).get("members") and folder.exists():
            bundle = replace(Bundle.load(folder), calibrator=load_calibrator({"kind": "none"}))
            pairs.append((bundle.score(test), first_member(bundle, one["ensemble"]).score(test)))
    if not pairs:
        return None
    both = [[scores[place] for scores in pairs] for place in (0, 1)]
    errors = [
        np.mean([error_of(about.metric, metric_value(about.metric, label, one)) for one in some]) for some in both
    ]
    draws = [resampled.errors(some) for some in both]
    return {"seeds": len(pairs), **resampled.interval(float(errors[0] - errors[1]), draws[0] - draws[1])}


def first_member(bundle: Bundle, ensemble: dict[str, Any]) -> Bundle:
    """The bundle with the best single trial alone: the selection begins with it."""
    members = bundle.scorer
    assert isinstance(members, Members)
    first = next(one["trial"] for one in ensemble["members"] if one["metric"] == ensemble["single"])
    place = next(place for place, member in enumerate(members.members) if member.trial == first)
    columns, scorer = slice(*members.members[place].columns), members.scorers[place]
    return replace(bundle, scorer=lambda matrix: scorer(np.ascontiguousarray(matrix[:, columns])))


def summary(lines: list[dict[str, Any]], asked: argparse.Namespace) -> dict[str, Any]:
    """Mean improvability of each system over all sets and over the large ones, and losses to the best peer."""
    found: dict[str, Any] = {}
    for system in asked.systems:
        rows = [(line["test_rows"], line["systems"][system]) for line in lines if system in line["systems"]]
        large = [one["improvability"] for size, one in rows if size > LARGE]
        against = [one["behind_best_peer"] for _, one in rows if "behind_best_peer" in one]
        found[system] = {
            "sets": len(rows),
            "improvability": rounded(float(np.mean([one["improvability"] for _, one in rows]))) if rows else None,
            f"improvability above {LARGE} test rows": rounded(float(np.mean(large))) if large else None,
            "wall": rounded(float(np.mean([second for _, one in rows for second in one["wall"]]))) if rows else None,
        }
        for level in (f"{100 * one:g} %" for one in LEVELS):
            lost, won = (sum(sign * one[level][end] > 0 for one in against) for sign, end in ((1, 0), (-1, 1)))
            found[system][level] = {"losses": lost, "wins": won}
    peers = {system.split("_")[0] for system in asked.systems} & set(PACKAGES)
    failed = [f"{system} on {line['set']}" for line in lines for system in line["failed"]]
    about = {
        "seconds": asked.seconds,
        "wall": asked.wall,
        "seeds": asked.seeds,
        "peer_seeds": asked.peer_seeds,
        "sets": len(lines),
    }
    versions = {peer: versions_of(asked.cache, peer) for peer in sorted(peers)}
    return {"benchmark": "systems", **about, "failed": failed, "versions": versions, "systems": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("cache", type=Path, help="environments of the peers, and results")
    parser.add_argument("--sets", nargs="+", default=list(QUALITY_SETS), choices=list(QUALITY_SETS))
    parser.add_argument("--systems", nargs="+", default=list(STANDARD))
    parser.add_argument("--seconds", type=float, default=60, help="T, the search of each system")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="those of our systems")
    parser.add_argument("--peer-seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--wall", action="store_true", help="T is the whole run: the search has T less the start-up")
    asked = parser.parse_args()
    asked.tables, asked.cache, lines = asked.tables.resolve(), asked.cache.resolve(), []
    for name in asked.sets:
        results, failed = {}, {}
        for system in asked.systems:
            try:
                seeds = asked.peer_seeds if system.split("_")[0] in PEERS else asked.seeds
                results[system] = [result_of(asked.tables, name, system, seed, asked) for seed in seeds]
            except Failed as error:
                failed[system] = str(error)
        lines.append({**judged(asked.tables, name, results), "failed": failed})
        print(json.dumps(lines[-1]), flush=True)
    print(json.dumps(summary(lines, asked)))


if __name__ == "__main__":
    main()
