"""The joined flights table of the benchmarks: 327,346 rows. usage: flights_joined.py FLIGHTS_DIR OUT.parquet [COPIES]
COPIES > 1 repeats the rows with 1 % noise on the numbers (the benchmark's larger sizes)."""
import sys
from pathlib import Path
import numpy as np, pandas as pd

folder, out, copies = sys.argv[1], sys.argv[2], int((sys.argv[3:] + ["1"])[0])
flights, weather, planes = (pd.read_parquet(path if (path := Path(folder, f"{n}.parquet")).exists() else Path(folder, n)) for n in ("flights", "weather", "planes"))
rows = flights[flights.arr_delay.notna()].copy()
rows["late"] = (rows.arr_delay > 15).astype("int8")
rows = rows[["flight_id", "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "tailnum", "origin", "dest", "distance", "hour", "minute", "time_hour", "late"]]
rows = rows.merge(weather[["origin", "time_hour", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]], how="left", on=["origin", "time_hour"]).drop(columns="time_hour")
rows = rows.merge(planes.rename(columns={"year": "plane_year"})[["tailnum", "plane_year", "type", "manufacturer", "engines", "seats", "engine"]], how="left", on="tailnum")
rng, parts = np.random.default_rng(0), []
for copy in range(copies):
    part = rows.copy()
    part["flight_id"] += copy * 1_000_000
    if copy:
        for c in part.select_dtypes("number").columns.difference(["late", "flight_id"]):
            values = part[c].astype("float64")
            part[c] = values + rng.normal(0, 0.01 * (values.std() or 1.0), len(part))
    else:
        part[part.select_dtypes("number").columns.difference(["late", "flight_id"])] = part.select_dtypes("number").drop(columns=["late", "flight_id"]).astype("float64")
    parts.append(part)
pd.concat(parts, ignore_index=True).to_parquet(out, index=False, row_group_size=65536)
