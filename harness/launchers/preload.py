"""What the forkserver imports once, so that each cell starts with it: seconds of imports become milliseconds of fork.

Imported by name only. Nothing here may start a thread or touch a device.
"""

import gc
from importlib import import_module

MODULES = (
    "harness.cell",
    "scipy.optimize",
    "sklearn.cluster",
    "sklearn.manifold",
    "sklearn.metrics",
    "torch.utils.flop_counter",
    "torchmetrics.functional",
    "torchvision.models",
)

for module in MODULES:
    import_module(module)
import_module("harness.store").warm_up()
import_module("harness.registry.installed").plugin_infos()
gc.collect()
gc.freeze()  # half a million objects that live as long as a cell: none has to walk over them, nor copy their pages
