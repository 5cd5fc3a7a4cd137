"""Report: one self-contained HTML page for people, from the plain files of a run folder.

In: a run folder. Out: report.html and model_card.md; and a page that compares two runs.
May import: components and the layers below it.
"""

from ray_pipeline.report.model_card import NAME as MODEL_CARD
from ray_pipeline.report.write import write_report

__all__ = ["MODEL_CARD", "write_report"]
