"""Profiling: one pass over the rows. All that encoding and the checks need follows from it by arithmetic.

In: a `Table`.
Out: a `Profile`: counts, column statistics, samples, findings, drift.
May import: data and what is below it.
"""
