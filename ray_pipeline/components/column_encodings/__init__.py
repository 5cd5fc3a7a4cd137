"""Column encodings: how one column becomes columns of the matrix."""
