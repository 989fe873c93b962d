"""What the forkserver imports once, so that each cell starts with it: seconds of imports become milliseconds of fork.

Imported by name only. Nothing here may start a thread or touch a device.
"""

import scipy.optimize
import sklearn.cluster
import sklearn.manifold
import sklearn.metrics
import torch.utils.flop_counter
import torchvision.models  # noqa: F401

import harness.cell
import harness.store

harness.store.warm_up()
