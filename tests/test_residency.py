"""Networks that come and go, and batches as large as memory allows."""

import weakref

import pytest
import torch

from vmc.residency import OnDemand, as_memory_allows, at_hand, set_aside


def test_a_network_on_demand_is_gone_after_its_block():
    loaded = []

    def load():
        network = torch.nn.Linear(2, 2)
        loaded.append(weakref.ref(network))
        return network

    demand = OnDemand(load)
    for count in (1, 2):
        with at_hand(demand) as network:
            assert loaded[-1]() is network
        del network
        assert len(loaded) == count and loaded[-1]() is None


def test_a_network_that_is_there_stays():
    network = torch.nn.Linear(2, 2)
    with at_hand(network) as same:
        assert same is network
    with set_aside(network, torch.device("cpu")):
        assert network.weight.device.type == "cpu"


def test_a_network_set_aside_comes_back_after_a_failure():
    moves = []

    class Network(torch.nn.Module):
        def to(self, device):
            moves.append(str(device))

    with pytest.raises(KeyError), set_aside(Network(), torch.device("cuda")):
        raise KeyError
    assert moves == ["cpu", "cuda"]


@pytest.mark.parametrize("room", [1, 2, 3, 5, 8])
def test_a_batch_is_halved_until_it_fits(room):
    sizes = []

    def work(batch):
        if len(batch) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(batch))
        return 2 * batch

    batch = torch.arange(7)
    assert torch.equal(as_memory_allows(work, batch), 2 * batch)
    assert sum(sizes) == 7 and max(sizes) <= room
    if room >= 7:
        assert sizes == [7]


def test_what_does_not_fit_alone_is_an_error():
    def work(batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        as_memory_allows(work, torch.arange(3))
