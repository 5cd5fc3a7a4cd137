"""The report of a run: one self-contained page, made from the run folder's plain files alone."""

from ray_pipeline.report.write import write_report

__all__ = ["write_report"]
