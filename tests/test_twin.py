"""A twin shares every weight, and its parameters are exchanged on their own."""

import torch
from fake_backbone import RandomBackbone

import vmc
from vmc.backbones import fingerprint
from vmc.backbones.tiny import load_backbone
from vmc.backbones.twin import twin

CLIP = torch.rand(3, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def predicted(backbone):
    with torch.no_grad():
        return backbone.predict_noise(CLIP[None], 500, backbone.encode_text(["a ball is moving"]))


def tuned(backbone):
    run = vmc.finetune(backbone, CLIP, "a ball is moving", steps=2, learning_rate=0.1)
    list(run)
    return run.adapter


def test_it_shares_the_weights_and_answers_alike():
    backbone = RandomBackbone()
    other = twin(backbone)
    assert other.unet is not backbone.unet
    theirs = dict(other.unet.named_parameters())
    for name, parameter in backbone.unet.named_parameters():
        assert theirs[name].data_ptr() == parameter.data_ptr()
    assert torch.equal(predicted(other), predicted(backbone))
    assert fingerprint(other.unet) == other.fingerprint == backbone.fingerprint


def test_what_is_applied_to_one_is_not_to_the_other():
    backbone = RandomBackbone()
    other, before = twin(backbone), predicted(backbone)
    adapter = tuned(other)
    with adapter.applied(other):
        assert torch.equal(predicted(backbone), before)
        assert not torch.equal(predicted(other), before)
        with adapter.applied(backbone):  # both at once
            assert torch.equal(predicted(backbone), predicted(other))
    assert torch.equal(predicted(other), before)


def test_gradients_that_are_on_stay_on_in_the_backbone_alone():
    backbone = RandomBackbone()
    other = twin(backbone)
    assert all(p.requires_grad for p in backbone.unet.parameters())
    assert not any(p.requires_grad for p in other.unet.parameters())


def test_the_tiny_backbone_computes_with_the_network_of_its_twin():
    other = twin(load_backbone())
    assert other.denoiser.unet is other.unet and other.text_encoder is not None
    seen = []
    other.unet.register_forward_pre_hook(lambda *_: seen.append(True))
    noisy = torch.zeros(1, 3, other.frames, *other.size)
    with torch.no_grad():
        other.predict_noise(noisy, 500, other.encode_text(["a ball is moving"]))
    assert seen == [True]
