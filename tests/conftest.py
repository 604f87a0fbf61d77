"""Shapes written in the library's signatures are enforced, and numbers are the same every time."""

import os
import signal

# Inherited by the processes that tests start.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"

import torch
from jaxtyping import install_import_hook

# A shell has what it runs in the background ignore Ctrl-C, and what tests start would do so too.
signal.signal(signal.SIGINT, signal.default_int_handler)
install_import_hook("vmc", "typechecker.checked")
torch.set_num_threads(1)  # sums in one order on every machine
torch.use_deterministic_algorithms(True)
