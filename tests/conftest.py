"""Shapes written in the library's signatures are enforced, and numbers are the same every time."""

import os

# Inherited by the processes that tests start. One thread: sums in one order on every machine.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"

import torch
from jaxtyping import install_import_hook

install_import_hook("vmc", "beartype.beartype")
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
