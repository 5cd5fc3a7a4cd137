"""Report: one self-contained HTML page for people, from the plain files of a run folder.

In: a run folder.
Out: report.html, and two runs side by side.
May import: components and what lies below them.
"""

from ray_pipeline.report.write import write_report

__all__ = ["write_report"]
