"""What nets share: one training loop, embeddings of table columns, heads for the three tasks, one file format. Imported
only where torch is."""
