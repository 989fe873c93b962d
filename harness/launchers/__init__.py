"""What runs the cells of a plan. A launcher is a plugin: its protocol is `harness.plugin.launching.Launcher`.

The local one is of the core and not in `plugins/`, since a launcher carries out the core's own tasks: it stands on
`harness.cell`, which no plugin may import. It is found, named and chosen like any other all the same: its module has
the hook, and an entry point names it. A launcher of another package has `harness.launchers.work` and
`harness.outcomes.failed` beside the author's face.
"""
