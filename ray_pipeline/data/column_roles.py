"""What a column may be in each role, by the kind of its values; `docs/data-types.md` is made from this table."""

from collections.abc import Mapping

import pyarrow as pa

from ray_pipeline.column_types import Kind, kind_of

NUMBERS: tuple[Kind, ...] = ("integer", "float", "decimal")
VALUES: tuple[Kind, ...] = ("boolean", *NUMBERS, "text", "date", "timestamp")

ROLES: Mapping[str, Mapping[Kind, str]] = {
    "binary label": {
        "boolean": "false is 0, true is 1",
        **dict.fromkeys(NUMBERS, "0 and 1; any other number is refused"),
    },
    "multiclass label": {
        "boolean": "each value is a class; in `evaluate` 1 is true",
        **dict.fromkeys(NUMBERS, "each number is a class, 1.00 the same as 1"),
        **dict.fromkeys(("text", "date"), "each value, as text, is a class"),
    },
    "regression label": {
        "boolean": "false is 0, true is 1",
        **dict.fromkeys(NUMBERS, "float64; an infinite number is refused"),
    },
    "weight": dict.fromkeys(NUMBERS, "float64; null, negative, infinite or above 1e30 is refused"),
    "key": dict.fromkeys((*VALUES, "bytes"), "as it is; null is refused"),
    "time": {"date": "midnight UTC", "timestamp": "as it is; with a zone, in UTC"},
    "time with `time_unit`": {"integer": "that many units since 1970, or steps"},
    "join key": {
        "boolean": "equal values match",
        **dict.fromkeys(NUMBERS, "equal numbers of one kind match, whatever their width; NaN matches nothing"),
        **dict.fromkeys(("text", "bytes", "date"), "equal values match"),
        "timestamp": "equal moments match, whatever their unit",
        "null": "matches nothing",
    },
    "group": dict.fromkeys((*VALUES, "bytes"), "equal values are one group; null is a group, and a finding"),
    "split column": {"text": "train, validation or test; any other value is refused"},
    "slice": dict.fromkeys(VALUES, "each value, as text, is a slice; null is the slice `null`"),
    "binned slice": dict.fromkeys(NUMBERS, "bins of equal size; null is the slice `null`"),
    "feature": {
        "boolean": "a number, 0 or 1",
        **dict.fromkeys(NUMBERS, "a number"),
        "text": "a category",
        **dict.fromkeys(("date", "timestamp"), "a time, in days since 1970; see `encode`"),
        "null": "a number that is missing in every row",
    },
}
"""For each role the kinds of values that it takes, and what becomes of them. All other kinds are refused."""

REMEDIES: Mapping[Kind, str] = {
    "bytes": "write it as text or as a number",
    "time": "write it as a number, of seconds since midnight for instance",
    "duration": "write it as a number of seconds",
    "nested": "write one column for each part of it",
    "null": "name a column that has values",
}


def misfit(role: str, type_: pa.DataType) -> tuple[str, str] | None:
    """Why a column of a type cannot have a role, and what would do; None if it can.

    Examples
    --------
    >>> misfit("weight", pa.string())
    ('string, and a weight is integer, float or decimal', 'write it as integer, float or decimal')
    >>> misfit("weight", pa.int8())
    """
    kind, taken = kind_of(type_), ROLES[role]
    if kind in taken:
        return None
    *first, last = taken
    wanted = f"{', '.join(first)} or {last}" if first else last
    fix = REMEDIES.get(kind, f"write it as {wanted}")
    if role == "time" and kind == "integer":
        fix = "name the unit of the integers: `time_unit: s`, `ms`, `us`, `ns` or `step`"
    return f"{type_}, and a {role} is {wanted}", fix
