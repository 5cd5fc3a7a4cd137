"""Writes docs/data-types.md from the table of roles: `python docs/data_types.py > docs/data-types.md`."""

from ray_pipeline.column_types import KINDS
from ray_pipeline.data.column_roles import REMEDIES, ROLES

HEAD = """# Data types

What a column may be in each role, and what becomes of its values. A column of another kind is refused by `check`,
`plan` and `run` alike, with the column, the role and what would do. `docs/data_types.py` writes this page from the
table that the program uses, and a matrix test tries every role with every type against plain Python.

## How a column is read

Every column is read in one of a few plain types, without loss:

| stored as | read as |
|---|---|
| int8 to int64, uint8 to uint64 | as it is; a uint64 above 2^63 - 1 is refused |
| float16, float32, float64 | float32, float32, float64; **NaN is null** |
| decimal32 to decimal256 | as it is |
| boolean, bool8 | boolean |
| string, large_string, string_view, json, uuid | text |
| binary, large_binary, binary_view, fixed_size_binary | bytes |
| date32, date64 | date |
| timestamp (s, ms, us, ns) | timestamp in its unit; with a zone, the same moment in UTC |
| INT96 | timestamp in microseconds; a value with digits below the microsecond is refused |
| dictionary, run-end encoded | the values |
| another extension type | its storage; intervals of pandas (`pd.cut`) are refused: make them text |

In a CSV file a column of whole numbers is int64; with fractions, exponents or more than 64 bits it is float64. A whole
number that float64 would give other digits, such as the id 10000000000000000007, makes the column one that is refused
if it is read: `types` says whether it is a text or a number that may be rounded. `1.5e300` and `12345678901234567.25`
are numbers.

The files of one table may differ in order and type of their columns. Where a type holds the values of all files
without loss, it is used: the wider integer or float, the finer unit of time, the other type beside null, text for text
in any encoding. `checks.json` says so (`uneven_files`). Otherwise the column is refused if it is read. A column that
some files lack is null there, but a label, key, time, weight or join key must be in every file. A file without rows
has no say in this. A link to an absent file is refused, and so is a link that leads back to its own folder.

A folder named `year=2024` gives its files a column `year`: int64 if every value is a whole number without leading
zeros, date if every value is a date, else text. `__HIVE_DEFAULT_PARTITION__` is null, and so is the column of a file
that is in no such folder; `checks.json` says so. If the files have that column
too, it is refused if it is read. Only folders below the path of the table count. Rows for a model have the types that
it was trained on, also in names of folders and for text in CSV; there the path of `--rows` may be one partition, as
`sales/month=10`, whose name gives the column that the model needs.

A Delta or Iceberg table has the columns and the types of its schema, whatever else its files hold: a column that was
dropped is gone, a new one is null in older files, and a renamed one is found by its id (Iceberg) or by the mapping of
columns (Delta). Iceberg files without ids, as tables that came from Hive have them, are read by the table's property
`schema.name-mapping.default`, and refused without it. The values of partitions are those of the log. INT96 is there a
time in UTC if the table says so. Files with delete files or deletion vectors are refused: rewrite the table without.

## What each role takes
"""
NAMES = {
    "time": "time (`labels.time`, `time`, `known_at`)",
    "group": "group (`split.group`, `evaluate.cluster`)",
    "slice": "slice (`evaluate.slices`, `bias.groups`, `explain.slices`)",
    "join key": "join key (`on`)",
}


def page() -> str:
    """The page as Markdown."""
    lines = [HEAD]
    for role, kinds in ROLES.items():
        lines += [f"### {NAMES.get(role, role)}", "", "| kind | what becomes of it |", "|---|---|"]
        lines += [f"| {kind} | {becomes} |" for kind, becomes in kinds.items()]
        refused = [kind for kind in (*KINDS, "nested") if kind not in kinds]
        lines += ["", f"Refused: {', '.join(refused)}.", ""]
    lines += ["## What to do with the others", "", "| kind | remedy |", "|---|---|"]
    lines += [f"| {kind} | {remedy} |" for kind, remedy in REMEDIES.items()]
    return "\n".join(lines) + TAIL


TAIL = """

## Integer times

A table whose times are integers names their unit: `time_unit: s`, `ms`, `us` or `ns` counts from 1970 in UTC.
`time_unit: step` counts steps of any kind (a day number, the minute of a stay); then `max_age`, `gap`, the cuts and
`from`/`to` are whole numbers, too:

```yaml
features:
  labels: {path: stays, label: died, key: id, time: minute, time_unit: step}
  vitals: {path: vitals, on: [id], time: minute, time_unit: step, max_age: 90}
select: {from: 0, to: 2880}
split: {by: time, validation: 1440, test: 2160, gap: 60}
```

Text is no time: write it as a timestamp or a date.
"""

if __name__ == "__main__":
    print(page(), end="")
