"""Tuning: Optuna proposes, Ray Tune runs the trials on Ray Train workers, the winner is refitted.

In: an `Encoded`.
Out: a `Leaderboard` and the refitted model as a bundle.
May import: evaluation, preprocessing and the layers below them.
"""
