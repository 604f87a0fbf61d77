"""Shapes written in the library's signatures are enforced, and numbers are the same every time."""

import os

# Inherited by the processes that tests start.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"

import torch
from jaxtyping import install_import_hook

install_import_hook("vmc", "typechecker.checked")
torch.set_num_threads(1)  # sums in one order on every machine
torch.use_deterministic_algorithms(True)
