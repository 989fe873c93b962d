"""The sources of packages that a test installs: none of them is importable where it lies."""

collect_ignore = ["contrast"]
