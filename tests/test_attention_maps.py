"""Temporal attention maps are what the network computes with, and watching changes nothing."""

import pytest
import torch
from fake_backbone import GaussianBackbone, RandomBackbone

import vmc
from vmc.attention_maps import attention_weights, temporal_attention_maps, unevenness
from vmc.backbones.temporal import TemporalTransformer


@pytest.fixture(scope="module")
def backbone():
    return RandomBackbone()


def inputs(backbone, batch=2):
    generator = torch.Generator().manual_seed(3)
    noisy = torch.randn(batch, 3, backbone.frames, *backbone.size, generator=generator)
    return noisy, 400, backbone.encode_text(["a ball", "a star"][:batch])


def test_watching_changes_no_bit(backbone):
    with torch.no_grad():
        alone = backbone.predict_noise(*inputs(backbone))
        with temporal_attention_maps(backbone) as maps:
            watched = backbone.predict_noise(*inputs(backbone))
        after = backbone.predict_noise(*inputs(backbone))
    assert torch.equal(alone, watched) and torch.equal(alone, after)
    assert maps


def test_every_temporal_attention_has_a_map_of_its_resolution(backbone):
    with temporal_attention_maps(backbone) as maps, torch.no_grad():
        backbone.predict_noise(*inputs(backbone))
    assert set(maps) == {name.rsplit(".", 2)[0] for name in backbone.temporal_qkv()}
    for name, weights in maps.items():
        heads = backbone.unet.get_submodule(name).heads
        assert weights.shape == (2, heads, *backbone.size, backbone.frames, backbone.frames)
        assert weights.min() >= 0
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_the_maps_explain_what_the_attention_returns():
    """Weights times values, through the output projection, are the layer's own result."""
    torch.manual_seed(0)
    layer = TemporalTransformer(16, heads=4, norm_num_groups=4)
    attention = layer.transformer_blocks[0].attn2
    seen = []
    attention.register_forward_hook(lambda _, given, result: seen.append((given[0], result)))
    with torch.no_grad(), temporal_attention_maps(layer) as maps:
        layer(torch.randn(2 * 5, 16, 3, 4), 5)
        (hidden, result), weights = seen[0], maps["transformer_blocks.0.attn2"]
        value = attention.to_v(hidden)
        for head in range(4):
            channels = slice(4 * head, 4 * head + 4)
            at = value[:, :, 7, channels]  # pixel 7 of 3×4 is (1, 3)
            value[:, :, 7, channels] = weights[:, head, 1, 3] @ at
        expected = attention.to_out[0](value[:, :, 7])
    torch.testing.assert_close(result[:, :, 7], expected, rtol=1e-4, atol=1e-6)


def test_weights_of_equal_frames_are_uniform_and_of_one_loud_key_are_not():
    same = torch.ones(6, 3)
    torch.testing.assert_close(attention_weights(same, same, 0.5), torch.full((6, 6), 1 / 6))
    loud = torch.zeros(4, 2)
    loud[2] = 100.0
    weights = attention_weights(torch.ones(4, 2), loud, 1.0)
    torch.testing.assert_close(weights, torch.eye(4)[2].expand(4, 4))


def test_unevenness_of_even_and_of_undivided_attention():
    """Frame 0 is even, frame 1 looks at itself only, frame 2 halves itself between two others."""
    rows = torch.tensor([[0.25] * 4, [0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 0.25, 0.25, 0.5]])
    weights = rows.expand(2, 3, 5, 6, 4, 4).clone()
    weights[:, 0, 2, 1] = torch.eye(4)  # one head of three, at one pixel
    share = unevenness(weights)
    assert share.shape == (2, 4, 5, 6)
    elsewhere = torch.tensor([0, 0.75, 0.5, 0.25])
    torch.testing.assert_close(share[1, :, 0, 0], elsewhere)
    torch.testing.assert_close(share[0, :, 2, 1], (0.75 + 2 * elsewhere) / 3)


def test_the_network_is_left_as_it_was_after_an_error(backbone):
    before = [m.processor for m in backbone.unet.modules() if hasattr(m, "processor")]
    with pytest.raises(ZeroDivisionError), temporal_attention_maps(backbone):
        raise ZeroDivisionError
    after = [m.processor for m in backbone.unet.modules() if hasattr(m, "processor")]
    assert all(a is b for a, b in zip(before, after, strict=True))
    assert not any(m._forward_pre_hooks for m in backbone.unet.modules())


def test_watching_twice_and_watching_nothing_are_refused(backbone):
    with (
        temporal_attention_maps(backbone),
        pytest.raises(vmc.BadInput, match="watched already"),
        temporal_attention_maps(backbone),
    ):
        pass
    with (
        pytest.raises(vmc.BadInput, match="no temporal attention to watch in Identity"),
        temporal_attention_maps(GaussianBackbone()),
    ):
        pass
    with torch.no_grad(), temporal_attention_maps(backbone) as maps:  # and it works again
        backbone.predict_noise(*inputs(backbone, 1))
    assert maps
