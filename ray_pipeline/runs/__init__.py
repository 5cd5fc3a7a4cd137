"""Runs: the context of a run; what it writes, what it remembers, and how it is resumed and repeated.

In: the values that the stages return.
Out: the run folder, its journal and its manifest.
May import: everything but the pipeline and the command line.
"""
