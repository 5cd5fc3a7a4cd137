"""The benchmarks that take under a minute each, and whether a ratio is worse than the last one that was recorded.

`recorded.json` has the ratio of each, measured on an idle machine. A ratio that is 15 % worse is measured once more,
since a single one is noisy; if it is worse again, it is flagged, and the exit code is 1.

usage: quick.py [--only NAME ...] [--record]   -> one JSON line for each; `--record` writes `recorded.json` anew
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"
TOLERANCE = 1.15


@dataclass(frozen=True, kw_only=True)
class Quick:
    """A benchmark: its command, where its JSON line has the ratio, and whether a higher one is better."""

    command: str
    ratio: str
    higher: bool = False


BENCHMARKS = {
    "nets": Quick(command="bench_nets.py", ratio="ratio"),
    "fit": Quick(command="bench_search.py fit", ratio="ratio_seconds"),
    "join": Quick(command="bench_join.py --rows 3000000 --features 300000", ratio="ratio"),
    "profile": Quick(command="bench_profile.py --copies 4", ratio="times_as_fast", higher=True),
    "one row": Quick(command="bench_one_row.py --family xgboost", ratio="xgboost.of_bare"),
    "predict": Quick(command="bench_predict.py --rows 2000000", ratio="ratio.2000000", higher=True),
}


def measured(one: Quick) -> float:
    """The ratio that the benchmark prints."""
    script, *options = one.command.split()
    done = subprocess.run([sys.executable, str(HERE / script), *options], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{one.command} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    answer: Any = json.loads(done.stdout.splitlines()[-1])
    return float(reduce(lambda inner, key: inner[key], one.ratio.split("."), answer))


def worse_by(ratio: float, recorded: float, higher: bool) -> float:
    """How much worse a ratio is than the recorded one: 1.2 is 20 % worse."""
    return recorded / ratio if higher else ratio / recorded


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    recorded: dict[str, float] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    flagged = False
    for name in asked.only:
        one = BENCHMARKS[name]
        ratio, before = measured(one), recorded.get(name)
        if before is not None and not asked.record and worse_by(ratio, before, one.higher) > TOLERANCE:
            ratio = (max if one.higher else min)(ratio, measured(one))
        is_worse = before is not None and worse_by(ratio, before, one.higher) > TOLERANCE
        flagged |= is_worse and not asked.record
        print(json.dumps({"benchmark": name, "ratio": ratio, "recorded": before, "worse": is_worse}), flush=True)
        recorded[name] = ratio
    if asked.record:
        RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    return 1 if flagged else 0


if __name__ == "__main__":
    sys.exit(main())
