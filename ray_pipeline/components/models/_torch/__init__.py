"""What nets share: a training loop, embeddings of table columns, heads for the three tasks, a file format.

Imported only where PyTorch is installed.
"""
