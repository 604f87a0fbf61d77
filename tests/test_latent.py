"""What all latent backbones share, on small random networks in their published layouts."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import Attention
from safetensors.torch import load_file, save_file

from vmc import BadInput, Cascade, MotionAdapter, finetune, invert
from vmc.backbones import Backbone, miniature
from vmc.motion import alignment_loss
from vmc.planning.memory import LiveMemory
from vmc.sprites import Scene
from vmc.stages import sample

FRAMES, SIZE = 6, (32, 48)
FAMILIES = {"modelscope": miniature.modelscope, "animatediff": miniature.animatediff}


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    return FAMILIES[request.param](tmp_path_factory.mktemp(request.param))


def load(folder, **settings):
    settings = {"device": "cpu", "frames": FRAMES, "size": SIZE} | settings
    return Cascade.from_pretrained(folder, **settings)


@pytest.fixture(scope="module")
def cascade(folder):
    return load(folder)


@pytest.fixture
def altered(folder, tmp_path):
    """A copy of the folder that a test may spoil."""
    return shutil.copytree(folder, tmp_path / "copy")


@pytest.fixture(scope="module")
def clip():
    return Scene("ball", "red", "on the road", "zigzag").render(FRAMES, SIZE)


def noise_like(latent, seed=0):
    return torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))


def test_it_fulfils_the_contract(cascade):
    assert isinstance(cascade.base, Backbone)
    assert cascade.interpolation is None and not cascade.super_resolution
    assert not any(p.requires_grad for p in cascade.base.unet.parameters())
    assert not cascade.base.unet.training


def test_what_is_tuned_are_the_attentions_across_frames_and_no_others(cascade):
    """Found by watching which attentions see sequences of frames, whatever they are called."""
    base, seen = cascade.base, {}

    def note(name):
        return lambda module, inputs: seen.__setitem__(name, inputs[0].shape[1])

    modules = {n: m for n, m in base.unet.named_modules() if isinstance(m, Attention)}
    handles = [m.register_forward_pre_hook(note(n)) for n, m in modules.items()]
    latent = torch.zeros(1, 4, 5, 4, 6)  # 5 frames of 24 and 6 pixels
    base.predict_noise(latent, 500, base.encode_text(["a ball"]))
    for handle in handles:
        handle.remove()
    assert set(seen.values()) == {5, 24, 6}
    across = {name for name, length in seen.items() if length == 5}
    three = ("to_q", "to_k", "to_v")
    assert set(base.temporal_qkv()) == {f"{n}.{p}.weight" for n in across for p in three}
    within = seen.keys() - across
    assert set(base.spatial_qkv()) == {f"{n}.{p}.weight" for n in within for p in three}


def test_latents_are_the_scaled_means_of_the_frames(cascade, clip):
    base = cascade.base
    latent = base.encode_video(clip[None])
    assert latent.shape == (1, 4, FRAMES, SIZE[0] // 8, SIZE[1] // 8)
    with torch.no_grad():
        moments = base.autoencoder.encode(clip.transpose(0, 1)).latent_dist.parameters
        expected = 0.18215 * moments[:, :4].transpose(0, 1)[None]
        pictures = base.autoencoder.decode(expected[0].transpose(0, 1) / 0.18215).sample
    torch.testing.assert_close(latent, expected, atol=1e-6, rtol=1e-5)
    decoded = base.decode_video(latent)
    # Convolutions of one picture and of six sum in another order.
    torch.testing.assert_close(decoded, pictures.transpose(0, 1)[None], atol=1e-4, rtol=1e-4)


def held_out_loss(backbone, clip, prompt):
    """The mean of Eq. 17 over fixed timesteps and noises that tuning does not draw."""
    latent, text = backbone.encode_video(clip[None]), backbone.encode_text([prompt])
    losses = []
    with torch.no_grad():
        for seed, timestep in enumerate(range(50, 1000, 100)):
            noise, level = noise_like(latent, seed), backbone.alphas_cumprod[timestep]
            noisy = level.sqrt() * latent + (1 - level).sqrt() * noise
            predicted = backbone.predict_noise(noisy, timestep, text)
            losses.append(alignment_loss(predicted, noise, "cosine", 1).item())
    return np.mean(losses)


def test_tuning_lowers_the_loss_and_leaves_the_backbone_as_it_was(cascade, clip, tmp_path):
    base = cascade.base
    before = {name: tensor.clone() for name, tensor in base.unet.state_dict().items()}
    untuned = held_out_loss(base, clip, "a ball is moving")
    run = finetune(cascade, clip, "a ball is moving", steps=20, learning_rate=1e-2)
    for _ in run:
        assert all(parameter.grad is None for parameter in base.unet.parameters())
    assert set(run.adapter.motions[0].weights) == set(base.temporal_qkv())
    with run.adapter.applied(cascade):
        tuned = held_out_loss(base, clip, "a ball is moving")
    assert untuned > 0.8  # random weights: nothing is known of the noise yet
    assert tuned < untuned - 0.1
    after = base.unet.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())

    run.adapter.save(tmp_path / "motion.safetensors")
    loaded = MotionAdapter.load(tmp_path / "motion.safetensors", cascade)
    with loaded.applied(cascade):
        assert held_out_loss(base, clip, "a ball is moving") == tuned


def test_an_adapter_is_refused_by_another_backbone(cascade, clip, altered):
    adapter = finetune(cascade, clip, "a ball is moving", steps=1).adapter
    weights = altered / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: 2 * tensor for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(BadInput, match=r"The adapter was tuned on .* but this backbone is"):
        adapter.check(load(altered))


def test_keyframes_come_in_the_asked_number_and_size(cascade, clip):
    run = finetune(cascade, clip, "a ball is moving", steps=3, learning_rate=1e-2)
    list(run)
    inverted = invert(cascade, clip, 3)
    prompts = ["a blue star", "a green fish"]
    made = cascade.generate(prompts, run.adapter, inverted, steps=3, until="keyframes")
    assert [m.keyframes.shape for m in made] == [(3, FRAMES, *SIZE)] * 2
    assert all(m.keyframes.abs().max() <= 1 for m in made)
    assert not torch.equal(made[0].keyframes, made[1].keyframes)
    untuned = cascade.generate(prompts[0], None, inverted, steps=3, until="keyframes")
    assert not torch.equal(untuned.keyframes, made[0].keyframes)
    with pytest.raises(BadInput, match='makes keyframes only: pass until="keyframes"'):
        cascade.generate("a blue star", steps=3)


def known_answers(backbone, kind):
    """Exact predictions for latents whose numbers are independent N(0, 0.3²), as ε or as v."""
    levels = backbone.alphas_cumprod.double()

    def answer(unet, noisy, timestep, text):
        level = levels[timestep].view(-1, 1, 1, 1, 1)
        spread = 0.09 * level + 1 - level
        clean, noise = 0.09 * level.sqrt() * noisy / spread, (1 - level).sqrt() * noisy / spread
        answer = noise if kind == "epsilon" else level.sqrt() * noise - (1 - level).sqrt() * clean
        return answer.to(noisy.dtype)

    return answer


def test_inversion_and_sampling_return_to_the_clip(cascade, clip, monkeypatch):
    base = cascade.base
    monkeypatch.setattr(base, "call", known_answers(base, "epsilon"))
    latent, text = base.encode_video(clip[None]), base.encode_text([""])

    def error(steps):
        """RMS of what is lost on the way there and back, as a fraction of the latent's own."""
        noise = invert(cascade, clip, steps)
        back = sample(lambda x, t: base.predict_noise(x, t, text), base.sampler(), noise, steps)
        return ((back - latent).square().mean() / latent.square().mean()).sqrt().item()

    coarse, fine = error(10), error(100)
    assert fine < 0.25 * coarse
    assert fine < 0.06


def test_v_prediction_is_epsilon_prediction_in_other_words(folder, clip, altered, monkeypatch):
    config = altered / "scheduler" / "scheduler_config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"prediction_type": "v_prediction"})
    )
    results = {}
    for kind, place in (("epsilon", folder), ("v", altered)):
        cascade = load(place)
        base = cascade.base
        monkeypatch.setattr(base, "call", known_answers(base, kind))
        noise = noise_like(base.encode_video(clip[None]))
        timestep, text = torch.tensor([700]), base.encode_text(["a ball"])
        results[kind] = (
            base.predict_noise(noise, timestep, text),
            base.predict_noise(noise, 700, text),
            invert(cascade, clip, 10),
            cascade.generate("a ball", seed=3, steps=5, until="keyframes").keyframes,
        )
        assert base.sampler().config.prediction_type == "epsilon"
    for epsilon, v in zip(results["epsilon"], results["v"], strict=True):
        torch.testing.assert_close(v, epsilon, atol=2e-5, rtol=1e-4)


def test_the_residuals_of_a_velocity_are_taken_from_its_noise(folder, clip, altered):
    """The loss of a v-network is that of √ᾱ v̂ + √(1-ᾱ) x_t, worked out here from the betas."""
    config = altered / "scheduler" / "scheduler_config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"prediction_type": "v_prediction"})
    )
    cascade, plain = load(altered), load(folder)
    base = cascade.base
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    if base.name == "animatediff":
        betas = torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)
    run = finetune(cascade, clip, "a ball is moving", steps=1, seed=5)
    timestep, noise = run._draw(1)
    level = torch.cumprod(1 - betas, 0)[timestep].float().view(-1, 1, 1, 1, 1)
    noisy = level.sqrt() * base.encode_video(clip[None]) + (1 - level).sqrt() * noise
    # The same weights, read as an ε-network: its answer is the v-network's v̂.
    text = base.encode_text(["a ball is moving"])
    velocity = plain.base.predict_noise(noisy, timestep, text)
    predicted = level.sqrt() * velocity + (1 - level).sqrt() * noisy
    expected = alignment_loss(predicted, noise, "cosine", 1)
    assert next(run).loss == pytest.approx(expected.item(), abs=1e-5)
    assert alignment_loss(velocity, noise, "cosine", 1).item() != pytest.approx(
        expected.item(), abs=1e-3
    )


def test_recomputing_activations_changes_nothing_but_the_memory(folder, clip):
    kept = []
    for checkpointing in (True, False):
        cascade = load(folder, checkpointing=checkpointing)
        run = finetune(cascade, clip, "a ball is moving", steps=2)
        losses = [next(run).loss]
        with LiveMemory() as memory:
            losses.append(next(run).loss)
        kept.append((losses, run.adapter.motions[0].weights, memory.peak))
    (losses, weights, with_it), (other_losses, other_weights, without) = kept
    assert losses == other_losses
    assert all(torch.equal(weight, other_weights[name]) for name, weight in weights.items())
    assert with_it < 0.6 * without


def test_it_is_tuned_in_half_precision(folder, cascade, clip):
    half = load(folder, dtype=torch.bfloat16)
    assert half.base.dtype == torch.bfloat16
    assert half.base.fingerprint == cascade.base.fingerprint
    assert half.base.encode_video(clip[None]).dtype == torch.float32
    run, exact = (finetune(c, clip, "a ball is moving", steps=1) for c in (half, cascade))
    assert next(run).loss == pytest.approx(next(exact).loss, abs=0.02)
    assert all(w.dtype == torch.float32 for w in run.adapter.motions[0].weights.values())
    inverted = invert(half, clip, 2)
    made = half.generate("a ball", run.adapter, inverted, steps=2, until="keyframes")
    assert torch.isfinite(made.keyframes).all()


def test_the_schedule_may_not_end_in_noise_alone(altered):
    config = altered / "scheduler" / "scheduler_config.json"
    DDIMScheduler(rescale_betas_zero_snr=True).save_pretrained(altered / "scheduler")
    if (altered / "motion_adapter").is_dir():
        assert load(altered).base.alphas_cumprod[-1] > 0  # its schedule is the adapter's
    else:
        with pytest.raises(BadInput, match="zero terminal SNR"):
            load(altered)
    config.write_text(json.dumps({"_class_name": "DDIMScheduler", "prediction_type": "sample"}))
    with pytest.raises(BadInput, match="predicts 'sample'"):
        load(altered)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"frames": 1}, "at least two frames, not 1"),
        ({"size": (32, 44)}, r"multiples of 8; load it with another size than \(32, 44\)"),
        ({"size": (0, 48)}, "multiples of 8"),
    ],
)
def test_clips_it_cannot_take_are_refused_while_loading(folder, settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        load(folder, **settings)


def test_a_prompt_that_is_too_long_is_refused(cascade):
    with pytest.raises(BadInput, match=r"has 81 tokens, but \w+ reads 77: shorten it"):
        cascade.base.encode_text(["a" * 79])
    assert cascade.base.encode_text(["", "a" * 75]).shape == (2, 77, 32)


def test_weights_in_bin_files_are_the_same_weights(cascade, altered):
    for file in altered.rglob("*.safetensors"):
        name = "pytorch_model.bin" if file.stem == "model" else f"{file.stem}.bin"
        torch.save(load_file(file), file.with_name(name))
        file.unlink()
    base = load(altered).base
    assert base.fingerprint == cascade.base.fingerprint
    prompt = ["a ball is moving"]
    assert torch.equal(base.encode_text(prompt), cascade.base.encode_text(prompt))


def no_part(part):
    return lambda folder: shutil.rmtree(folder / part)


def cut_short(folder):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def other_scheduler(folder):
    (folder / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "os"}')


def other_width(folder):
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"cross_attention_dim": 40}))


def other_network(folder):
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"spirals": 3}))


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (no_part("vae"), r"config\.json is missing or damaged: get the folder vae"),
        (no_part("tokenizer"), "tokenizer holds no whole tokenizer of CLIP"),
        (no_part("scheduler"), r"scheduler_config\.json is missing or damaged"),
        (no_part("text_encoder"), "missing or damaged: get the folder text_encoder"),
        (cut_short, r"unet.* is truncated or damaged"),
        (other_scheduler, "asks for a scheduler os, and diffusers has none of that name"),
        (other_width, "do not fit its config.json: they misshape"),
        (other_network, r"config\.json does not describe a .*spirals"),
    ],
)
def test_a_damaged_folder_is_refused_in_a_sentence(altered, spoil, sentence):
    spoil(altered)
    with pytest.raises(BadInput, match=sentence) as caught:
        load(altered)
    assert "\n" not in str(caught.value)
