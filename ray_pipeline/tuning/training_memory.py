"""The memory that a worker needs for its training rows, and the context that all fits of a run share."""

from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.constraints import interaction_groups, monotone_signs

CELL_BYTES, ROW_BYTES = 2.5, 52
"""Peak bytes of a quantised matrix and of boosting on it: bins twice (by rows and by columns); row pointers, positions,
gradients, labels and predictions. Measured by `benchmarks/bench_footprint.py`."""


def trained_bytes(rows: int, columns: int, layout: Layout) -> float:
    """Return the bytes that one worker needs for the rows that it trains on."""
    return rows * (CELL_BYTES * columns + ROW_BYTES) / layout.workers


def training_context(encoded: Encoded, spec: Spec, layout: Layout, threads: int) -> TrainingContext:
    """Return the context that all fits of the run share.

    Parameters
    ----------
    encoded
        The rows, with the profile that class weights come from.
    spec
        Names the task and the class weights.
    layout
        Says how much memory a worker has, and whether it has a GPU.
    threads
        Threads of each fit.
    """
    rows = encoded.rows
    cardinalities = {name: encoder.cardinalities for name, encoder in rows.encoders.items()}
    columns = max(map(len, cardinalities.values()))
    return TrainingContext(
        task=spec.task,
        num_classes=len(rows.classes),
        cardinalities=cardinalities,
        monotone=monotone_signs(spec, rows.encoders),
        interactions=interaction_groups(spec, rows.encoders),
        quantiles=spec.intervals.quantiles if spec.intervals else (),
        codes={name: encoder.codes for name, encoder in rows.encoders.items()},
        threads=threads,
        device="cuda" if layout.gpus else "cpu",
        class_weight=encoded.profile.class_weight(spec.fit.class_weight_of(spec.task)),
        mean_weight=encoded.profile.mean_weight,
        rows=rows.rows["train"],
        min_label=rows.min_label,
        external=trained_bytes(sum(rows.rows.values()), columns, layout) > layout.memory,
        features={name: encoder.columns for name, encoder in rows.encoders.items()},
    )
