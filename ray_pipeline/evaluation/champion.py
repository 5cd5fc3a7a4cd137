"""The champion, scored today on the same test rows: joined by its own spec, without the rows that its own split trained
on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.bundle import Bundle
from ray_pipeline.data.read import read
from ray_pipeline.data.rows import KEY, PART
from ray_pipeline.data.split import split
from ray_pipeline.evaluation.gates import Champion
from ray_pipeline.evaluation.latency import latency_ms, size_mb
from ray_pipeline.evaluation.predict import put_bundle
from ray_pipeline.registry.registry import Registry
from ray_pipeline.runtime.session import arrow_blocks
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.values import PARTS, Predictions


@dataclass(frozen=True)
class Rescored:
    """The champion's scores and the challenger's rows that they stand beside, position by position."""

    champion: Predictions
    kept: NDArray[np.bool_]
    """Which of the challenger's test rows are compared, shape (n,)."""
    trained_on: int
    """Test rows left out because the champion's own split had them in its training parts."""
    unmatched: int
    """Test rows left out because the champion's spec does not bring them (its `where`, range or gap)."""


def champion_of(
    registry: Registry, test: Predictions, spec: Spec, where: Where, *, rows: str | None = None
) -> Champion | None:
    """The model that bears the alias `champion` under the spec's name, scored on the test rows; None if no gate asks or
    there is none."""
    if not any(gate.champion for gate in spec.gates):
        return None
    found = registry.champion(spec.name)
    if found is None:
        return None
    version, folder = found
    bundle = Bundle.load(folder)
    if (bundle.schema["task"], bundle.schema["label"]) != (spec.task, spec.features.labels.label):
        return Champion(
            version,
            replace(test, task=bundle.schema["task"], classes=(bundle.schema["label"],)),
            bundle.schema["threshold"],
        )
    rescored = rescore(bundle, test, where, rows or where.resolve(spec.features.labels.path, spec.folder))
    return Champion(
        version,
        rescored.champion,
        bundle.schema["threshold"],
        judged=rescored.kept,
        latency_ms=latency_ms(bundle),
        size_mb=size_mb(bundle),
    )


def rescore(bundle: Bundle, test: Predictions, where: Where, rows: str) -> Rescored:
    """The champion's predictions on the challenger's test rows, which lie at the path `rows`, paired by key."""
    folder = Path(bundle.schema["base"])
    own = Spec.from_text(bundle.schema["spec"], file="champion.yaml", folder=folder, trust=where.trust)
    table = split(read(own, where, rows=rows), own)
    wanted, maker, carried = pa.array(test.key), table.maker, put_bundle(bundle)

    def score_block(block: pa.Table) -> pa.Table:
        rows, _ = maker(block)
        rows = rows.filter(pa.compute.is_in(rows[KEY], wanted.cast(rows[KEY].type)))
        score = carried.load().score(rows)
        return pa.table({KEY: rows[KEY], PART: rows[PART], "score": list(score)})

    scored = pa.concat_tables(arrow_blocks(table.blocks(), score_block))
    at = pa.compute.index_in(wanted.cast(scored[KEY].type), scored[KEY]).to_numpy(zero_copy_only=False)
    found = ~np.isnan(at.astype(np.float64))
    position = np.where(found, at, 0).astype(np.int64)
    part = scored[PART].to_numpy()[position] if scored.num_rows else np.zeros(len(position), np.int8)
    trained = found & (part != PARTS.index("test"))
    kept = found & ~trained
    score = np.asarray(scored["score"].to_pylist(), np.float64)[position[kept]]
    return Rescored(replace(select(test, kept), score=score), kept, int(trained.sum()), int((~found).sum()))


def select(rows: Predictions, kept: NDArray[np.bool_]) -> Predictions:
    """Those rows of the predictions."""
    columns: Mapping[str, NDArray[np.object_]] = {name: values[kept] for name, values in rows.columns.items()}
    return replace(
        rows,
        key=rows.key[kept],
        label=rows.label[kept],
        score=rows.score[kept],
        weight=rows.weight[kept],
        cluster=rows.cluster[kept],
        columns=columns,
    )
