"""Pure functions of tensors: numbers from numbers. Nothing here knows a plugin, a dataset or a file."""
