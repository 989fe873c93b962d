"""A stranger's package; that its modules import each other is its own affair."""
