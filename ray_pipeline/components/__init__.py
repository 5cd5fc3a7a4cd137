"""Choices: one class a file; the name of the file is the word that a user writes in the spec.

In: the written words and parameters of a spec; batches of rows, labels and scores.
Out: frozen classes that split, check, encode, train, measure, slice and calibrate.
May import: values, errors, hashing, duration and encoded_block; the checks also profiling, data and spec.
"""
