"""What a run will need, known before anything is loaded: memory, disk and time.

Networks are built and run on PyTorch's meta device, where tensors have shapes and no content, while
every storage that comes to life is counted (`vmc.planning.memory`). So the peak of a full-size
tuning step is known in seconds, on a machine that could not hold the weights.
"""

from vmc.planning.plan import Plan, plan

__all__ = ["Plan", "plan"]
