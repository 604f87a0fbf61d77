"""What the program runs on: processor, cores, memory, and how much of it was used."""

import os
import platform
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch


def device_name(device: torch.device | str) -> str:
    """What a person calls the device, such as "cuda: NVIDIA T4" or "cpu: AMD EPYC 7B13"."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"{device}: {torch.cuda.get_device_name(device)}"
    with suppress(OSError):
        model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        if device.type == "cpu" and model:
            return f"cpu: {model[1]}"
    return f"{device}: {platform.processor() or platform.machine()}"


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def total_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's if less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # "max" is no number
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def peak_memory() -> dict[str, int]:
    """The most bytes that this process has held so far: resident, and on the GPU if it used one."""
    peak = {"resident": peak_resident()}
    if torch.cuda.is_initialized():
        peak["gpu"] = torch.cuda.max_memory_allocated()
    return peak


def peak_resident() -> int:
    """The most bytes of main memory that this process has held so far.

    On Linux a process's `ru_maxrss` begins at that of the process that started it, however large
    that was; its own high-water mark is in /proc.
    """
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        if mark := re.search(r"VmHWM:\s+(\d+) kB", status):
            return int(mark[1]) * 1024
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident if sys.platform == "darwin" else resident * 1024
