"""Sources: where the rows of a table are."""

DEFAULT = "parquet"
