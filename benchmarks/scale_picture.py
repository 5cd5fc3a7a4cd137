"""Draws `docs/scale.svg` from the points that `bench_scale.py` printed: time and memory by rows.

usage: scale_picture.py [POINTS] [PICTURE]   POINTS: the lines of `bench_scale.py rows` and `narrow`, by default
`benchmarks/scale.jsonl`
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
TABLES = {
    "scale rows": ("flights, 26 columns, 4 trials x 50 rounds", "#2f6db3", "o"),
    "scale narrow": ("six columns, 2 trials x 20 rounds", "#c2571a", "s"),
}
"""Of each benchmark: what the tables are, and the colour and mark of its points."""


def main() -> None:
    points = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "scale.jsonl"
    picture = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE.parent / "docs" / "scale.svg"
    measured = [json.loads(line) for line in points.read_text().splitlines()]
    # The same points give the same bytes.
    plt.rcParams.update({"svg.hashsalt": "scale", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (time, memory) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for benchmark, (what, colour, mark) in TABLES.items():
        of = sorted((point for point in measured if point["benchmark"] == benchmark), key=lambda point: point["rows"])
        rows = [point["rows"] for point in of]
        time.plot(rows, [point["microseconds_a_row"] for point in of], mark + "-", color=colour, label=what)
        memory.plot(rows, [point["peak_gib"] for point in of], mark + "-", color=colour, label="all processes")
        memory.plot(rows, [point["driver_mb"] / 1074 for point in of], mark + ":", color=colour, label="the driver")
    time.set(title="microseconds a row, whole run", xlabel="rows", xscale="log", ylim=(0, None))
    memory.set(title="peak memory in GiB", xlabel="rows", xscale="log", yscale="log")
    memory.yaxis.set_major_formatter("{x:g}")
    for axes in (time, memory):
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(picture, metadata={"Date": None})
    plt.close(figure)
    print(picture)


if __name__ == "__main__":
    main()
