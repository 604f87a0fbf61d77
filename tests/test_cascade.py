"""The stages after the keyframes: their windows, their conditions, and the whole run of them."""

import pytest
import torch

from vmc.backbones.tiny import TinyBackbone, schedule
from vmc.cascade import Cascade, checked_device
from vmc.errors import BadInput
from vmc.pretraining import RECIPES, Recipe, new_denoiser, new_text_encoder
from vmc.stages import Interpolation, SuperResolution, low_resolution_condition


class KnowsTheAnswer(torch.nn.Module):
    """A denoiser whose estimate of x_0 is always a given function of its condition."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.seen = answer, []
        self.alphas_cumprod = schedule()

    def forward(self, noisy, timestep, text, condition=None, noise_level=None):
        self.seen.append(condition.clone())
        level = self.alphas_cumprod[timestep]
        return (noisy - level.sqrt() * self.answer(condition)) / (1 - level).sqrt()


def small_cascade():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text_encoder = new_text_encoder(32)
        networks = [
            new_denoiser(
                Recipe(1, 1, 1e-3, (32, 32), patch, in_channels=channels, refines=channels > 3), 32
            )
            for patch, channels in ((4, 3), (4, 7), (8, 6))
        ]
        for parameter in (p for n in networks for p in n.parameters()):
            if parameter.ndim > 1 and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
    base = TinyBackbone(networks[0], text_encoder)
    for network in networks:
        network.eval().requires_grad_(False)
    return Cascade(
        base,
        Interpolation(networks[1], base.sampler, steps=1),
        (
            SuperResolution(networks[2], base.sampler, (80, 128), steps=1),
            SuperResolution(networks[2], base.sampler, (160, 288), steps=1),
        ),
    )


@pytest.fixture(scope="module")
def cascade():
    return small_cascade()


TEXT = torch.zeros(1, 16, 32)
# The first step divides the float32 rounding of ε by √ᾱ ≈ 0.006.
ROUNDING = 5e-4


def test_interpolation_puts_every_window_in_its_place(cascade):
    keyframes = torch.rand(3, 8, 8, 8) * 2 - 1
    denoiser = KnowsTheAnswer(lambda condition: condition[:, :3])
    stage = Interpolation(denoiser, cascade.base.sampler, steps=2)
    made = stage(keyframes, TEXT, TEXT, torch.Generator().manual_seed(0))
    expected = torch.stack(
        [
            torch.lerp(keyframes[:, n // 4], keyframes[:, min(n // 4 + 1, 7)], n % 4 / 4)
            for n in range(29)
        ],
        dim=1,
    )
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
    mask = denoiser.seen[0][:, 3]
    assert mask[:, [0, 4]].eq(1).all() and mask[:, 1:4].eq(0).all()


def test_each_super_resolution_window_starts_from_the_last_sharp_frame(cascade):
    clip = torch.rand(3, 15, 8, 8) * 1.8 - 0.9  # the sampler clips at 1, and some noise is added
    denoiser = KnowsTheAnswer(lambda condition: condition)
    stage = SuperResolution(denoiser, cascade.base.sampler, (16, 16), steps=1, noise_level=0)
    made = stage(clip, TEXT, TEXT, torch.Generator().manual_seed(0))
    assert made.shape == (3, 15, 16, 16)
    _, first, second = denoiser.seen
    assert [c.shape[2] for c in denoiser.seen] == [1, 8, 8]
    torch.testing.assert_close(first[0, :, 0], made[:, 0])
    torch.testing.assert_close(second[0, :, 0], made[:, 7])
    torch.testing.assert_close(made[:, 1:8], first[0, :, 1:], atol=ROUNDING, rtol=0)
    torch.testing.assert_close(made[:, 8:], second[0, :, 1:], atol=ROUNDING, rtol=0)


def test_low_resolution_condition_is_a_noised_bilinear_enlargement():
    low, noise = torch.rand(2, 3, 4, 5, 8), torch.randn(2, 3, 4, 10, 16)
    sharp = torch.rand(2, 3, 10, 16)
    level = torch.tensor([0, 250])
    made = low_resolution_condition(low, (10, 16), level, noise, schedule(), sharp)
    torch.testing.assert_close(made[:, :, 0], sharp)
    for b in range(2):
        alpha = schedule()[level[b]]
        for n in range(1, 4):
            large = torch.nn.functional.interpolate(low[b, :, n][None], (10, 16), mode="bilinear")
            expected = alpha.sqrt() * large[0] + (1 - alpha).sqrt() * noise[b, :, n]
            torch.testing.assert_close(made[b, :, n], expected)


def test_a_prompt_becomes_a_video_of_every_size(cascade):
    steps = []
    made = cascade.generate(
        "a blue star is moving on the snow", steps=2, on_step=lambda *s: steps.append(s[:3])
    )
    assert made.keyframes.shape == (3, 8, 40, 64)
    assert made.interpolated.shape == (3, 29, 40, 64)
    assert made.enlarged.shape == (3, 29, 80, 128)
    assert made.video.shape == (3, 29, 160, 288)
    assert made.video.min() >= -1 and made.video.max() <= 1
    assert steps[:3] == [("keyframes", 1, 2), ("keyframes", 2, 2), ("interpolation", 1, 1)]
    assert steps[3:8] == [("super-resolution 80×128", n + 1, 5) for n in range(5)]
    assert len(steps) == 2 + 1 + 5 + 5


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_ones(cascade):
    def keyframes(seed):
        return cascade.generate("a ball is moving", seed=seed, steps=2, until="keyframes").keyframes

    assert torch.equal(keyframes(1), keyframes(1))
    assert not torch.allclose(keyframes(1), keyframes(2), atol=1e-2)


def test_prompts_of_one_call_do_not_touch_each_other(cascade):
    prompts = ["a red car is moving", "two blue fish are moving underwater"]
    together = cascade.generate(prompts, steps=2, until="interpolated")
    for prompt, made in zip(prompts, together, strict=True):
        alone = cascade.generate(prompt, steps=2, until="keyframes")
        assert made.prompt == prompt
        torch.testing.assert_close(made.keyframes, alone.keyframes, atol=ROUNDING, rtol=0)
    assert not torch.allclose(together[0].keyframes, together[1].keyframes, atol=1e-3)


def test_keyframes_are_finished_later_as_they_would_have_been_at_once(cascade):
    prompts = ["a red car is moving", "two blue fish are moving underwater"]
    at_once = cascade.generate(prompts, steps=2, seed=3)
    for one, keyframes in zip(
        at_once, cascade.generate(prompts, steps=2, seed=3, until="keyframes"), strict=True
    ):
        steps = []
        made = cascade.finish(keyframes, seed=3, on_step=lambda *s, to=steps: to.append(s[:3]))
        assert made.prompt == one.prompt and torch.equal(made.keyframes, one.keyframes)
        torch.testing.assert_close(made.video, one.video, atol=1e-4, rtol=0)
        assert steps[0] == ("interpolation", 1, 1) and len(steps) == 1 + 5 + 5
    other = cascade.finish(keyframes, seed=4, until="interpolated")
    assert other.video is None
    assert not torch.allclose(other.interpolated, one.interpolated, atol=1e-2)
    with pytest.raises(BadInput, match="no stage 'supper'"):
        cascade.finish(keyframes, until="supper")


def test_inverted_noise_takes_the_place_of_random_noise(cascade):
    start = torch.randn(1, 3, 8, 40, 64, generator=torch.Generator().manual_seed(5))
    options = dict(steps=1, until="keyframes")
    made = [cascade.generate("a ball is moving", inverted=start, seed=s, **options) for s in (0, 1)]
    assert torch.equal(made[0].keyframes, made[1].keyframes)
    same = cascade.generate("a ball is moving", seed=5, **options)
    assert torch.equal(made[0].keyframes, same.keyframes)


@pytest.mark.parametrize(
    "call, message",
    [
        (dict(prompt=""), "prompt is empty"),
        (dict(prompt=[]), "prompt is empty"),
        (dict(prompt="a blu star is moving"), "'blu'.*nearest are blue"),
        (dict(prompt=" ".join(["red"] * 16)), "16 words"),
        (dict(prompt="a ball", steps=0), "at least one step"),
        (dict(prompt="a ball", until="supper"), "no stage 'supper'"),
        (dict(prompt="a ball", inverted=torch.zeros(1, 3, 8, 8, 8)), r"shape \(1, 3, 8, 8, 8\)"),
    ],
)
def test_bad_input_gets_a_sentence(cascade, call, message):
    with pytest.raises(BadInput, match=message):
        cascade.generate(**call)


def test_a_backbone_alone_makes_keyframes_only(cascade):
    with pytest.raises(BadInput, match='pass until="keyframes"'):
        Cascade(cascade.base).generate("a ball is moving")


def test_devices_and_names_that_are_not_there():
    with pytest.raises(BadInput, match="is not a device"):
        checked_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match="no CUDA GPU"):
            Cascade.from_pretrained("tiny", device="cuda")
    with pytest.raises(BadInput, match="There is no cascade at"):
        Cascade.from_pretrained("no-such-model")


def test_the_recipes_make_what_the_stages_expect():
    for stage, recipe in RECIPES.items():
        with torch.device("meta"):
            unet = new_denoiser(recipe).unet
        assert unet.config.out_channels == 3 * recipe.patch**2, stage
