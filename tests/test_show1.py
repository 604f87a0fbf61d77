"""Show-1's stages: their settings, their samplers, and the whole of it in miniature."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet3DConditionModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from PIL import Image

import vmc
from vmc.backbones import Backbone, miniature
from vmc.backbones.miniature.pixel import SHOW1_SOLVER
from vmc.backbones.show1 import FirstFrame, load_stages
from vmc.backbones.show1.latent_enlarging import enlarged
from vmc.backbones.show1.latent_unet import latent_unet
from vmc.cascade import Cascade
from vmc.errors import BadInput
from vmc.residency import OnDemand
from vmc.sprites import Scene
from vmc.stages import SuperResolution, sample

CPU = torch.device("cpu")
SMALL = dict(frames=3, size=(8, 16))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return miniature.show1(tmp_path_factory.mktemp("show-1"))


def few_steps(cascade):
    cascade.base.sampling_steps = cascade.base.inversion_steps = 2
    cascade.interpolation.steps = 1
    enlarging, last = cascade.super_resolution
    enlarging.steps = enlarging.first_frame.steps = 1
    last.steps = 2
    return cascade


@pytest.fixture(scope="module")
def cascade(folder):
    return few_steps(Cascade.from_pretrained(folder, "cpu", **SMALL))


# --- the whole of it ------------------------------------------------------------------------------


def test_the_published_settings_are_those_of_the_stages(folder):
    base, interpolation, (enlarging, last) = load_stages(folder, CPU)
    assert isinstance(base, Backbone)
    assert (base.frames, base.size, base.dtype) == (8, (40, 64), torch.float32)
    assert (base.sampling_steps, base.guidance_scale, base.inversion_steps) == (75, 9.0, 75)
    assert (base.tuning_steps, base.learning_rate) == (400, 1e-4)
    assert (interpolation.steps, interpolation.guidance_scale) == (75, 4.0)
    assert (enlarging.size, enlarging.steps, enlarging.guidance_scale) == ((160, 256), 125, 7.0)
    assert (enlarging.window, enlarging.noise_level, enlarging.align_corners) == (8, 250, True)
    first = enlarging.first_frame
    assert (first.size, first.steps, first.guidance_scale) == ((160, 256), 70, 4.0)
    assert first.noise_level == 150
    assert (last.size, last.steps, last.strength, last.guidance_scale) == ((320, 576), 50, 0.8, 15)
    for stage in (base, interpolation, enlarging, last):
        assert stage.sampler().config.algorithm_type == "dpmsolver++"
        assert stage.sampler().config.final_sigmas_type == "sigma_min"
    assert isinstance(first.sampler(), DDPMScheduler)
    assert first.sampler().config.variance_type == "learned_range"


def test_the_cascade_tunes_inverts_and_generates(cascade, tmp_path):
    base = cascade.base
    clip = Scene().render(3, (8, 16))
    run = vmc.finetune(cascade, clip, "a ball is moving", steps=2)
    losses = [step.loss for step in run]
    assert all(np.isfinite(losses))
    run.adapter.save(tmp_path / "motion.safetensors")
    adapter = vmc.MotionAdapter.load(tmp_path / "motion.safetensors", cascade)
    tuned = adapter.motions[0].weights
    assert set(tuned) == set(base.temporal_qkv())
    with adapter.applied(cascade):
        noise = vmc.invert(cascade, clip)
    steps = []
    made = cascade.generate(
        "A blue star", adapter, noise, on_step=lambda name, n, total, _: steps.append((name, n))
    )
    assert made.keyframes.shape == (3, 3, 8, 16)
    assert made.interpolated.shape == (3, 9, 8, 16)
    assert made.enlarged.shape == (3, 9, 32, 64)
    assert made.video.shape == (3, 9, 64, 144)
    for clip in (made.keyframes, made.interpolated, made.enlarged, made.video):
        assert clip.isfinite().all() and clip.abs().max() <= 1
    assert steps == [
        ("keyframes", 1),
        ("keyframes", 2),
        ("interpolation", 1),
        ("interpolation", 2),
        *(("super-resolution 32×64", n) for n in (1, 2, 3)),
        ("super-resolution 64×144", 1),
    ]


def test_fewer_stages_ask_for_fewer_weights(folder, tmp_path):
    shutil.copytree(folder / "show-1-base", tmp_path / "show-1-base")
    cascade = Cascade.from_pretrained(tmp_path, "cpu", until="keyframes", **SMALL)
    made = cascade.generate("a ball", steps=1, until="keyframes")
    assert made.keyframes.shape == (3, 3, 8, 16)
    shutil.copytree(folder / "show-1-interpolation", tmp_path / "show-1-interpolation")
    cascade = Cascade.from_pretrained(tmp_path, "cpu", until="interpolated", **SMALL)
    with pytest.raises(BadInput, match='without super-resolution: pass until="interpolated"'):
        cascade.generate("a ball", steps=1)
    with pytest.raises(BadInput, match="no stage 'supper'"):
        load_stages(folder, CPU, until="supper")
    with pytest.raises(BadInput, match="multiples of 2"):
        load_stages(folder, CPU, until="keyframes", size=(9, 16))


def test_only_the_keyframe_model_stays_in_memory(cascade, monkeypatch):
    """Every other network is loaded for its stage, after the one before it is gone."""
    import weakref

    from vmc.backbones import show1
    from vmc.backbones.show1 import latent_enlarging

    alive, order = [], []

    def watched(load):
        def wrapped(kind, folder, *rest, **options):
            gone = [name for name, network in alive if network() is not None]
            assert not gone, f"{folder} is loaded while {gone} is there"
            network = load(kind, folder, *rest, **options)
            alive.append((str(folder), weakref.ref(network)))
            order.append(f"{folder.parent.name}/{folder.name}")
            return network

        return wrapped

    monkeypatch.setattr(show1, "load_network", watched(show1.load_network))
    for name in ("load_network", "load_text_encoder"):
        load = getattr(latent_enlarging, name)
        monkeypatch.setattr(latent_enlarging, name, watched(load))
    cascade.generate("a green fish")
    assert order == [
        "show-1-interpolation/unet",
        "IF-II-L-v1.0/unet",
        "show-1-sr1/unet",
        "show-1-sr2/text_encoder",
        "show-1-sr2/vae",
        "show-1-sr2/unet",
        "show-1-sr2/vae",
    ]


def test_the_fingerprint_is_of_the_file_and_not_of_the_dtype(folder):
    full, half = (
        load_stages(folder, CPU, dtype, until="keyframes")[0]
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert half.dtype == torch.bfloat16 and half.unet.conv_in.weight.dtype == torch.bfloat16
    assert half.fingerprint == full.fingerprint


# --- text -----------------------------------------------------------------------------------------


def test_prompts_are_encoded_once_and_the_encoder_is_let_go(folder, monkeypatch):
    from vmc.backbones.show1 import text

    loads = []
    load = text.load_text_encoder
    monkeypatch.setattr(text, "load_text_encoder", lambda *a: loads.append(1) or load(*a))
    base, *_ = load_stages(folder, CPU, until="keyframes")
    first = base.encode_text(["A Red ball ", "a fish"])
    assert first.shape == (2, 77, miniature.pixel.TEXT_WIDTH)
    assert torch.equal(base.encode_text(["a red ball"])[0], first[0])
    base.encode_text([""])
    assert len(loads) == 1 and isinstance(base.text.encoder, OnDemand)

    kept, *_ = load_stages(folder, CPU, until="keyframes", keep_text_encoder=True)
    assert torch.equal(kept.encode_text(["a red ball"])[0], first[0])
    kept.encode_text(["a plane"])
    assert len(loads) == 2


def test_padding_is_masked_for_the_text_encoder_alone(folder):
    """What stands in the padded places does not reach the words, but is handed on."""
    base, *_ = load_stages(folder, CPU, until="keyframes", keep_text_encoder=True)
    encoded = base.encode_text(["a fish"])[0]
    tokens = base.text.tokenizer("a fish", return_tensors="pt").input_ids
    alone = base.text.encoder(tokens)[0][0]
    torch.testing.assert_close(encoded[: alone.shape[0]], alone, atol=1e-5, rtol=0)
    assert encoded[alone.shape[0] :].abs().sum() > 0


def test_a_prompt_that_is_too_long_is_refused(folder):
    base, *_ = load_stages(folder, CPU, until="keyframes")
    with pytest.raises(BadInput, match="reads at most 77"):
        base.encode_text(["ball " * 77])


# --- the samplers, against derivations of their own -----------------------------------------------


def cosine_levels():
    at = np.linspace(0, 1, 1001)
    level = np.cos((at + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - level[1:] / level[:-1], 0.999))


def thresholded(clean, ratio, largest):
    """Per frame: the ratio-quantile of |x_0|, but at least 1 and at most `largest`, becomes 1."""
    flat = np.abs(clean).transpose(0, 2, 1, 3, 4).reshape(clean.shape[0], clean.shape[2], -1)
    s = np.clip(np.quantile(flat, ratio, axis=2), 1, largest)[:, None, :, None, None]
    return np.clip(clean, -s, s) / s


def dpm_solver_2m(predict, start, times, levels):
    """DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2) to the lowest noise level, every state."""
    latent, states, before = start, [], None
    for now, after in zip(times, [*times[1:], None], strict=True):
        a, s = np.sqrt(levels[now]), np.sqrt(1 - levels[now])
        end = levels[after] if after is not None else levels[0]
        a_end, s_end = np.sqrt(end), np.sqrt(1 - end)
        lam, lam_end = np.log(a / s), np.log(a_end / s_end)
        clean = thresholded((latent - s * predict(latent, now)) / a, 0.95, 1.5)
        direction = clean
        if before is not None:
            ratio = (lam - before[0]) / (lam_end - lam)
            direction = (1 + 1 / (2 * ratio)) * clean - before[1] / (2 * ratio)
        latent = s_end / s * latent - a_end * (np.exp(lam - lam_end) - 1) * direction
        before = lam, clean
        states.append(latent)
    return states


def test_every_step_of_the_sampler_is_the_published_one():
    sampler = DPMSolverMultistepScheduler(
        **SHOW1_SOLVER, lambda_min_clipped=-5.1, final_sigmas_type="sigma_min"
    )
    rng = np.random.default_rng(0)
    start = rng.standard_normal((2, 3, 4, 5, 6))
    mixing = rng.standard_normal((3, 3)) / 2
    drift = rng.standard_normal(start.shape)

    def predict(latent, timestep):
        """Some smooth function of both arguments, of about the size of noise."""
        mixed = np.einsum("ij,bjfhw->bifhw", mixing, np.asarray(latent, np.float64))
        return np.tanh(mixed + timestep / 1000 * drift)

    states = []
    sample(
        lambda x, t: torch.from_numpy(predict(x.numpy(), t)),
        sampler,
        torch.from_numpy(start),
        75,
        lambda number, total, latent: states.append(latent.numpy()),
    )
    times = sampler.timesteps.tolist()
    assert (times[0], times[-1], len(times)) == (995, 13, 75)
    assert times == np.round(np.linspace(0, 995, 76))[:0:-1].astype(int).tolist()
    expected = dpm_solver_2m(predict, start, times, cosine_levels())
    for ours, derived in zip(states, expected, strict=True):
        np.testing.assert_allclose(ours, derived, atol=2e-3, rtol=0)  # float32 levels near ᾱ = 0


def test_thresholding_is_per_frame():
    """Frame 0 is thresholded by its own values, whatever the other frames hold."""
    sampler = DPMSolverMultistepScheduler(**SHOW1_SOLVER, final_sigmas_type="sigma_min")
    start = torch.randn(1, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    loud = start.clone()
    loud[:, :, 1] *= 100
    quiet_frame, loud_frame = (
        sample(lambda x, t: torch.zeros_like(x), sampler, x, 4)[:, :, 0] for x in (start, loud)
    )
    torch.testing.assert_close(quiet_frame, loud_frame, atol=0, rtol=0)


class TwoAnswers(torch.nn.Module):
    """An image network whose six channels are known functions, and which keeps what it saw."""

    dtype = torch.float32

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, image, timestep, text, class_labels):
        self.seen.append((image.clone(), timestep, text, class_labels))
        noise = torch.tanh(image[:, :3] + text.mean())
        variance = torch.sin(3 * image[:, :3] + text.mean())
        return type("Output", (), {"sample": torch.cat([noise, variance], dim=1)})


def test_the_first_frame_is_sampled_with_the_learned_variance():
    network, levels = TwoAnswers(), cosine_levels()
    scheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2",
        variance_type="learned_range",
        thresholding=True,
        dynamic_thresholding_ratio=0.95,
        sample_max_value=1.0,
    )
    stage = FirstFrame(network, lambda: scheduler, torch.tensor(levels).float(), (8, 12), steps=5)
    frame = torch.rand(3, 1, 2, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    text, without = torch.full((1, 7, 4), 0.5), torch.zeros(1, 7, 4)
    states = []
    made = stage(
        frame, text, without, torch.Generator().manual_seed(2),
        lambda number, total, latent: states.append(latent[:, :, 0].double().numpy()),
    )  # fmt: skip
    assert made.shape == (3, 1, 8, 12)

    drawn = torch.Generator().manual_seed(2)
    latent, grain = (torch.randn(1, 3, 1, 8, 12, generator=drawn)[:, :, 0] for _ in range(2))
    large = torch.nn.functional.interpolate(
        frame[:, 0][None], (8, 12), mode="bilinear", align_corners=True
    )
    condition = levels[150] ** 0.5 * large + (1 - levels[150]) ** 0.5 * grain
    image, _, _, level = network.seen[0]
    torch.testing.assert_close(image[:, 3:], condition.float(), atol=1e-5, rtol=0)
    assert level.tolist() == [150]

    latent = latent.double().numpy()
    for number, now in enumerate(range(800, -1, -200)):
        after = levels[now - 200] if now >= 200 else 1.0
        step = levels[now] / after
        guided = np.tanh(latent) + 4 * (np.tanh(latent + 0.5) - np.tanh(latent))
        fraction = (np.sin(3 * latent + 0.5) + 1) / 2
        clean = (latent - np.sqrt(1 - levels[now]) * guided) / np.sqrt(levels[now])
        clean = thresholded(clean[:, :, None], 0.95, 1.0)[:, :, 0]
        latent = (
            np.sqrt(after) * (1 - step) / (1 - levels[now]) * clean
            + np.sqrt(step) * (1 - after) / (1 - levels[now]) * latent
        )
        if now > 0:
            smallest = (1 - after) / (1 - levels[now]) * (1 - step)
            variance = np.exp(fraction * np.log(1 - step) + (1 - fraction) * np.log(smallest))
            noise = torch.randn(1, 3, 8, 12, generator=drawn).numpy()
            latent = latent + np.sqrt(variance) * noise
        np.testing.assert_allclose(states[number], latent, atol=1e-3, rtol=0)


# --- windows --------------------------------------------------------------------------------------


def test_windows_replace_the_frame_they_share_and_start_from_the_first_sharp_one():
    class Doubles(torch.nn.Module):
        """Says that the clean clip is half its condition."""

        alphas_cumprod = torch.tensor(cosine_levels()).float()

        def forward(self, noisy, timestep, text, condition=None, noise_level=None):
            conditions.append(condition)
            level = self.alphas_cumprod[timestep]
            return (noisy - level.sqrt() * condition / 2) / (1 - level).sqrt()

    conditions = []
    sharp = torch.full((3, 1, 8, 8), 0.75)

    def first_frame(frame, text, unconditional, generator, on_step):
        assert torch.equal(frame, clip[:, :1])
        return sharp

    first_frame.steps = 0
    clip = torch.rand(3, 15, 2, 2) * 2 - 1
    stage = SuperResolution(
        Doubles(),
        lambda: DPMSolverMultistepScheduler(
            **SHOW1_SOLVER, lambda_min_clipped=-5.1, final_sigmas_type="zero"
        ),
        (8, 8),
        steps=1,
        noise_level=0,
        align_corners=True,
        first_frame=first_frame,
        replaces_shared=True,
    )
    made = stage(clip, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), torch.Generator())
    first, second = conditions
    assert made.shape == (3, 15, 8, 8)
    torch.testing.assert_close(first[0, :, 0], sharp[:, 0])
    # Without guidance the network is asked once a window, so conditions are one each.
    torch.testing.assert_close(second[0, :, 0], first[0, :, 7] / 2, atol=1e-3, rtol=0)
    torch.testing.assert_close(made[:, 0], sharp[:, 0] / 2, atol=1e-3, rtol=0)
    torch.testing.assert_close(made[:, 7], second[0, :, 0] / 2, atol=1e-3, rtol=0)
    large = torch.nn.functional.interpolate(
        clip.transpose(0, 1), (8, 8), mode="bilinear", align_corners=True
    ).transpose(0, 1)
    torch.testing.assert_close(first[0, :, 1:], large[:, 1:8], atol=0.05, rtol=0)


def test_windows_one_by_one_are_the_windows_together(cascade, folder):
    stage = cascade.interpolation
    keyframes = torch.rand(3, 3, 8, 16) * 2 - 1
    text = cascade.base.encode_text(["a ball"])
    made = []
    for stage.windows_at_once in (1, None):
        made.append(stage(keyframes, text, text, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(*made, atol=1e-3, rtol=0)
    stage.windows_at_once = 1


# --- the last enlargement -------------------------------------------------------------------------


def test_the_last_stage_goes_through_four_fifths_of_its_schedule(cascade, monkeypatch):
    last = cascade.super_resolution[1]
    monkeypatch.setattr(last, "steps", 10)
    monkeypatch.setattr(last, "guidance_scale", 1.0)
    asked = []

    class Network(torch.nn.Module):
        def forward(self, noisy, timestep, words):
            asked.append((timestep, noisy.clone()))
            return type("Output", (), {"sample": torch.zeros_like(noisy)})

    load = last._on_demand
    monkeypatch.setattr(
        last,
        "_on_demand",
        lambda kind, part: OnDemand(Network) if part == "unet" else load(kind, part),
    )
    clip = torch.rand(3, 2, 32, 64) * 2 - 1
    made = last(clip, *last.read("a ball"), torch.Generator().manual_seed(0))
    assert made.shape == (3, 2, 64, 144)
    scheduler = last.sampler()
    scheduler.set_timesteps(10)
    assert [t for t, _ in asked] == scheduler.timesteps[2:].tolist()

    # What the network sees first is the encoded clip, noised for just that timestep.
    with torch.no_grad():
        autoencoder = load(vmc.backbones.show1.latent_enlarging.AutoencoderKL, "vae").load()
        drawn = torch.Generator().manual_seed(0)
        frames = []
        for frame in enlarged(clip, (64, 144)).unbind(1):
            spread = autoencoder.encode(frame[None]).latent_dist
            noise = torch.randn(spread.mean.shape, generator=drawn)
            frames.append((spread.mean + spread.std * noise) * 0.18215)
        clean = torch.stack(frames, 2)
        level = scheduler.alphas_cumprod[asked[0][0]]
        noise = torch.randn(clean.shape, generator=drawn)
        expected = level.sqrt() * clean + (1 - level).sqrt() * noise
    torch.testing.assert_close(asked[0][1], expected, atol=1e-5, rtol=1e-5)


def test_the_last_stage_reads_the_prompt_itself(cascade):
    last = cascade.super_resolution[1]
    text, negative = last.read("a ball")
    assert text.shape == negative.shape == (1, 77, miniature.pixel.TEXT_WIDTH)
    assert not torch.allclose(text, negative)
    assert torch.equal(last.read(last.negative_prompt)[0], negative)


def test_frames_are_enlarged_as_pictures():
    clip = torch.rand(3, 2, 4, 6) * 2.4 - 1.2
    made = enlarged(clip, (8, 9))
    for frame, large in zip(clip.unbind(1), made.unbind(1), strict=True):
        picture = ((frame.clamp(-1, 1).permute(1, 2, 0) + 1) * 127.5).byte().numpy()
        expected = np.asarray(Image.fromarray(picture).resize((9, 8), Image.Resampling.BICUBIC))
        shown = ((large + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(shown, expected)


LATENT = dict(
    block_out_channels=(32, 64),
    down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
    up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
    layers_per_block=1,
    attention_head_dim=8,
    cross_attention_dim=16,
    sample_size=32,
)


def test_attention_heads_of_the_last_stage_are_as_its_configuration_means_them():
    def heads(network, place):
        attention = network.get_submodule(place).transformer_blocks[0].attn1
        return attention.heads, round(attention.scale**-2)

    theirs, native = latent_unet(**LATENT, transfromer_in_opt=True), latent_unet(**LATENT)
    assert isinstance(native, UNet3DConditionModel)
    for place in ("down_blocks.0.temp_attentions.0", "down_blocks.0.attentions.0"):
        assert heads(theirs, place) == (8, 4)
        assert heads(native, place) == (4, 8)
    assert {k: v.shape for k, v in theirs.state_dict().items()} == {
        k: v.shape for k, v in native.state_dict().items()
    }
    # The computation is that of a transformer built with so many heads.
    ours = theirs.down_blocks[0].temp_attentions[0]
    built = TransformerTemporalModel(8, 4, 32, norm_num_groups=32)
    built.load_state_dict(ours.state_dict())
    images = torch.randn(4, 32, 2, 2)
    with torch.no_grad():
        torch.testing.assert_close(
            ours(images, num_frames=2).sample, built(images, num_frames=2).sample
        )


def test_the_last_stage_may_have_no_transformer_at_its_entrance():
    network = latent_unet(**LATENT, transfromer_in_opt=False, use_linear_projection=True)
    assert not any(name.startswith("transformer_in") for name in network.state_dict())
    with torch.no_grad():
        output = network(torch.zeros(1, 4, 2, 4, 4), 5, torch.zeros(1, 3, 16)).sample
    assert output.shape == (1, 4, 2, 4, 4)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"use_linear_projection": False}, "use_linear_projection=False"),
        ({"attention_head_dim": (8, 8)}, "one attention_head_dim"),
    ],
)
def test_a_last_stage_that_cannot_be_built_is_refused(wrong, message):
    with pytest.raises(BadInput, match=message):
        latent_unet(**{**LATENT, **wrong}, transfromer_in_opt=True)


# --- the command ----------------------------------------------------------------------------------


def test_customize_runs_on_a_folder(folder, tmp_path, monkeypatch):
    from vmc.cli import main

    load = Cascade.from_pretrained
    monkeypatch.setattr(
        Cascade,
        "from_pretrained",
        lambda name, device=None, dtype=None: few_steps(load(name, device, dtype, **SMALL)),
    )
    words = ["customize", "zigzag", "--prompt", "a blue star", "--backbone", str(folder)]
    with pytest.raises(SystemExit) as ending:
        main([*words, "--out", str(tmp_path / "out"), "--steps", "1", "--device", "cpu"])
    assert ending.value.code in (0, None)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["finished"] and report["settings"]["backbone"] == str(folder)
    assert (tmp_path / "out" / "video_0.mp4").is_file()


def test_recomputed_activations_tune_to_the_same_bits(folder):
    """Layer by layer and under the exchange of weights: nothing but time and memory changes."""
    clip = Scene().render(3, (8, 16))
    tuned = []
    for checkpointing in (True, False):
        base, *_ = load_stages(folder, CPU, until="keyframes", checkpointing=checkpointing, **SMALL)
        calls = []
        layer = base.unet.down_blocks[1].temp_attentions[0]
        layer.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        run = vmc.finetune(base, clip, "a ball is moving", steps=2)
        list(run)
        assert len(calls) == (4 if checkpointing else 2)
        tuned.append(run.adapter.motions[0].weights)
    assert all(torch.equal(weight, tuned[1][name]) for name, weight in tuned[0].items())
