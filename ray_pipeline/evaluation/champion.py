"""The champion, scored today on the same test rows.

Its own spec joins the rows, and the rows that its own split trained on are left out.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.bundle import Bundle
from ray_pipeline.data.read import read
from ray_pipeline.data.row_layout import with_row_layout
from ray_pipeline.data.rows import KEY, PART
from ray_pipeline.data.split import split
from ray_pipeline.data.sql_tables import with_rows_of
from ray_pipeline.evaluation.batch_predict import put_bundle
from ray_pipeline.evaluation.gates import Champion
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.values import PARTS, Predictions

if TYPE_CHECKING:
    from ray_pipeline.registry.registry import Registry


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
        None if no gate names the champion, or there is none.
    """
    if not any(gate.champion for gate in spec.gates):
        return None
    registered = registry.champion(spec.name)
    if registered is None:
        return None
    version, folder = registered
    bundle = Bundle.load(folder)
    if (bundle.schema["task"], bundle.schema["label"]) != (spec.task, spec.features.labels.label):
        other = replace(predictions, task=bundle.schema["task"], label_name=bundle.schema["label"])
        return Champion(version=version, predictions=other)
    path = rows or where.resolve(spec.features.labels.path, spec.folder)
    scored, compared = rescore(bundle, predictions, where, path, spec)
    return Champion(version=version, predictions=scored, compared=compared, costs=ServingCosts.of(bundle))


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
    own = Spec.from_text(
        bundle.schema["spec"], file="champion.yaml", folder=Path(bundle.schema["base"]), trust=where.trust
    ).without_range()
    own, _ = with_row_layout(with_rows_of(own, spec), path, bundle.columns)
    table = split(read(own, where, rows=path), own)
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
