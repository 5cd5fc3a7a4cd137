"""The two kernels that each row without a key, or with an as-of join, goes through: one process, one thread, no Ray.

usage: bench_rows.py [--rows 1000000]   -> one JSON line; seconds are the best of three
join   as many label rows as feature rows of 10,000 keys: ours (prepare, then join) against polars `join_asof`, both
       from tables in memory; and the search alone by the order of its queries: as they come, sorted, by 16 bits (ours)
hash   a tenth of the rows, 80 numbers and 20 texts: `hash_rows` against xxh64 of the text of each row
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"

import numpy as np
import polars as pl
import pyarrow as pa
from xxhash import xxh64_intdigest

from ray_pipeline.data.as_of_join import JoinOptions, prepare
from ray_pipeline.data.join_keys import label_times
from ray_pipeline.hashing import NULL, canonical, hash_rows

YEAR = 365 * 86_400 * 10**6
KEYS, REPEATS = 10_000, 3


def seconds(work: Callable[[], Any]) -> float:
    took = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return round(min(took), 3)


def join(rows: int) -> dict:
    draw = np.random.default_rng(0)
    keys = {name: pa.array(draw.integers(0, KEYS, rows), pa.int32()) for name in ("labels", "features")}
    times = {name: pa.array(draw.integers(0, YEAR, rows), pa.timestamp("us", "UTC")) for name in keys}
    labels = pa.table({"key": keys["labels"], "at": times["labels"]})
    values = {name: draw.normal(size=rows) for name in "vw"}
    features = pa.table({"key": keys["features"], "time": times["features"], **values})
    options = JoinOptions(name="f", on=["key"], columns=["v", "w"], time="time")
    table, joined = prepare(features, options), pl.DataFrame()

    def by_polars() -> None:
        nonlocal joined
        left, right = pl.DataFrame(labels).with_row_index().sort("at"), pl.DataFrame(features).sort("time")
        joined = left.join_asof(right, left_on="at", right_on="time", by="key", check_sortedness=False).sort("index")

    took = {
        "prepare": seconds(lambda: prepare(features, options)),
        "join": seconds(lambda: table.join([labels["key"]], labels["at"])),
        "polars": seconds(by_polars),
    }
    ours, _ = table.join([labels["key"]], labels["at"])
    index = table.index
    assert index is not None
    wanted = table.keys.codes([labels["key"]]) * index.codes.width + index.codes.of(label_times(labels["at"], "us"))

    def by_sorting() -> None:
        order = np.argsort(wanted)
        np.empty(rows, np.int64)[order] = np.searchsorted(index.available, wanted[order], side="right")

    search = {
        "as_they_come": seconds(lambda: np.searchsorted(index.available, wanted, side="right")),
        "sorted": seconds(by_sorting),
        "by_16_bits": seconds(lambda: index._latest(wanted)),
    }
    same = all(joined[name].to_arrow().equals(ours[f"f.{name}"].combine_chunks()) for name in values)
    ratio = round((took["prepare"] + took["join"]) / took["polars"], 2)
    return {"seconds": took, "ratio": ratio, "same": same, "search": search}


def hashes(rows: int) -> dict:
    draw = np.random.default_rng(0)
    numbers = {f"x{at}": draw.normal(size=rows) for at in range(80)}
    texts = {f"s{at}": draw.integers(0, 2000, rows).astype(str) for at in range(20)}
    table = pa.table({**numbers, **texts})

    def by_text() -> None:
        columns = [canonical(table[name]) for name in sorted(table.column_names)]
        for row in zip(*columns, strict=True):
            xxh64_intdigest(b"\x1f".join(NULL if value is None else value for value in row))

    took = {"hash_rows": seconds(lambda: hash_rows(table)), "xxh64_of_texts": seconds(by_text)}
    return {"rows": rows, "seconds": took, "times_as_fast": round(took["xxh64_of_texts"] / took["hash_rows"], 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    pa.set_cpu_count(1)
    print(json.dumps({"bench": "rows", "rows": asked.rows, "join": join(asked.rows), "hash": hashes(asked.rows // 10)}))


if __name__ == "__main__":
    main()
