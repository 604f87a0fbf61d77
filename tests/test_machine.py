"""What a process says of its own memory."""

import subprocess
import sys

import torch

CHILD = "from vmc.machine import peak_resident; print(peak_resident())"


def test_a_process_is_not_charged_with_the_memory_of_the_one_that_started_it():
    large = torch.ones(500_000_000)  # 2 GB, all of it touched
    counted = int(subprocess.check_output([sys.executable, "-c", CHILD]))
    assert 50e6 < counted < large.nbytes / 2


def test_the_peak_stays_when_the_memory_is_given_back():
    words = "import torch; x = torch.ones(250_000_000); del x; " + CHILD
    assert int(subprocess.check_output([sys.executable, "-c", words])) > 1e9
