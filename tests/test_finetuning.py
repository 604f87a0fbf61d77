"""Algorithm 1 against a plain loop; interruptions at every place; the backbone left as it was."""

import os
import signal
import threading
from contextlib import closing

import numpy as np
import pytest
import torch
from fake_backbone import RandomBackbone
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional as F

from vmc.adapter import MotionAdapter
from vmc.diffusion import add_noise
from vmc.errors import BadInput
from vmc.finetuning import Finetuning, finetune
from vmc.motion import alignment_loss

BACKBONE = RandomBackbone()
CLIP = torch.rand(3, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
PROMPT = "a ball is moving"
STEPS = 5


def tune(backbone=BACKBONE, clip=CLIP, prompt=PROMPT, steps=STEPS, **settings):
    return finetune(backbone, clip, prompt, steps=steps, **settings)


def weights(run):
    return run.adapter.motions[0].weights


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def current(backbone=BACKBONE):
    return {name: tensor.clone() for name, tensor in backbone.unet.state_dict().items()}


@pytest.fixture(scope="module")
def uninterrupted():
    run = tune()
    return list(run), weights(run)


def drawn(seed, number, batch=1, low=0, high=1000):
    random = np.random.default_rng([seed, number])
    timestep = torch.from_numpy(random.integers(low, high, size=batch))
    generator = torch.Generator().manual_seed(int(random.integers(2**63)))
    return timestep, torch.randn(batch, 3, 4, 8, 8, generator=generator)


def algorithm_1(backbone, names, steps, learning_rate, batch, seed, decay=0.01):
    """The paper's pseudocode, straight, on a network of its own."""
    unet, text = backbone.unet, backbone.encode_text([PROMPT] * batch)
    theta = [p for name, p in unet.named_parameters() if name in names]
    optimizer = torch.optim.AdamW(theta, lr=learning_rate, weight_decay=decay)
    steps_seen = []
    for number in range(1, steps + 1):
        t, epsilon = drawn(seed, number, batch)
        level = backbone.alphas_cumprod[t].view(-1, 1, 1, 1, 1)
        v_t = level.sqrt() * CLIP + (1 - level).sqrt() * epsilon
        epsilon_theta = unet(v_t, t, text)[:, :3]
        cosines = []
        for b in range(batch):
            for n in range(3):
                x = (epsilon[b, :, n + 1] - epsilon[b, :, n]).flatten()
                y = (epsilon_theta[b, :, n + 1] - epsilon_theta[b, :, n]).flatten()
                cosines.append(x @ y / (x.norm() * y.norm()))
        loss = 1 - torch.stack(cosines).mean()
        gradients = torch.autograd.grad(loss, theta)
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        for parameter, gradient in zip(theta, gradients, strict=True):
            parameter.grad = gradient / norm.clamp(min=1)
        x0 = (v_t - (1 - level).sqrt() * epsilon_theta) / level.sqrt()
        optimizer.step()
        steps_seen.append((loss.item(), norm.item(), t, x0[0].clamp(-1, 1).detach()))
    return {name: p.detach() for name, p in unet.named_parameters() if name in names}, steps_seen


@pytest.mark.parametrize("parameters, batch", [("temporal", 2), ("spatial", 1), ("all", 1)])
def test_it_is_algorithm_1(parameters, batch):
    parts = {"temporal": ("temporal",), "spatial": ("spatial",)}.get(
        parameters, ("temporal", "spatial")
    )
    names = {name for part in parts for name in getattr(BACKBONE, f"{part}_qkv")()}
    expected, theirs = algorithm_1(RandomBackbone(), names, 3, 1e-3, batch, seed=7)
    run = tune(
        steps=3,
        parameters=parameters,
        learning_rate=1e-3,
        batch_size=batch,
        seed=7,
        preview_every=1,
    )
    for step, (loss, norm, timestep, x0) in zip(run, theirs, strict=True):
        assert step.loss == pytest.approx(loss, abs=1e-5)
        assert step.gradient_norm == pytest.approx(norm, rel=1e-3)
        assert step.timestep == tuple(timestep.tolist())
        assert step.learning_rate == 1e-3 and step.seconds > 0
        torch.testing.assert_close(step.x0, x0, rtol=1e-3, atol=1e-3)
    tuned = weights(run)
    assert tuned.keys() == names
    for name, weight in tuned.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=2e-5)
        moved = (weight - BACKBONE.unet.get_parameter(name)).abs().max()
        assert moved > 1e-4 or name.endswith("to_k.bias")  # softmax does not see a key's bias


def test_the_gradient_is_clipped_to_length_one(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    predict = BACKBONE.predict_noise
    monkeypatch.setattr(BACKBONE, "predict_noise", lambda *a: 5 * predict(*a))
    step = next(tune(steps=1, loss="l2", checkpoint=path))
    assert step.gradient_norm > 1.5
    with safe_open(path, "pt") as file:
        first_moment = [file.get_tensor(n) for n in file.keys() if "exp_avg." in n]  # noqa: SIM118
    length = torch.cat([moment.flatten() for moment in first_moment]).norm().item()
    assert length == pytest.approx(0.1, rel=1e-4)  # (1 - β_1) times the gradient


def test_it_learns():
    run = tune(steps=20, batch_size=2, learning_rate=0.05)
    text = BACKBONE.encode_text([PROMPT])

    @torch.no_grad()
    def mean_loss():
        losses = []
        for number in range(8):
            timestep, noise = drawn(99, number, low=300, high=900)
            noisy = add_noise(CLIP[None], noise, timestep, BACKBONE.alphas_cumprod)
            losses.append(alignment_loss(BACKBONE.predict_noise(noisy, timestep, text), noise))
        return torch.stack(losses).mean().item()

    untuned = mean_loss()
    for _ in run:
        pass
    with run.adapter.applied(BACKBONE):
        assert mean_loss() < 0.8 * untuned
    assert mean_loss() == untuned


def test_backbone_is_its_own_between_steps_and_afterwards():
    backbone = RandomBackbone()
    backbone.unet.conv_in.weight.requires_grad_(False)
    own = dict(backbone.unet.named_parameters())
    flags = {name: p.requires_grad for name, p in own.items()}
    before = current(backbone)

    def untouched():
        assert same(current(backbone), before)
        for name, parameter in backbone.unet.named_parameters():
            assert parameter is own[name] and parameter.grad is None
            assert parameter.requires_grad == flags[name]

    for _ in tune(backbone, steps=2, parameters="all"):
        untouched()
    backbone.predict_noise = None
    with pytest.raises(TypeError):
        next(tune(backbone))
    untouched()


def test_dropout_is_off(uninterrupted):
    backbone = RandomBackbone()
    backbone.unet.train()
    assert any(isinstance(m, torch.nn.Dropout) and m.p == 0.1 for m in backbone.unet.modules())
    run = tune(backbone)
    assert [step.loss for step in run] == [step.loss for step in uninterrupted[0]]


def test_same_seed_same_bits_whatever_the_global_state(uninterrupted):
    steps, expected = uninterrupted
    torch.manual_seed(123)
    run = tune()
    again = [torch.rand(1) and step for step in run]
    assert [(s.number, s.loss, s.timestep) for s in again] == [
        (s.number, s.loss, s.timestep) for s in steps
    ]
    assert same(weights(run), expected)
    assert [s.number for s in steps] == [1, 2, 3, 4, 5] and {s.total for s in steps} == {5}
    other = tune(seed=1)
    assert next(other).timestep != steps[0].timestep


def test_timesteps_and_noise_are_uniform_over_the_asked_range():
    run = tune(timesteps=(10, 14), batch_size=3)
    timesteps, noise = zip(*(run._draw(number) for number in range(1, 400)), strict=True)
    counts = torch.cat(timesteps).bincount(minlength=15)
    assert counts[:10].sum() == counts[14:].sum() == 0
    assert (counts[10:14] - 3 * 399 / 4).abs().max() < 60  # four standard deviations
    noise = torch.cat(noise)
    assert noise.mean().abs() < 0.005 and abs(noise.std() - 1) < 0.005
    assert len({tuple(sample.flatten()[:2].tolist()) for sample in noise}) == len(noise)
    assert max(t for step in tune(steps=3, timesteps=(0, 1)) for t in step.timestep) == 0


def test_losses_and_stride_are_heeded(uninterrupted):
    first = {
        kind: next(tune(loss=kind, stride=stride)).loss
        for kind, stride in (("l2", 1), ("released", 1), ("cosine", 2))
    }
    assert len({*first.values(), uninterrupted[0][0].loss}) == 4


def test_preview_only_where_asked():
    steps = list(tune(steps=4, preview_every=2))
    assert [step.x0 is not None for step in steps] == [False, True, False, True]
    assert steps[1].x0.shape == (3, 4, 8, 8) and steps[1].x0.abs().max() <= 1
    assert all(step.x0 is None for step in tune(steps=2))


def test_defaults_come_from_the_backbone_and_a_cascade_will_do():
    class Cascade:
        base = BACKBONE

    run = finetune(Cascade, CLIP, PROMPT)
    assert (run.total, run.settings["learning_rate"]) == (6, 1e-2)
    assert isinstance(run, Finetuning)


# Interruptions. Each leaves a run which is then finished from its file.


def finish(path, expected, done, **settings):
    run = tune(checkpoint=path, **settings)
    assert run.number == done
    rest = list(run)
    assert [step.number for step in rest] == list(range(done + 1, STEPS + 1))
    steps, tuned = expected
    assert same(weights(run), tuned)
    assert [(s.number, s.total, s.loss, s.timestep, s.gradient_norm) for s in run.history] == [
        (s.number, s.total, s.loss, s.timestep, s.gradient_norm) for s in steps
    ]
    assert os.listdir(path.parent) == [path.name]
    finished = tune(checkpoint=path, **settings)
    assert list(finished) == [] and same(weights(finished), tuned)


@pytest.mark.parametrize("done", [1, 2, 4])
def test_stopped_then_resumed(tmp_path, uninterrupted, done):
    run = tune(checkpoint=tmp_path / "run.safetensors")
    for step in run:
        if step.number == done:
            run.stop()
    assert run.number == done
    finish(tmp_path / "run.safetensors", uninterrupted, done)


def test_killed_then_resumed_from_the_last_checkpoint(tmp_path, uninterrupted):
    run = tune(checkpoint=tmp_path / "run.safetensors", checkpoint_every=2)
    for _ in range(3):
        next(run)
    del run  # what a kill leaves: the file of step 2
    finish(tmp_path / "run.safetensors", uninterrupted, 2)


def test_interrupted_in_the_callers_code_then_closed(tmp_path, uninterrupted):
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt), closing(tune(checkpoint=path)) as run:
        for step in run:
            if step.number == 3:
                raise KeyboardInterrupt
    finish(path, uninterrupted, 3)


@pytest.mark.parametrize("place", ["predict_noise", "backward"])
def test_interrupted_inside_a_step(tmp_path, uninterrupted, monkeypatch, place):
    path = tmp_path / "run.safetensors"
    before = current()
    run = tune(checkpoint=path)
    for _ in range(2):
        next(run)

    def interrupt(*_):
        raise KeyboardInterrupt

    if place == "predict_noise":
        monkeypatch.setattr(BACKBONE, "predict_noise", interrupt)
    else:
        weight = next(iter(run._weights.values()))
        handle = weight.register_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(run)
    monkeypatch.undo()
    if place == "backward":
        handle.remove()
    assert same(current(), before)
    finish(path, uninterrupted, 2)
    assert [step.number for step in run] == [3, 4, 5]  # the run itself can go on as well
    assert same(weights(run), uninterrupted[1])


def test_ctrl_c_during_the_update_waits_for_its_end(tmp_path, uninterrupted):
    path = tmp_path / "run.safetensors"
    run = tune(checkpoint=path)
    next(run)
    handler = signal.getsignal(signal.SIGINT)
    hook = run._optimizer.register_step_pre_hook(lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        next(run)
    hook.remove()
    assert signal.getsignal(signal.SIGINT) is handler
    assert run.number == 2
    finish(path, uninterrupted, 2)
    assert [step.number for step in run] == [3, 4, 5]
    assert same(weights(run), uninterrupted[1])


def test_a_torn_update_never_reaches_the_file(tmp_path, uninterrupted):
    path = tmp_path / "run.safetensors"
    run = tune(checkpoint=path, checkpoint_every=2)
    for _ in range(3):
        next(run)

    def out_of_memory(*_):
        raise RuntimeError("out of memory")

    run._optimizer.register_step_post_hook(out_of_memory)
    with pytest.raises(RuntimeError, match="out of memory"):
        next(run)
    run.close()
    assert list(run) == []
    finish(path, uninterrupted, 2)


def test_a_failing_save_leaves_the_earlier_one(tmp_path, uninterrupted, monkeypatch):
    path = tmp_path / "run.safetensors"
    run = tune(checkpoint=path, checkpoint_every=1)
    next(run)

    def disk_full(tensors, partial, header):
        partial.write_bytes(bytes(10))
        raise OSError("No space left on device")

    monkeypatch.setattr("vmc.storage.save_file", disk_full)
    with pytest.raises(BadInput, match="No space left"):
        next(run)
    monkeypatch.undo()
    finish(path, uninterrupted, 1)


def test_pause_and_stop(uninterrupted):
    run = tune()
    for step in run:
        if step.number == 2:
            break
    half = run.adapter
    snapshot = {name: weight.clone() for name, weight in half.motions[0].weights.items()}
    assert [step.number for step in run] == [3, 4, 5]
    assert same(weights(run), uninterrupted[1])
    assert same(half.motions[0].weights, snapshot)
    assert half.metadata["steps"] == 2

    run = tune()
    next(run)
    button = threading.Thread(target=run.stop)
    button.start()
    button.join()
    assert list(run) == [] and run.number == 1


def test_tuning_in_a_thread(uninterrupted):
    run = tune()
    thread = threading.Thread(target=lambda: list(run))
    thread.start()
    thread.join()
    assert same(weights(run), uninterrupted[1])


def test_more_steps_on_resuming(tmp_path, uninterrupted):
    path = tmp_path / "run.safetensors"
    list(tune(steps=3, checkpoint=path))
    finish(path, uninterrupted, 3)
    with pytest.raises(BadInput, match="5 steps behind it, more than the 3 asked"):
        tune(steps=3, checkpoint=path)
    anew = tune(steps=3, checkpoint=path, resume=False)
    assert anew.number == 0
    list(anew)
    assert tune(steps=3, checkpoint=path).number == 3


def test_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    list(tune(steps=1, checkpoint=path))
    whole = path.read_bytes()
    for key, other in {
        "clip": dict(clip=-CLIP),
        "prompt": dict(prompt="a star is moving"),
        "seed": dict(seed=1),
        "loss": dict(loss="l2"),
        "parameters": dict(parameters="all"),
        "learning_rate": dict(learning_rate=1e-3),
        "weight_decay": dict(weight_decay=0.0),
        "stride": dict(stride=2),
        "timesteps": dict(timesteps=(0, 900)),
        "batch_size": dict(batch_size=2),
        "backbone": dict(backbone=RandomBackbone(seed=1)),
    }.items():
        with pytest.raises(BadInput, match=f"of another run: its {key} is .*resume=False"):
            tune(steps=1, checkpoint=path, **other)
    assert path.read_bytes() == whole


def test_files_that_are_no_checkpoint_are_refused(tmp_path, uninterrupted):
    path = tmp_path / "run.safetensors"
    list(tune(steps=1, checkpoint=path))
    whole = path.read_bytes()
    with safe_open(path, "pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for size in (0, 50, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput, match="cannot be read as a tuning checkpoint"):
            tune(checkpoint=path)
    save_file(dict(list(tensors.items())[1:]), path, header)
    with pytest.raises(BadInput, match="damaged"):
        tune(checkpoint=path)
    save_file(tensors, path, header | {"history": "[{}]"})
    with pytest.raises(BadInput, match="damaged"):
        tune(checkpoint=path)
    run = tune(steps=1)
    list(run)
    run.adapter.save(path)
    with pytest.raises(BadInput, match="not a tuning checkpoint"):
        tune(checkpoint=path)


# What goes wrong otherwise.


def test_a_loss_that_is_not_finite_stops_before_it_does_harm(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    run = tune(checkpoint=path)
    for _ in range(2):
        next(run)
    good = weights(run)
    predict = BACKBONE.predict_noise
    monkeypatch.setattr(BACKBONE, "predict_noise", lambda *a: predict(*a) * torch.nan)
    with pytest.raises(BadInput, match=r"Step 3 has loss nan.*lower the learning rate .*0\.01"):
        next(run)
    monkeypatch.undo()
    assert run.number == 2 and same(weights(run), good)
    assert same(weights(tune(checkpoint=path)), good)


def test_half_precision_backbone_is_tuned_in_float32():
    backbone = RandomBackbone()
    backbone.to(torch.bfloat16)
    before = current(backbone)
    run = tune(backbone, steps=2, preview_every=1)
    for step in run:
        assert np.isfinite(step.loss) and step.x0.dtype == torch.float32
    assert same(current(backbone), before)
    for name, weight in weights(run).items():
        assert weight.dtype == torch.float32
        assert not torch.equal(weight, weight.bfloat16().float())
        assert not torch.equal(weight.bfloat16(), before[name])
    full = next(tune(steps=1))
    assert run.history[0].loss == pytest.approx(full.loss, abs=0.02)


def test_adapter_says_what_made_it(tmp_path):
    run = tune(steps=2, seed=3, loss="l2", timesteps=(5, 900))
    list(run)
    run.adapter.save(tmp_path / "motion.safetensors")
    loaded = MotionAdapter.load(tmp_path / "motion.safetensors", BACKBONE)
    assert same(loaded.motions[0].weights, weights(run))
    metadata = loaded.metadata
    assert (metadata["prompt"], metadata["seed"], metadata["steps"]) == (PROMPT, 3, 2)
    assert (metadata["backbone"], metadata["fingerprint"]) == ("random", BACKBONE.fingerprint)
    assert metadata["settings"] == {
        "loss": "l2",
        "parameters": "temporal",
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "stride": 1,
        "timesteps": [5, 900],
        "batch_size": 1,
    }


def test_no_tuning_on_top_of_an_applied_motion():
    run = tune(steps=1)
    list(run)
    with pytest.raises(BadInput, match="applied already"), run.adapter.applied(BACKBONE):
        next(tune(steps=1))


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(steps=0), "steps to be 1 or more; got 0"),
        (dict(steps=-4), "steps to be 1 or more; got -4"),
        (dict(prompt=""), "prompt is empty"),
        (dict(prompt=" \n"), "prompt is empty"),
        (dict(loss="cos"), "cosine, l2, released; got 'cos'"),
        (dict(parameters="attention"), "temporal, spatial, all; got 'attention'"),
        (dict(learning_rate=0.0), "learning_rate to be 1e-12 or more; got 0.0"),
        (dict(learning_rate=float("inf")), "learning_rate .* got inf"),
        (dict(learning_rate=float("nan")), "learning_rate .* got nan"),
        (dict(weight_decay=-0.1), "weight_decay to be 0 or more"),
        (dict(stride=0), "stride to be from 1 to 3; got 0"),
        (dict(stride=4), "stride to be from 1 to 3; got 4"),
        (dict(seed=-1), "seed to be 0 or more"),
        (dict(timesteps=(-1, 5)), "first of timesteps to be from 0 to 999"),
        (dict(timesteps=(5, 5)), "end of timesteps to be from 6 to 1000"),
        (dict(timesteps=(5, 1001)), "end of timesteps to be from 6 to 1000"),
        (dict(batch_size=0), "batch_size to be 1 or more"),
        (dict(preview_every=0), "preview_every to be 1 or more"),
        (dict(checkpoint_every=0), "checkpoint_every to be 1 or more"),
        (dict(clip=CLIP[:, :3]), "has shape"),
        (dict(clip=CLIP.transpose(0, 1)), "has shape"),
        (dict(clip=CLIP * torch.inf), "NaN or infinite"),
        (dict(clip=CLIP * 100), "must lie in"),
    ],
)
def test_bad_input_is_named(settings, message):
    with pytest.raises(BadInput, match=message):
        tune(**settings)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_in_half_precision_are_those_of_float32(dtype):
    """In float16 most of them would round to zero if the loss were not scaled."""
    half = RandomBackbone()
    half.to(dtype)
    runs = tune(half, steps=1), tune(steps=1)
    for run in runs:
        next(run)
    gradients = [
        torch.cat([weight.grad.flatten() for weight in run._weights.values()]) for run in runs
    ]
    assert gradients[0].dtype == torch.float32
    assert F.cosine_similarity(*gradients, dim=0) > 0.99
    assert gradients[0].norm() == pytest.approx(gradients[1].norm().item(), rel=0.05)


def test_nothing_is_kept_below_the_first_temporal_attention():
    """Frozen layers get no gradient, and those before all that trains not even a backward pass."""
    backbone = RandomBackbone()
    first = backbone.unet.down_blocks[0]
    kept = []
    layers = {
        "conv_in": backbone.unet.conv_in,
        "resnet": first.resnets[0],
        "attention": first.attentions[0],
        "temporal attention": first.temp_attentions[0],
    }
    for name, layer in layers.items():
        layer.register_forward_hook(
            lambda *call, name=name: kept.append((name, call[-1].requires_grad))
        )
    list(tune(backbone, steps=1))
    assert kept == [
        ("conv_in", False),
        ("resnet", False),
        ("attention", False),
        ("temporal attention", True),
    ]
    assert all(parameter.grad is None for parameter in backbone.unet.parameters())
