"""Plays simulated histories, one for each seed, and prints one JSON line; `--help` shows the options.

A seed that fails is played again by `test_simulation.py` once it is in `FAILED_ONCE`.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path[:0] = [str(folder) for folder in (Path(__file__).parent, Path(__file__).parents[1], Path(__file__).parents[2])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--show", type=int, help="play this seed only, and print what happens in it")
    asked = parser.parse_args()
    from simulated_history import Now, simulated

    failed, began = dict[int, str](), time.monotonic()
    seeds = range(asked.first, asked.first + asked.histories) if asked.show is None else [asked.show]
    with simulated() as play:
        for seed in seeds:
            try:
                play(seed)
            except Exception as error:
                failed[seed] = f"{type(error).__name__}: {error}"
                print(f"seed {seed}: {failed[seed]}", file=sys.stderr, flush=True)
            if asked.show is not None:
                print("\n".join(Now.history.world.log), file=sys.stderr)
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"histories": len(seeds), "ok": len(seeds) - len(failed), "failed": failed, "seconds": seconds}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
