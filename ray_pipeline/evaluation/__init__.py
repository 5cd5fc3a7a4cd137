"""Evaluation: predictions become metrics with intervals, slices, bias, and the verdict of the gates.

In: a bundle and encoded rows.
Out: `Predictions`, `Evaluation`, `Explanation` and `Verdict`.
May import: preprocessing, profiling, data and the layers below them.
"""
