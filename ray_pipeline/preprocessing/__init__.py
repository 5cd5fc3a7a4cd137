"""Preprocessing: encoders are fitted from the profile, and every row is encoded once for all trials.

In: a `Table` and its `Profile`.
Out: an `Encoded`: blocks of encoded rows in the object store, and shards of them for workers.
May import: profiling, data, storage and the layers below them.
"""
