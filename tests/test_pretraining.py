"""Pretraining: resumed equals uninterrupted, stages grow out of each other, files round-trip."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vmc import pretraining
from vmc.backbones.projections import temporal_qkv
from vmc.backbones.tiny import load_backbone, load_denoiser, load_text_encoder, read_index
from vmc.errors import BadInput
from vmc.pretraining import (
    KEYFRAME_TIMES,
    RECIPES,
    Pretraining,
    export,
    new_denoiser,
    new_text_encoder,
)
from vmc.pretraining.precision import bfloat16_products
from vmc.pretraining.recipes import Phase
from vmc.pretraining.wording import teach_motions
from vmc.sprites import NAMED, random_scene
from vmc.sprites.motions import resemblance


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The same stages with two narrow resolutions, two scenes a batch, few words to learn."""
    for stage, recipe in RECIPES.items():
        words = min(recipe.word_steps, 2)
        small = replace(recipe, widths=(32, 32), batch=2, word_steps=words)
        monkeypatch.setitem(RECIPES, stage, small)


def train(stage, folder, steps, **options):
    run = Pretraining(stage, folder, steps=steps, **options)
    return run, [loss for _, loss in run]


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    (tmp_path / "whole").mkdir(), (tmp_path / "killed").mkdir()
    whole, losses = train("image", tmp_path / "whole", 4)
    killed = Pretraining("image", tmp_path / "killed", steps=4, checkpoint_every=2)
    for step, _ in killed:
        if step == 3:  # one step after the last checkpoint, and lost
            break
    resumed, rest = train("image", tmp_path / "killed", 4, checkpoint_every=2)
    assert rest == losses[2:]
    for (name, a), (_, b) in zip(
        whole.model.named_parameters(), resumed.model.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    assert all(torch.equal(whole.ema[k], resumed.ema[k]) for k in whole.ema)


def test_every_stage_trains_and_grows_out_of_the_one_before(tmp_path):
    train("image", tmp_path, 2)
    keyframes = Pretraining("keyframes", tmp_path, steps=1)
    noisy, text = torch.randn(1, 3, 8, 40, 64), torch.randn(1, 16, 64)
    with torch.no_grad():
        as_clip = keyframes.denoiser.clean(noisy, 500, text)
        keyframes.denoiser.unet.temporal = False
        as_images = keyframes.denoiser.clean(noisy, 500, text)
        keyframes.denoiser.unet.temporal = True
    torch.testing.assert_close(as_clip, as_images, atol=1e-5, rtol=0)
    before = {k: p.detach().clone() for k, p in keyframes.model.named_parameters()}
    list(keyframes)
    moved = [k for k, p in keyframes.model.named_parameters() if not torch.equal(before[k], p)]
    for part in (".temp_", ".resnets.", "text_encoder."):
        assert any(part in k for k in moved), part
    interpolation = Pretraining("interpolation", tmp_path, steps=1)
    condition = torch.randn(1, 4, 8, 40, 64)
    with torch.no_grad():
        first = interpolation.denoiser.clean(noisy, 500, text, condition)
    assert torch.equal(first, condition[:, :3])  # it starts as the blend of both ends
    list(interpolation)
    for stage in ("super_resolution_1", "super_resolution_2"):
        _, losses = train(stage, tmp_path, 1)
        assert np.isfinite(losses).all()

    export(tmp_path, tmp_path / "tiny")
    index = read_index(tmp_path / "tiny")
    assert set(index["stages"]) == set(RECIPES) - {"image"}
    loaded = load_denoiser(tmp_path / "tiny", "keyframes")
    for name, learned in (
        Pretraining("keyframes", tmp_path).averaged()["denoiser"].named_parameters()
    ):
        torch.testing.assert_close(dict(loaded.named_parameters())[name], learned.half().float())
    image = load_backbone(tmp_path / "tiny", "image")
    assert not image.unet.temporal
    for name, parameter in image.denoiser.named_parameters():
        assert torch.equal(parameter, dict(loaded.named_parameters())[name])

    (tmp_path / "further").mkdir()
    further = Pretraining("keyframes", tmp_path / "further", weights=tmp_path / "tiny")
    assert further.step == 0
    for name, parameter in further.denoiser.named_parameters():
        assert torch.equal(parameter, dict(loaded.named_parameters())[name])

    weights = tmp_path / "tiny" / "keyframes" / "diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BadInput, match="SHA-256 differs"):
        load_backbone(tmp_path / "tiny")
    weights.unlink()
    with pytest.raises(BadInput, match="lack keyframes"):
        load_backbone(tmp_path / "tiny")


def test_the_loss_falls_on_scenes_that_were_not_trained_on(tmp_path):
    run = Pretraining("image", tmp_path, steps=40)

    def held_back():
        with torch.no_grad():
            return np.mean([run._loss(step, None).item() for step in range(1000, 1010)])

    before = held_back()
    list(run)
    assert held_back() < 0.9 * before


def test_the_text_encoder_knows_every_word_of_every_caption(tmp_path):
    encoder = new_text_encoder()
    rng = np.random.default_rng(0)
    for _ in range(300):
        caption = random_scene(rng, styled=0.5, pairs=0.5).caption(rng)
        encoder.check(caption)
        tokens = encoder.tokenizer(caption).input_ids
        assert encoder.tokenizer.unk_token_id not in tokens and len(tokens) <= 16, caption
    assert torch.equal(encoder(["A Red car, moving."]), encoder(["a red car moving"]))


def test_the_text_encoder_survives_its_file(tmp_path):
    encoder = new_text_encoder()
    encoder.t5.save_pretrained(tmp_path / "text_encoder")
    encoder.tokenizer.save_pretrained(tmp_path / "tokenizer")
    prompts = ["an orange fish is moving underwater", ""]
    torch.testing.assert_close(load_text_encoder(tmp_path)(prompts), encoder(prompts))


def test_products_in_bfloat16_stay_close():
    denoiser = new_denoiser(RECIPES["image"]).requires_grad_(False)
    noisy, text = torch.randn(1, 3, 1, 40, 64), torch.randn(1, 16, 64)
    exact = denoiser.clean(noisy, 500, text)
    bfloat16_products(denoiser)
    error = (denoiser.clean(noisy, 500, text) - exact).std() / exact.std()
    assert 0 < error < 0.02


def test_bad_input_gets_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="no stage 'paint'"):
        Pretraining("paint", tmp_path)
    with pytest.raises(BadInput, match="train the stage 'image' first"):
        Pretraining("keyframes", tmp_path)
    train("image", tmp_path, 1)
    with pytest.raises(BadInput, match="seed 0, not 1"):
        Pretraining("image", tmp_path, seed=1)


def test_training_draws_differ_by_step_seed_and_stage(tmp_path):
    run = Pretraining("image", tmp_path, steps=1)
    captions = {tuple(run._draw(step, None)[0]) for step in range(4)}
    assert len(captions) == 4
    assert run._draw(2, None)[0] == run._draw(2, None)[0]
    other = pretraining.Pretraining("image", tmp_path, steps=1, seed=1)
    assert other._draw(0, None)[0] != run._draw(0, None)[0]


def test_the_first_phases_show_one_direction_more_often_than_the_other(tmp_path):
    train("image", tmp_path, 1)
    run = Pretraining("keyframes", tmp_path, steps=2)
    phases = RECIPES["keyframes"].phases
    starts = np.cumsum([0, *(phase.steps for phase in phases[:-1])])
    for phase, start in zip(phases, starts, strict=True):
        assert RECIPES["keyframes"].phase(int(start)) is phase
        assert sum(phase.motions.values()) == pytest.approx(1)
        captions, _, _, timesteps = run._draw(int(start), None)
        shown = [word for word in phase.motions for c in captions if c == "" or word in c]
        assert len(shown) >= len(captions)
        if phase.share == 1:
            assert all(phase.timesteps[0] <= t < phase.timesteps[1] for t in timesteps)
    odds = [phase.motions.get("moving left", 0) / phase.motions["moving right"] for phase in phases]
    assert odds[0] == 0 < odds[1] < odds[2] == odds[-1] == 1
    sizes = phases[-4].motions
    assert sizes["growing"] > 2 * sizes["shrinking"]
    list(run)
    export(tmp_path, tmp_path / "tiny")
    (tmp_path / "further").mkdir()
    further = Pretraining("keyframes", tmp_path / "further", 1, weights=tmp_path / "tiny")
    # Trained weights need no first phases.
    assert further._draw(0, None)[0] != run._draw(0, None)[0]
    list(further)
    export(tmp_path / "further", tmp_path / "further" / "tiny")  # asks for no earlier stage
    resumed = Pretraining("keyframes", tmp_path / "further", 2)
    assert resumed._draw(1, None)[0] == further._draw(1, None)[0] != run._draw(1, None)[0]


def offsets_of(run):
    return {name: t.clone() for name, t in run.offsets.tensors().items() if "path." in name}


def test_a_path_is_shown_in_many_looks_and_held_by_its_own_offsets(tmp_path, monkeypatch):
    train("image", tmp_path, 1)
    held = Phase(timesteps=(850, 998), share=0.7, held=0.5)
    monkeypatch.setitem(RECIPES, "keyframes", replace(RECIPES["keyframes"], phases=(held,)))
    run = Pretraining("keyframes", tmp_path, 6, checkpoint_every=3)
    shown = {step: run._held_path(step) for step in range(40)}
    paths = [path for path in shown.values() if path is not None]
    assert 10 < len(paths) < 30 and len(set(paths)) > 5
    step, number = next((step, path) for step, path in shown.items() if path is not None)
    captions, batch, _, timestep = run._draw(step, number)
    assert all(850 <= t < 998 for t in timestep)
    assert not any(name in caption for name in NAMED for caption in captions)
    assert min(resemblance(path.centre) for path in run.offsets.paths) > 0.35
    centres = run.offsets.paths[number].at(KEYFRAME_TIMES)[0] * np.array([40, 64])
    for mask in batch.subject[:, 0].numpy():
        middles = np.array([np.argwhere(frame).mean(0) for frame in mask])
        assert np.abs(middles - centres).max() < 4

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in run.denoiser.unet.named_parameters():
            if ".temp_" in name:  # out of the identity, where nothing within has a gradient
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    own = temporal_qkv(run.denoiser.unet)
    before = {name: p.detach().clone() for name, p in own.items()}
    with run.offsets.applied(number):
        run._loss(step, number).backward()
    run.offsets.step(number, 1e-2)
    moved = offsets_of(run)
    for name, parameter in own.items():
        assert torch.equal(parameter, before[name])  # moved by the run's own optimizer, not here
        gradient, offset = parameter.grad, moved[f"path.{number}.{name}"]
        assert (gradient != 0).any()
        assert (offset[gradient != 0].sign() == -gradient[gradient != 0].sign()).all()
    with torch.no_grad():
        plain = run._loss(step, number)
        with run.offsets.applied(number):
            assert not torch.equal(run._loss(step, number), plain)
        assert torch.equal(run._loss(step, number), plain)


def test_offsets_of_paths_resume_to_the_same_bits(tmp_path, monkeypatch):
    train("image", tmp_path, 1)
    held = Phase(timesteps=(850, 998), share=0.7, held=0.8)
    monkeypatch.setitem(RECIPES, "keyframes", replace(RECIPES["keyframes"], phases=(held,)))
    whole, losses = train("keyframes", tmp_path, 5)
    (tmp_path / "keyframes.checkpoint.safetensors").unlink()
    for step, _ in Pretraining("keyframes", tmp_path, 5, checkpoint_every=2):
        if step == 3:
            break
    resumed, rest = train("keyframes", tmp_path, 5)
    assert rest == losses[2:]
    assert len({whole._held_path(step) for step in range(5)} - {None}) > 2
    expected, offsets = offsets_of(whole), offsets_of(resumed)
    assert expected.keys() == offsets.keys()
    for name, offset in expected.items():
        assert torch.equal(offset, offsets[name]), name


def test_the_text_encoder_is_taught_the_words_for_motions():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = new_text_encoder()
    pairs = [
        [f"a red {subject} is {motion} in the sky" for motion in ("moving left", "moving right")]
        for subject in ("ball", "fish", "boat")
    ]

    def difference():
        with torch.no_grad():
            return torch.stack([a - b for a, b in map(encoder, pairs)])

    former = difference()
    teach_motions(encoder, steps=150, seed=0)
    added = (difference() - former).norm(dim=-1)  # for every token of every caption
    assert (added / (3 * 2**0.5) - 1).abs().max() < 0.35  # two vectors of 3 at right angles


def test_the_index_names_what_is_missing(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"stages": {}, "sha256": {}}))
    with pytest.raises(BadInput, match="holds no stage 'keyframes'"):
        load_denoiser(tmp_path, "keyframes")
