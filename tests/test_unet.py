"""The U-Net against the published code's outputs, names and sizes, and its fast temporal layers."""

import inspect
import json
import re
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

from vmc.backbones.show1 import published
from vmc.backbones.temporal import TemporalConvolution, TemporalTransformer, _attend
from vmc.backbones.unet import PixelUNet3D
from vmc.errors import BadInput

REFERENCE = Path(__file__).parent / "data" / "show1_reference"
SHAPES = json.loads((REFERENCE / "state_dict_shapes.json").read_text())
MODELS = ("base", "interpolation", "sr1")
ARGUMENTS = (
    "sample_size in_channels out_channels center_input_sample flip_sin_to_cos freq_shift "
    "down_block_types mid_block_type up_block_types only_cross_attention block_out_channels "
    "layers_per_block downsample_padding mid_block_scale_factor act_fn norm_num_groups norm_eps "
    "cross_attention_dim transformer_layers_per_block encoder_hid_dim encoder_hid_dim_type "
    "attention_head_dim num_attention_heads dual_cross_attention use_linear_projection "
    "class_embed_type addition_embed_type addition_time_embed_dim num_class_embeds "
    "upcast_attention resnet_time_scale_shift resnet_skip_time_act resnet_out_scale_factor "
    "time_embedding_type time_embedding_dim time_embedding_act_fn timestep_post_act "
    "time_cond_proj_dim conv_in_kernel conv_out_kernel projection_class_embeddings_input_dim "
    "class_embeddings_concat mid_block_only_cross_attention cross_attention_norm "
    "addition_embed_type_num_heads"
)
"""Arguments of the published class, all of which its saved configurations carry. They are those of
the image class that it was made from, and `transfromer_in_opt`."""
CASES = {"a": ((1, 8, 16, 16), 500), "b": ((2, 5, 8, 16), 37)}


def config(model):
    return json.loads((REFERENCE / f"{model}.config.json").read_text())


def draw(key, shape):
    generator = np.random.RandomState(zlib.crc32(key.encode()))
    return torch.from_numpy(generator.standard_normal(shape).astype(np.float32))


def weight(key, shape):
    z = draw(key, shape)
    if len(shape) == 1:
        return 1 + 0.1 * z if key.endswith("weight") else 0.05 * z
    return 0.7 * z / np.sqrt(np.prod(shape[1:]))


def build(model):
    unet = PixelUNet3D(**config(model))
    unet.load_state_dict({key: weight(key, shape) for key, shape in SHAPES[model].items()})
    return unet.eval()


def inputs(unet, model, case, dtype=torch.float32):
    (batch, frames, height, width), timestep = CASES[case]
    shape = (batch, unet.config.in_channels, frames, height, width)
    sample = draw(f"{model}.{case}.sample", shape)
    text = draw(f"{model}.{case}.encoder_hidden_states", (batch, 7, 40))
    label = 250 if model == "sr1" else None
    return sample.to(dtype), timestep, text.to(dtype), label


@pytest.fixture(scope="module")
def unets():
    return {model: build(model) for model in MODELS}


@pytest.mark.parametrize("model", MODELS)
def test_names_and_shapes_are_the_published_ones(unets, model):
    ours = {key: list(value.shape) for key, value in unets[model].state_dict().items()}
    assert ours == SHAPES[model]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", MODELS)
def test_outputs_agree_with_the_published_code(model, case):
    """In double precision, where the difference is the published float32 run's own rounding."""
    unet = build(model).double()
    with torch.no_grad():
        output = unet(*inputs(unet, model, case, torch.float64))
    published = np.load(REFERENCE / f"{model}.npz")[case]
    assert np.abs(output.numpy() - published).max() < 1e-5


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", MODELS)
def test_float32_outputs_agree_within_its_rounding(unets, model, case, layout):
    """To 1e-5; of sr1, whose random weights amplify rounding most, to 1e-5 of the largest output.

    There one unit in the last place of the input becomes 1e-5 in the output, and diffusers' own
    unmodified layers differ from the published outputs by 0.8e-5 to 1.2e-5, as the order of
    summation has it. An absolute 1e-5 would test the processor and not the network.
    """
    sample, *rest = inputs(unets[model], model, case)
    with torch.no_grad():
        output = unets[model](sample.contiguous(memory_format=layout), *rest)
    published = np.load(REFERENCE / f"{model}.npz")[case]
    largest = np.abs(published).max() if model == "sr1" else 1
    assert np.abs(output.numpy() - published).max() < 1e-5 * largest


def test_full_size_is_show1_base():
    with torch.device("meta"):
        unet = PixelUNet3D()
    tensors = unet.state_dict()
    assert len(tensors) == 1827
    assert sum(x.numel() for x in tensors.values()) == 1_726_848_390
    patterns = Counter(re.sub(r"\.\d+(?=\.)", ".#", key) for key in tensors)
    expected = json.loads((REFERENCE / "full_size_base_key_patterns.json").read_text())
    assert patterns == dict(expected)
    qkv = [v for k, v in tensors.items() if re.search(r"temp_attentions.*to_[qkv]\.weight$", k)]
    assert len(qkv) == 132
    assert sum(x.numel() for x in qkv) == 134_553_600
    transformers = [m for m in unet.modules() if isinstance(m, TemporalTransformer)]
    assert {t.transformer_blocks[0].attn1.heads for t in transformers} == {64}


@pytest.mark.parametrize(
    "kind, sizes, numbers",
    [
        (PixelUNet3D, published.INTERPOLATION, 1_726_859_910),
        (UNet2DConditionModel, published.IF_2, 1_187_608_070),
    ],
    ids=["interpolation", "IF-II-L"],
)
def test_full_sizes_of_other_stages(kind, sizes, numbers):
    with torch.device("meta"):
        unet = kind(**sizes)
    assert sum(x.numel() for x in unet.state_dict().values()) == numbers


@pytest.mark.parametrize("model", MODELS)
def test_a_configuration_that_carries_every_published_argument(model):
    """As saved: what the authors did not choose is there with the image class's default."""
    defaults = inspect.signature(UNet2DConditionModel.__init__).parameters
    saved = {name: defaults[name].default for name in ARGUMENTS.split()} | config(model)
    unet = PixelUNet3D(**saved, transfromer_in_opt=False)
    ours = {key: list(value.shape) for key, value in unet.state_dict().items()}
    assert ours == SHAPES[model]


def fast_and_plain(kind):
    """A fast temporal layer and diffusers' own, with the same weights, in double precision."""
    if kind == "convolution":
        fast, plain = TemporalConvolution(32, 32), TemporalConvLayer(32, 32)
        run = plain
    else:
        fast = TemporalTransformer(32, heads=8, norm_num_groups=8)
        plain = TransformerTemporalModel(8, 4, 32, norm_num_groups=8)

        def run(images, frames):
            return plain(images, num_frames=frames).sample

    weights = {name: weight(name, tuple(x.shape)) for name, x in plain.state_dict().items()}
    for layer in (fast, plain):
        layer.load_state_dict(weights)
    return fast.double(), plain.double(), run


@pytest.mark.parametrize("kind", ["convolution", "attention"])
def test_fast_layers_and_their_gradients_are_those_of_diffusers(kind):
    fast, plain, run = fast_and_plain(kind)
    images = [draw("images", (6, 32, 4, 3)).double().requires_grad_() for _ in range(2)]
    target = draw("target", (6, 32, 4, 3)).double()
    outputs = fast(images[0], 3), run(images[1], 3)
    for output in outputs:
        (output * target).sum().backward()
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-10)
    torch.testing.assert_close(images[0].grad, images[1].grad, rtol=0, atol=1e-10)
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-9)


def test_the_path_for_other_devices_computes_the_same(unets, monkeypatch):
    unet = build("base")
    with torch.no_grad():
        expected = unet(*inputs(unet, "base", "b"))
        monkeypatch.setattr("vmc.backbones.temporal._attend_by_broadcasting", _attend)
        torch.testing.assert_close(unet(*inputs(unet, "base", "b")), expected, rtol=0, atol=2e-5)


def test_without_temporal_layers_frames_are_independent_images():
    unet = build("base")
    sample, timestep, text, _ = inputs(unet, "base", "a")
    with torch.no_grad():
        with_time = unet(sample, timestep, text)
        unet.temporal = False
        together = unet(sample, timestep, text)
        alone = torch.cat([unet(sample[:, :, [i]], timestep, text) for i in range(8)], dim=2)
        assert (with_time - together).abs().max() > 0.1
        torch.testing.assert_close(together, alone, rtol=0, atol=2e-5)

        unet.temporal = True
        unet.zero_temporal_outputs()
        torch.testing.assert_close(unet(sample, timestep, text), together, rtol=0, atol=0)


def test_gradient_checkpointing_recomputes_and_changes_no_gradient():
    unet = build("interpolation").train()
    calls = Counter()
    layer = unet.down_blocks[1].temp_attentions[0]
    layer.register_forward_pre_hook(lambda *_: calls.update(["forward"]))
    arguments = inputs(unet, "interpolation", "b")

    def gradients():
        calls.clear()
        unet.zero_grad()
        torch.manual_seed(0)  # dropout in the temporal convolutions
        unet(*arguments).square().mean().backward()
        return {name: p.grad.clone() for name, p in unet.named_parameters()}

    plain = gradients()
    assert calls["forward"] == 1
    unet.enable_gradient_checkpointing()
    checkpointed = gradients()
    assert calls["forward"] == 2
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, rtol=1e-4, atol=1e-6)
    unet.disable_gradient_checkpointing()
    gradients()
    assert calls["forward"] == 1


def test_bfloat16_autocast_trains_and_stays_close():
    unet = build("base")
    arguments = inputs(unet, "base", "b")
    with torch.autocast("cpu", torch.bfloat16):
        output = unet(*arguments)
    output.float().square().mean().backward()
    exact = torch.from_numpy(np.load(REFERENCE / "base.npz")["b"])
    assert (output.float() - exact).square().mean() < (0.05 * exact.std()) ** 2
    assert all(p.grad.isfinite().all() for p in unet.parameters())


def test_config_survives_saving_with_either_spelling(tmp_path):
    arguments = config("sr1")
    arguments["out_scale"] = arguments.pop("resnet_out_scale_factor")
    arguments["skip_time_act"] = arguments.pop("resnet_skip_time_act")
    unet = PixelUNet3D(**arguments, transfromer_in_opt=False)
    unet.load_state_dict({key: weight(key, shape) for key, shape in SHAPES["sr1"].items()})
    unet.save_pretrained(tmp_path)
    again = PixelUNet3D.from_pretrained(tmp_path)
    assert again.config.resnet_out_scale_factor == config("sr1")["resnet_out_scale_factor"]
    with torch.no_grad():
        published = build("sr1")(*inputs(unet, "sr1", "b"))
        torch.testing.assert_close(again(*inputs(unet, "sr1", "b")), published, rtol=0, atol=0)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"transfromer_in_opt": True}, "transfromer_in_opt"),
        ({"transformer_layers_per_block": 2}, "transformer_layers_per_block=2; only 1 exists"),
        ({"addition_time_embed_dim": 256}, "addition_time_embed_dim"),
        ({"no_such_argument": 1}, "no_such_argument"),
        ({"layers_per_block": [1, 2, 3]}, "layers_per_block"),
        ({"down_block_types": ["DownBlock3D"] * 2}, "down_block_types"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(wrong, message):
    with pytest.raises(BadInput, match=message):
        PixelUNet3D(**{**config("interpolation"), **wrong})


def test_inputs_that_cannot_be_computed_are_refused(unets):
    sample, timestep, text, label = inputs(unets["sr1"], "sr1", "a")
    with pytest.raises(BadInput, match="class_labels"):
        unets["sr1"](sample, timestep, text)
    with pytest.raises(BadInput, match="multiples of 2"):
        unets["sr1"](sample[..., :15], timestep, text, label)
