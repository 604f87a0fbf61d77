"""Plans of the latent backbones, and plans as pictures."""

import io

import pytest
import torch
from PIL import Image

from vmc.backbones import animatediff, miniature, modelscope
from vmc.cascade import Cascade
from vmc.finetuning import Finetuning
from vmc.planning import plan
from vmc.planning.chart import memory_chart
from vmc.planning.memory import LiveMemory, size_of
from vmc.planning.parts import measured
from vmc.sprites import Scene

FAMILIES = {
    "modelscope": (miniature.modelscope, modelscope),
    "animatediff": (miniature.animatediff, animatediff),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    make, module = FAMILIES[request.param]
    return make(tmp_path_factory.mktemp(request.param)), module


@pytest.mark.parametrize("checkpointing", [True, False])
def test_a_tuning_step_takes_what_was_predicted(family, checkpointing):
    """The same count, on the CPU and of the step itself."""
    folder, module = family
    shape = {"frames": 8, "size": (64, 96)}
    (tuning,) = (part for part in module.parts(folder, **shape) if part.tuned is not None)
    need = measured(tuning, torch.float32, checkpointing)
    cascade = Cascade.from_pretrained(folder, "cpu", checkpointing=checkpointing, **shape)
    base = cascade.base
    clip = Scene("ball", "red", "on the road", "zigzag").render(base.frames, base.size)
    run = Finetuning(cascade, clip, "a ball is moving", steps=2)
    next(run)  # makes the optimizer's moments
    for weight in run._weights.values():
        weight.grad = None
    moments = [x for state in run._optimizer.state.values() for x in state.values()]
    stays = [*run._weights.values(), *moments]
    with LiveMemory([*base.unet.parameters(), *base.unet.buffers(), *stays]) as memory:
        next(run)
    real = memory.peak + size_of(stays)
    assert need.optimizer + need.activations == pytest.approx(real, rel=0.1)


def test_a_folder_is_planned_like_a_published_model(family):
    folder, _ = family
    planned = plan(folder, memory=8e9)
    held = sum(
        parameter.numel() * 2
        for network in ("unet", "text_encoder", "autoencoder")
        for parameter in getattr(Cascade.from_pretrained(folder, "cpu").base, network).parameters()
    )
    assert all(need.weights == pytest.approx(held, rel=0.01) for need in planned.needs)
    assert planned.options() == {"checkpointing": False}
    assert "keyframes" in str(planned) and "in 8 bits" not in str(planned)
    on_disk = sum(file.stat().st_size for file in folder.rglob("*.*"))
    assert planned.disk == on_disk


@pytest.mark.parametrize(
    "name, module, numbers",
    [
        # U-Net, CLIP's text encoder, autoencoder
        ("modelscope", modelscope, 1_411_233_860 + 340_387_840 + 83_653_863),
        ("animatediff", animatediff, 859_520_964 + 453_000_000 + 123_060_480 + 83_653_863),
    ],
)
def test_the_published_sizes_are_known(name, module, numbers):
    reading, *_ = module.parts(name)
    with torch.device("meta"):
        held = sum(parameter.numel() for parameter in reading.network().parameters())
    assert held == pytest.approx(numbers, rel=0.002)


def test_a_chart_has_a_bar_for_every_part(family):
    folder, _ = family
    needs = {need.part.name: need for need in plan(folder).needs}
    sizes = []
    for chosen in (needs, dict(list(needs.items())[:2])):
        picture = Image.open(io.BytesIO(memory_chart(chosen)))
        assert picture.format == "PNG"
        sizes.append(picture.size)
    assert sizes[0][0] == sizes[1][0] and sizes[0][1] > sizes[1][1]
