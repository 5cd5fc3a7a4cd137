"""Sources: where the rows of a table are stored, and how they are read."""

DEFAULT = "parquet"
