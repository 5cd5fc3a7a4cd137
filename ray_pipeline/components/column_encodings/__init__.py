"""Column encodings: how one column of a table becomes columns of the matrix."""
