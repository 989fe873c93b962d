"""Datasets as rows of columns, how they are cut and batched, and readers of files."""
