"""Shapes written in the library's signatures are enforced, and numbers are the same every time."""

import os
import signal

# Inherited by the processes that tests start, the notebooks' kernels among them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"
# Sums in one order on every machine, and a core each for tests that go side by side.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from jaxtyping import install_import_hook

# A shell has what it runs in the background ignore Ctrl-C, and what tests start would do so too.
signal.signal(signal.SIGINT, signal.default_int_handler)
install_import_hook("vmc", "typechecker.checked")
torch.use_deterministic_algorithms(True)
