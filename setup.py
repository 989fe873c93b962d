"""The packages, found: `plugins/` is installed as `harness_plugins`. All else is in pyproject.toml."""

from setuptools import find_packages, setup

core = find_packages(include=["harness", "harness.*"])
plugins = ["harness_plugins", *(f"harness_plugins.{name}" for name in find_packages("plugins"))]
setup(packages=[*core, *plugins], package_dir={"harness": "harness", "harness_plugins": "plugins"})
