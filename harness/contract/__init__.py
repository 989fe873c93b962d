"""The contract of plugins: what `harness plugins check` and the test suite run."""
