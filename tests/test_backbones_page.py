"""The page about backbones: its example runs as printed, and its table tells the truth."""

import re
from pathlib import Path

import pytest
import torch

from vmc.backbones import Backbone
from vmc.backbones.registry import NAMES
from vmc.cascade import Cascade

PATH = Path(__file__).parent.parent / "docs" / "backbones.md"
PAGE = PATH.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def page():
    """The names that the page defines, after all of its code has run in order."""
    names = {"__name__": "flipbook"}
    with torch.random.fork_rng():
        for block in BLOCK.finditer(PAGE):
            lines_before = "\n" * PAGE.count("\n", 0, block.start(1))
            exec(compile(lines_before + block[1], PATH, "exec"), names)
    return names


def test_the_example_is_a_backbone_that_is_tuned_and_generates(page):
    backbone, losses = page["backbone"], page["losses"]
    assert isinstance(backbone, Backbone)
    assert len(losses) == backbone.tuning_steps
    assert sum(losses[-10:]) < sum(losses[:10])
    assert page["noise"].shape == (1, 3, 6, 16, 24)
    assert page["made"].keyframes.shape == (3, 6, 16, 24)
    assert torch.isfinite(page["made"].keyframes).all()


def test_the_example_has_the_temporal_attention_alone_in_its_adapter(page):
    tuned = page["run"].adapter.motions[0].weights
    assert set(tuned) == {f"across.to_{letter}.weight" for letter in "qkv"}
    assert page["across"] == {"across"}


def test_what_the_page_loads_is_a_cascade_of_one_stage(page):
    cascade = Cascade(*page["load_stages"]("flipbook", torch.device("cpu"), None))
    assert cascade.base.name == "flipbook" and cascade.interpolation is None


def test_the_last_check_tells_how_a_network_is_to_be_read(page):
    """The page's random network fails it; the tiny model passes, unless it is read wrongly."""
    tiny = Cascade.from_pretrained("tiny").base
    scene = page["Scene"]("ball", "red", "on the road", "zigzag")
    code = next(block[1] for block in BLOCK.finditer(PAGE) if "ratios = " in block[1])

    def ratios():
        names = page | {"backbone": tiny, "clip": scene.render()}
        with torch.no_grad(), torch.random.fork_rng():
            exec(code, names)
        return names["ratios"]

    assert min(page["ratios"].values()) > 1
    right, levels = ratios(), tiny.alphas_cumprod
    assert max(right.values()) < 0.5
    tiny.alphas_cumprod = torch.cumprod(1 - torch.linspace(0.029, 0.11, 1000) ** 2, 0)
    assert all(wrong > 1.2 * right[t] for t, wrong in ratios().items())
    tiny.alphas_cumprod, tiny.predict_noise = levels, tiny.denoiser.clean  # x̂_0 for ε̂
    assert ratios()[900] > 10


def test_every_backbone_stands_in_the_table():
    rows = re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE)
    assert [row for row in rows if row in NAMES] == list(NAMES)
    tiny = Cascade.from_pretrained("tiny").base
    tuned = sum(p.numel() for p in tiny.temporal_qkv().values()) / 1e6
    assert f"| {tuned:.1f} M |" in next(x for x in PAGE.splitlines() if x.startswith("| `tiny`"))


def test_every_member_of_the_contract_stands_in_the_page():
    members = {*Backbone.__annotations__, *(n for n in vars(Backbone) if not n.startswith("_"))}
    contract = PAGE.split("## What a backbone owes")[1].split("## Another")[0]
    assert all(f"`{name}" in contract for name in members)
