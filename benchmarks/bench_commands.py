"""The commands that people type between two runs: wall and processor seconds of each, medians, files in the cache.

usage: bench_commands.py [--repeat 7]   -> one JSON line
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "--help": ["--help"],
    "check": ["check", "flights/flights.yaml"],
    "render": ["render", "flights/flights.yaml"],
    "models list": ["models", "list"],
    "runs list": ["runs", "list"],
}


def timed(words: list[str], folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of one command."""
    used, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "ray_pipeline", *words], cwd=folder, capture_output=True, text=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    return wall, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        timed(["init", "flights"], folder)
        one_run = "search.trials=1"
        timed(["run", "flights/flights.yaml", "--quiet", "--set", one_run], folder)  # a registry and a run to list
        seconds = {}
        for name, words in COMMANDS.items():
            timed(words, folder)
            wall, used = zip(*(timed(words, folder) for _ in range(asked.repeat)), strict=True)
            seconds[name] = {
                "wall": round(statistics.median(wall), 3),
                "processor": round(statistics.median(used), 3),
            }
    print(json.dumps({"benchmark": "commands", "cores": os.cpu_count(), "seconds": seconds}))


if __name__ == "__main__":
    main()
