"""Reading: feature tables become label rows with their features as of the label's time, each row in its part.

In: a spec and the files behind its paths.
Out: a lazy `Table` of joined, split rows, and its fingerprint.
May import: components, spec, runtime and what is below them.
"""
