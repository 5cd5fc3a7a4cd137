"""The champion, scored today on the same test rows.

Its own spec joins the rows, and the rows that its own split trained on are left out.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.bundle import Bundle
from ray_pipeline.data.read import checked_columns, read
from ray_pipeline.data.row_layout import with_row_layout
from ray_pipeline.data.rows import KEY, PART
from ray_pipeline.data.split import split
from ray_pipeline.data.sql_tables import with_rows_of
from ray_pipeline.errors import DataError, PipelineError, Problem, SpecError, listed
from ray_pipeline.evaluation.batch_predict import put_bundle
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.evaluation.rival import Champion
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.suggestion import command
from ray_pipeline.values import PARTS, Predictions

if TYPE_CHECKING:
    from ray_pipeline.registry.registry import Registry
    from ray_pipeline.runs.context import Run


def champion(
    registry: "Registry", predictions: Predictions, spec: Spec, where: Where, *, rows: str | None = None
) -> Champion | None:
    """Score the model that bears the alias `champion` under the spec's name on the test rows.

    Parameters
    ----------
    registry
        Where the champion is registered.
    predictions
        The test rows, scored by the challenger.
    spec
        The challenger's spec.
    where
        Says where data paths start.
    rows
        The path of the test rows, where it is not that of the spec's label table.

    Returns
    -------
    Champion or None
        None if no gate names the champion, or there is none. One that cannot score the rows says why.
    """
    found = _found(registry, spec)
    if found is None:
        return None
    version, bundle = found
    if not _predicts_the_same(bundle, spec):
        other = replace(predictions, task=bundle.schema["task"], label_name=bundle.schema["label"])
        return Champion(version=version, predictions=other)
    path, costs = rows or where.resolve(spec.features.labels.path, spec.folder), ServingCosts.of(bundle)
    try:
        scored, compared = rescore(bundle, predictions, where, path, spec)
    except (DataError, SpecError) as error:
        none, unfit = np.zeros(len(predictions), bool), _unfit(spec, version, _reasons(error))
        return Champion(version=version, predictions=predictions.take(none), compared=none, costs=costs, unfit=unfit)
    return Champion(version=version, predictions=scored, compared=compared, costs=costs)


def require_champion(spec: Spec, run: "Run") -> None:
    """Check by the columns alone that the champion can score the rows of the run, if a gate names the champion.

    A run that verifies another one is not checked: it makes the same model, whoever is champion by now.

    Raises
    ------
    DataError
        The tables lack a column that the champion needs, or have it in another kind.
    """
    place = next((place for place, gate in enumerate(spec.gates) if gate.champion), None)
    if place is None or run.pinned:
        return
    run.registry_ready()
    found = _found(run.registry, spec)
    if found is None or not _predicts_the_same(found[1], spec):
        return
    version, bundle = found
    path = run.where.resolve(spec.features.labels.path, spec.folder)
    try:
        own = _own_spec(bundle, run.where, path, spec)
        _, columns = checked_columns(own, run.where, rows=path, needed=bundle.columns, types=bundle.types)
        reasons = bundle.misfits(columns.types)
    except (DataError, SpecError) as error:
        reasons = _reasons(error)
    if reasons:
        file, line = spec.place(key := f"gates[{place}]")
        promote = command("models promote", f"{spec.name}/VERSION", on=run.where.on)
        fix = f"remove the gate, or promote a version that has these columns (`{promote}`)"
        found_in = _unfit(spec, version, reasons)
        raise DataError(Problem(file=file, line=line, key=key, stage="read", found=found_in, fix=fix))


def _found(registry: "Registry", spec: Spec) -> tuple[int, Bundle] | None:
    """The champion under the spec's name; None if no gate names it, or there is none."""
    registered = registry.champion(spec.name) if any(gate.champion for gate in spec.gates) else None
    return None if registered is None else (registered[0], Bundle.load(registered[1]))


def _predicts_the_same(bundle: Bundle, spec: Spec) -> bool:
    return bool((bundle.schema["task"], bundle.schema["label"]) == (spec.task, spec.features.labels.label))


def _reasons(error: PipelineError) -> list[str]:
    return [
        one.found if not one.column or one.column in one.found else f"{one.column} {one.found}"
        for one in error.problems
    ]


def _unfit(spec: Spec, version: int, reasons: Sequence[str]) -> str:
    return f"the champion, {spec.name}/{version}, cannot score these rows: {listed(reasons)}"


def _own_spec(bundle: Bundle, where: Where, path: str, spec: Spec) -> Spec:
    """The champion's spec for the rows at `path`, with the rows of queries that the challenger has read."""
    own = Spec.from_text(
        bundle.schema["spec"], file="champion.yaml", folder=Path(bundle.schema["base"]), trust=where.trust
    ).without_range()
    return with_row_layout(with_rows_of(own, spec), path, bundle.columns)[0]


def rescore(
    bundle: Bundle, predictions: Predictions, where: Where, path: str, spec: Spec
) -> tuple[Predictions, NDArray[np.bool_]]:
    """Score the challenger's test rows, identified by their keys at `path`, with the champion.

    Returns
    -------
    tuple
        The champion's predictions on the rows that are compared, and the mask of these rows, shape (n,). Rows that the
        champion's own split trained on are left out, and rows that its own spec does not keep.
    """
    own = _own_spec(bundle, where, path, spec)
    table = split(read(own, where, rows=path, needed=bundle.columns, types=bundle.types), own)
    wanted, maker, bundle_ref = pa.array(predictions.key), table.row_builder, put_bundle(bundle)

    def score_block(block: pa.Table) -> pa.Table:
        rows, _ = maker(block)
        rows = rows.filter(pa.compute.is_in(rows[KEY], wanted.cast(rows[KEY].type)))
        score, ends = bundle_ref.load().score_and_ends(rows)
        scored = {"score": list(score), **({} if ends is None else {"ends": list(ends)})}
        return pa.table({KEY: rows[KEY], PART: rows[PART], **scored})

    blocks = list(table.map_blocks(score_block))
    if not blocks:  # the champion's own spec keeps none of the rows
        none = np.zeros(len(wanted), bool)
        return predictions.take(none), none
    scored = pa.concat_tables(blocks)
    place = pa.compute.index_in(wanted.cast(scored[KEY].type), scored[KEY]).to_numpy(zero_copy_only=False)
    known = ~np.isnan(place.astype(np.float64))
    position = np.where(known, place, 0).astype(np.int64)
    part = scored[PART].to_numpy()[position] if scored.num_rows else np.zeros(len(position), np.int8)
    compared = known & (part == PARTS.index("test"))
    score = np.asarray(scored["score"].to_pylist(), np.float64)[position[compared]]
    ends = None
    if "ends" in scored.column_names:
        ends = np.asarray(scored["ends"].to_pylist(), np.float64)[position[compared]]
    own_fields = {"score": score, "threshold": bundle.schema["threshold"], "regions": bundle.regions_of(score, ends)}
    return replace(predictions.take(compared), **own_fields), compared
