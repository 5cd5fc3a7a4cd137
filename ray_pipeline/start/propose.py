"""From the paths of tables to a draft: the page of this room."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.data.rows import LABEL, PART
from ray_pipeline.errors import DataError, Problem, SpecError
from ray_pipeline.profiling.requirements import MIN_ROWS
from ray_pipeline.spec import Spec
from ray_pipeline.start import suggest
from ray_pipeline.start.baseline import score_baseline
from ray_pipeline.start.draft import Draft, unfit_columns
from ray_pipeline.start.feast import FeastProposal, propose_feast
from ray_pipeline.start.gates import with_gates
from ray_pipeline.start.join import JoinProposal, propose_join
from ray_pipeline.start.label import OFFERED, Candidate, Label, candidates, read_label
from ray_pipeline.start.roles import Roles, find_roles, with_panel
from ray_pipeline.start.sample_profile import check_sample, sample_rows
from ray_pipeline.start.split import propose_splits
from ray_pipeline.start.steps import with_steps
from ray_pipeline.start.table import StartTable, format_of, require_rows, table_name
from ray_pipeline.start.write import text_of
from ray_pipeline.values import PARTS, Finding

Ask = Callable[[Sequence[Candidate]], str]


def propose(
    name: str,
    given: str,
    folder: Path,
    *,
    label: str | None = None,
    features: Sequence[str] = (),
    ask: Ask | None = None,
) -> Draft:
    """The spec that a person would write for these tables.

    Parameters
    ----------
    name
        The name of the spec.
    given
        The path of the label table.
    folder
        The folder of the spec.
    label
        The column or expression to predict.
    features
        Paths of feature tables and of Feast repositories.
    ask
        Chooses the label among the candidates where it is not given; without it, an error lists the likeliest.

    Raises
    ------
    SpecError
        The label is not said.
    DataError
        A table cannot be read, or nothing can be learned from it.
    """
    labels = StartTable.open("labels", given, folder).without_totals()
    require_rows(labels, MIN_ROWS)
    found = read_label(labels, label or _chosen(labels, given, ask))
    if not features:  # the times of joined tables would have to be steps too
        labels = with_steps(labels, found.columns)
    roles = find_roles(labels, found.columns)
    joins, feast = _joined(labels, roles, found, features, folder)
    draft = Draft(
        name=name,
        given=given,
        labels=labels,
        label=found,
        roles=roles,
        split=next(propose_splits(labels, roles, found)),
        joins=joins,
        feast=feast,
        left_out=unfit_columns(labels),
    )
    _require_features(draft)
    return _judged(_split(draft, folder), folder)


def _chosen(labels: StartTable, given: str, ask: Ask | None) -> str:
    """The label that the person chooses; without a person, an error with the likeliest columns."""
    likeliest = candidates(labels)
    if not likeliest:
        found = "no column can be a label: all are ids, constants, times or free texts"
        raise DataError(Problem(stage="read", file=given, found=found, fix="name one with --label, or an expression"))
    if ask is not None:
        return ask(likeliest)
    shown = "; ".join(map(str, likeliest[:OFFERED]))
    found = f"nothing says which column to predict. Likeliest: {shown}"
    fix = f"name it, as in --label {likeliest[0].name!r}"
    raise SpecError(Problem(key="--label", file=given, found=found, fix=fix))


def _joined(
    labels: StartTable, roles: Roles, label: Label, paths: Sequence[str], folder: Path
) -> tuple[tuple[JoinProposal, ...], tuple[FeastProposal, ...]]:
    """The joins of all feature tables; every problem at once."""
    joins, feast, problems, taken = list[JoinProposal](), list[FeastProposal](), list[Problem](), {"labels"}
    for path in paths:
        name = table_name(path, taken)
        taken.add(name)
        try:
            if format_of(name, path) == "feast":
                feast.append(propose_feast(labels, roles, label, name, str(Path(path).absolute()), folder))
            else:
                joins.append(propose_join(labels, roles, label.columns, StartTable.open(name, path, folder)))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return tuple(joins), tuple(feast)


def _split(draft: Draft, folder: Path) -> Draft:
    """The draft with the first split whose parts all have rows and known classes."""
    rejected: tuple[str, ...] = ()
    for split in propose_splits(draft.labels, draft.roles, draft.label):
        draft = replace(draft, split=replace(split, rejected=rejected))
        if (why := _misfit(draft, folder)) is None:
            return _with_panel(draft)
        rejected += (f"not split by {split.keys.get('column') or split.keys.get('group') or split.by}: {why}",)
    return draft


def _with_panel(draft: Draft) -> Draft:
    """The draft in which the group is a feature where a split by time lets a model learn its values."""
    if draft.split.by != "time":
        return draft
    return replace(draft, roles=with_panel(draft.labels, draft.roles, draft.split.keys["validation"]))


def _misfit(draft: Draft, folder: Path) -> str | None:
    """Why the split does not work on the sample; None if it does."""
    rows, _, _ = sample_rows(_spec(draft, folder), draft.labels, draft.all_joins)
    labels = {part: rows.filter(pc.equal(rows[PART], code))[LABEL] for code, part in enumerate(PARTS)}
    if empty := [part for part, values in labels.items() if not len(values)]:
        return f"{' and '.join(empty)} would have no rows"
    if draft.label.task == "regression":
        return None
    classes = {part: {*pc.unique(values).to_pylist()} for part, values in labels.items()}
    if draft.label.task == "binary":
        lacking = [part for part, known in classes.items() if len(known) < 2]
        return f"{' and '.join(lacking)} would have one class" if lacking else None
    unseen = (classes["validation"] | classes["test"]) - classes["train"]
    return f"train would not have {len(unseen)} of the classes" if unseen else None


def _judged(draft: Draft, folder: Path) -> Draft:
    """The draft after the product's checks and the baseline: columns left out, slices, groups and gates."""
    rows, findings = _checked(draft, folder)
    draft = draft.without(suggest.left_out(findings, draft.features))
    _require_features(draft)
    rows, findings = _checked(draft, folder)
    found = suggest.notes(findings, [*draft.features, *(f"{join.name}.{join.time}" for join in draft.joins)])
    panel = draft.roles.panel
    draft = replace(
        draft,
        notes=found | ({panel.column: panel.why} if panel else {}),
        ignored=suggest.ignored(findings, draft.features),
    )
    draft = suggest.with_slices(draft, rows)
    return with_gates(draft, score_baseline(draft, rows), draft.test_rows)


def _require_features(draft: Draft) -> None:
    if draft.features:
        return
    taken = [f"{role.column} is the {name}" for name, role in draft.roles.taken.items()]
    said = [f"{name}: {why}" for name, why in [*draft.left_out.items()][:3]]
    found = f"no feature is left besides the label {draft.label.text}: {'; '.join([*taken, *said])}"
    raise DataError(Problem(stage="check", file=draft.given, found=found.rstrip(": "), fix="bring more columns"))


def _checked(draft: Draft, folder: Path) -> tuple[pa.Table, tuple[Finding, ...]]:
    """The sampled rows, and what the product's checks find in them."""
    spec = _spec(draft, folder)
    rows, counts, columns = sample_rows(spec, draft.labels, draft.all_joins)
    return rows, check_sample(spec, rows, counts, columns, draft.all_joins)


def _spec(draft: Draft, folder: Path) -> Spec:
    """The spec that the draft's text means, with the tables of Feast repositories written out."""
    spec = Spec.from_text(text_of(draft), file=f"{draft.name}.yaml", folder=folder)
    tables = {join.name: table for one in draft.feast for join, table in zip(one.joins, one.tables, strict=True)}
    return spec.with_tables(tables) if tables else spec
