"""The masked autoencoder of clips: places hidden all the time, and the error of what is hidden."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.contract.kit import Setting, check_plugin
from harness.data.batches import Batch
from harness.data.fields import DataSpec, VideoField
from harness.errors import NotApplicable
from harness.nn.patches import chosen
from harness.records import PluginRef
from harness.registry import METHOD_KINDS, Registry
from harness_plugins.backbones import conv3d, video_vit
from harness_plugins.pretext.video_mae import Config, VideoMaskedAutoencoder

SPEC = DataSpec(inputs=VideoField(frames=6, channels=1, size=16, mean=(0.4,), std=(0.3,)))
CLIPS = torch.rand(3, 6, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def built(spec: DataSpec = SPEC, **params) -> VideoMaskedAutoencoder:
    torch.manual_seed(0)
    backbone = video_vit.build(spec, video_vit.Config(width=48, depth=1))
    return VideoMaskedAutoencoder(backbone, spec, Config(**params))


def test_a_place_is_hidden_all_the_time_or_never() -> None:
    method = built(masked=0.75)
    kept, masked = method.split(CLIPS)
    assert (kept.shape, masked.shape) == ((3, 3 * 4), (3, 3 * 12))
    for one, others in zip(kept, masked, strict=True):
        assert sorted(torch.cat([one, others]).tolist()) == list(range(48))
        places = [set((one[one // 16 == time] % 16).tolist()) for time in range(3)]
        assert places[0] == places[1] == places[2]
        assert len(places[0]) == 4
    assert not torch.equal(kept[0], kept[1])


@pytest.mark.parametrize("normalise", [True, False])
def test_the_loss_is_the_error_of_what_is_hidden(normalise: bool) -> None:
    """Of a decoder that draws zeros: the mean square of the targets, which is 1 - 1/P where they are normalised."""
    method = built(normalise=normalise)
    torch.nn.init.zeros_(method.decoder.draw.weight)
    torch.nn.init.zeros_(method.decoder.draw.bias)
    torch.manual_seed(1)
    loss = method.loss(Batch(inputs=CLIPS))
    torch.manual_seed(1)
    _, masked = method.split(CLIPS)
    torch.testing.assert_close(loss, chosen(method.targets(CLIPS), masked).square().mean())
    if normalise:
        assert loss.item() == pytest.approx(31 / 32, abs=1e-3)


def test_what_is_hidden_is_not_seen() -> None:
    """Other values in the hidden places change the targets and nothing that is drawn."""
    method = built(normalise=False).eval()
    torch.manual_seed(1)
    kept, masked = method.split(CLIPS)
    hidden = torch.ones(3, 16, dtype=torch.bool).scatter(1, kept[:, : method.seen], False).view(3, 1, 1, 4, 4)
    other = torch.where(hidden.repeat_interleave(4, 3).repeat_interleave(4, 4), 1 - CLIPS, CLIPS)
    with torch.no_grad():
        one, two = (method.decoder(method.backbone.tokens(clips, kept), kept, masked) for clips in (CLIPS, other))
    torch.testing.assert_close(one, two)


def test_it_keeps_the_contract_on_its_backbone() -> None:
    registry = Registry()
    setting = Setting(backbone=PluginRef(name="video-vit", params={"width": 48, "depth": 1}))
    checks = check_plugin(registry.load("video-mae", METHOD_KINDS), registry, Path(), setting=setting)
    assert not [check for check in checks if check.status == "failed"]
    assert any(check.name.startswith("steps_lower_the_loss") and check.status == "ok" for check in checks)


def test_it_needs_patches_and_more_than_one() -> None:
    with pytest.raises(NotApplicable, match="choose --backbone video-vit"):
        VideoMaskedAutoencoder(conv3d.build(SPEC, conv3d.Config()), SPEC, Config())
    small = DataSpec(inputs=VideoField(frames=4, channels=1, size=4))
    with pytest.raises(NotApplicable, match="one patch of 4 pixels"):
        built(small)
    with pytest.raises(ValueError, match="multiple of 8"):
        Config(decoder_width=12)
