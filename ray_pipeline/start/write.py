"""The text of a started spec: YAML, in which each choice has its reason as a comment."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from glob import escape
from textwrap import wrap
from typing import Any

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.errors import listed
from ray_pipeline.start import first_search, suggest
from ray_pipeline.start.draft import Draft, Reasoned
from ray_pipeline.start.feast import FeastProposal
from ray_pipeline.start.join import JoinProposal
from ray_pipeline.start.label import quoted, text_literal
from ray_pipeline.start.table import StartTable, counted

WIDTH = 116
PLAIN = re.compile(r"(?:\.\./|/)?[A-Za-z_][A-Za-z0-9_./-]*|(?:\.\./)+[A-Za-z_][A-Za-z0-9_./-]*")
PLAIN_EXPRESSION = re.compile(r"[A-Za-z_][^#:\[\]{}\n\r\t]*[^#:\[\]{}\n\r\t ]|[A-Za-z_]")
RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
INDENT = "  "


def text_of(draft: Draft) -> str:
    """The YAML of a draft, with comments."""
    blocks = [_head(draft), _features(draft), _split(draft), _search(draft), _judged(draft), _end(draft)]
    return "\n".join("\n".join(block) + "\n" for block in map(list, blocks))


def scalar(value: Any) -> str:
    """A value in YAML, on one line.

    >>> scalar("net price"), scalar("no"), scalar(["a", 0.5]), scalar({"a b": 1})
    ('"net price"', '"no"', '[a, 0.5]', '{"a b": 1}')
    """
    if isinstance(value, str):
        return (
            value if PLAIN.fullmatch(value) and value.lower() not in RESERVED else json.dumps(value, ensure_ascii=False)
        )
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return value.date().isoformat() if str(value).endswith(" 00:00:00") else json.dumps(value.isoformat())


def _head(draft: Draft) -> Iterator[str]:
    table, label = draft.labels, draft.label
    sampled = table.sample.num_rows
    looked = "all were looked at" if sampled == table.num_rows else f"findings are of {sampled:,} sampled ones"
    yield from _comment(
        f"Written by `ray-pipeline init` from {draft.given}: {table.num_rows:,} rows ({looked}), {len(table.names)}"
        " columns. It runs as it stands. Each choice has its reason above it; change what you know better."
    )
    yield f"name: {scalar(draft.name)}"
    yield ""
    other = {"multiclass": "; to predict the number itself, write regression", "regression": ""}.get(label.task, "")
    yield from _comment(label.why + (other if all(re.fullmatch(r"-?\d+(\.0)?", name) for name in label.counts) else ""))
    yield f"task: {label.task}"


def _features(draft: Draft) -> Iterator[str]:
    table, roles = draft.labels, draft.roles
    yield "features:"
    yield f"{INDENT}labels:"
    yield from _keys(2, Reasoned(value={"path": table.path}, why=""))
    for name, value in table.parameters().items():
        yield from _keys(2, Reasoned(value={name: value}, why=table.dialect.reasons.get(name, "")))
    yield from _comment(draft.label.note, 2)
    yield f"{INDENT * 2}label: {_expression(draft.label.text)}"
    if roles.key:
        yield from _keys(2, Reasoned(value={"key": roles.key.column}, why=f"the key: {roles.key.why}"))
    if roles.time:
        why = f"the moment of prediction: {roles.time.why}"
        yield from _keys(
            2, Reasoned(value={"time": roles.time.column, **_time_unit(table, roles.time.column)}, why=why)
        )
    if roles.group:
        why = f"{roles.group.why}; it may group and slice, but never reaches the model"
        yield from _keys(2, Reasoned(value={"slice_only": [roles.group.column]}, why=why))
    yield from _columns(draft, "", draft.columns, 2)
    for join in draft.joins:
        yield from _join(draft, join)
    for repository in draft.feast:
        yield from _feast(repository)
    yield from _select(draft)
    if roles.panel and roles.panel.column in draft.features and kind_of(table.type(roles.panel.column)) == "number":
        yield from _comment("an id is a name, whose size says nothing")
        yield "encode:"
        yield f"{INDENT}{scalar(roles.panel.column)}: {{type: category}}"


def _select(draft: Draft) -> Iterator[str]:
    """Which rows are taken: no totals, and none without a time."""
    totals, time = draft.labels.totals, draft.roles.time
    conditions = list[str]()
    if totals:
        yield from _comment(f"{totals}: they are no rows to learn from")
        for name, said in totals.values.items():
            other = f"{quoted(name)} is null or {quoted(name)} not in [{', '.join(map(text_literal, said))}]"
            conditions.append(f"{quoted(name)} is not null" if name in totals.emptied else other)
    if time and time.missing:
        yield from _comment(f"{counted(time.missing)} without a time: no place in the order of the others")
        conditions.append(f"{quoted(time.column)} is not null")
    if conditions:
        joined = conditions[0] if len(conditions) == 1 else " and ".join(f"({one})" for one in conditions)
        yield "select:"
        yield f"{INDENT}where: {_expression(joined)}"


def _time_unit(table: StartTable, time: str) -> dict[str, str]:
    unit = table.time_units.get(time)
    return {"time_unit": unit} if unit else {}


def _columns(draft: Draft, prefix: str, columns: Sequence[str], depth: int) -> Iterator[str]:
    """The key `columns`, one line for each, those that are left out as comments."""
    kept = [name for name in columns if prefix + name not in draft.left_out]
    out = len(columns) - len(kept)
    found = f"; {out} left out, with the finding: remove the # to take one back" if out else ""
    yield from _comment(f"{len(kept)} feature{'s' if len(kept) != 1 else ''}{found}", depth)
    yield f"{INDENT * depth}columns:{'' if kept else ' []'}"
    for name in columns:
        written = scalar(escape(name))
        if why := draft.left_out.get(prefix + name):
            yield f"{INDENT * depth}{INDENT}# - {written}  # {_clean(why)}"
        else:
            note = draft.notes.get(prefix + name)
            yield f"{INDENT * depth}{INDENT}- {written}{f'  # {_clean(note)}' if note else ''}"


def _join(draft: Draft, join: JoinProposal) -> Iterator[str]:
    yield from _comment(join.why, 1)
    yield f"{INDENT}{join.name}:"
    yield from _keys(2, Reasoned(value={"path": join.table.path}, why=""))
    for name, value in join.table.parameters().items():
        yield from _keys(2, Reasoned(value={name: value}, why=join.table.dialect.reasons.get(name, "")))
    yield from _keys(2, Reasoned(value={"on": list(join.on)}, why="in both tables, with one name and type"))
    if join.time:
        why = f"rows of this time or earlier; {join.old}" if join.old else "rows of this time or earlier"
        yield from _comment(draft.notes.get(f"{join.name}.{join.time}", ""), 2)
        yield from _keys(2, Reasoned(value={"time": join.time, **_time_unit(join.table, join.time)}, why=why))
    if join.known_at:
        why = "it is never before the time: a row counts from then on"
        yield from _keys(2, Reasoned(value={"known_at": join.known_at}, why=why))
    yield from _columns(draft, f"{join.name}.", join.columns, 2)


def _feast(repository: FeastProposal) -> Iterator[str]:
    for join in repository.joins:
        yield from _comment(f"{join.name}: {join.why}", 1)
    keys = {"kind": "feast", "path": repository.path, "views": list(repository.views)}
    yield f"{INDENT}{repository.name}: {scalar(keys)}"


def _split(draft: Draft) -> Iterator[str]:
    split = draft.split
    for why in split.rejected:
        yield from _comment(why)
    yield from _comment(split.why)
    yield "split:"
    for key, value in split.keys.items():
        yield f"{INDENT}{key}: {scalar(value)}"


def _search(draft: Draft) -> Iterator[str]:
    model = first_search.model(draft)
    yield from _comment(model.why)
    if isinstance(model.value, str):
        yield f"model: {model.value}"
    else:
        yield "model:"
        yield from _keys(1, Reasoned(value=model.value, why=""))
    yield ""
    yield from _comment("a first search, short: give it more trials or time once the rest is right")
    yield "search:"
    yield f"{INDENT}trials: {first_search.TRIALS}"
    yield from _keys(1, Reasoned(value={"time": first_search.time(draft).value}, why=first_search.time(draft).why))
    yield from _keys(1, Reasoned(value={"metric": draft.metric.value}, why=draft.metric.why))


def _judged(draft: Draft) -> Iterator[str]:
    if draft.slices or draft.split.cluster:
        yield "evaluate:"
    if draft.split.cluster:
        why = "rows of one value are not independent: intervals treat them as one"
        yield from _keys(1, Reasoned(value={"cluster": draft.split.cluster}, why=why))
    yield from _list(1, "slices", draft.slices)
    yield from _min_rows(draft, "evaluate")
    if draft.groups:
        yield "bias:"
        yield from _list(1, "groups", draft.groups)
        yield from _min_rows(draft, "bias")
    if draft.unmeasured:
        yield from _comment(
            f"no slice and no group by {listed(draft.unmeasured)}: the test part has about {counted(draft.test_rows)},"
            f" of which two values would need {suggest.MIN_ROWS[-1]} each"
        )
    yield from _comment(
        "all must pass before the model is registered; judged on the worse end of the interval, a `point` on the value"
        if draft.gates
        else f"no gate: {draft.no_gate}"
    )
    yield from _list(0, "gates", draft.gates, _expression) if draft.gates else ["gates: []"]


def _min_rows(draft: Draft, section: str) -> Iterator[str]:
    """From how many rows a slice or a group is judged, where the test part is small."""
    if least := draft.min_rows.get(section):
        test = counted(draft.test_rows)
        why = f"the test part has about {test}: not {suggest.MIN_ROWS[0]}, the default, for two values"
        yield from _keys(1, Reasoned(value={"min_rows": least}, why=why))


def _end(draft: Draft) -> Iterator[str]:
    if draft.ignored:
        yield from _comment(
            "these findings would end the run, and no column can be left out for them: look at them first"
        )
        yield "checks:"
        yield from _list(1, "ignore", draft.ignored)
    yield "register: {alias: challenger}"


def _keys(depth: int, one: Reasoned) -> Iterator[str]:
    """The keys of a mapping, below the reason."""
    yield from _comment(one.why, depth)
    for key, value in one.value.items():
        yield f"{INDENT * depth}{key}: {scalar(value)}"


def _list(depth: int, key: str, values: Sequence[Reasoned], write: Callable[[Any], str] = scalar) -> Iterator[str]:
    """A list with a line for each value, below its reason."""
    if values:
        yield f"{INDENT * depth}{key}:"
    for one in values:
        yield from _comment(one.why, depth + 1)
        yield f"{INDENT * (depth + 1)}- {write(one.value)}"


def _comment(text: str, depth: int = 0) -> list[str]:
    lead = f"{INDENT * depth}# "
    return [lead + line for line in wrap(_clean(text), WIDTH - len(lead), break_long_words=False)]


def _expression(text: str) -> str:
    """An expression or a gate; in quotes where YAML would read it otherwise."""
    plain = PLAIN_EXPRESSION.fullmatch(text) and text.lower() not in RESERVED
    return text if plain else json.dumps(text, ensure_ascii=False)


def _clean(text: str) -> str:
    """The text without signs that would end a comment or change its look."""
    return CONTROL.sub(" ", text)
