"""The Inception path as far as it can be tested without its weights: layers, names, resizing, a checked file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import inception as torchvision_inception

from harness.errors import NotApplicable
from harness.judging import inception


def test_network_has_the_names_of_the_released_weights() -> None:
    theirs = torchvision_inception.Inception3(
        num_classes=1008, aux_logits=False, transform_input=False, init_weights=False
    ).state_dict()
    ours = inception.inception_network().state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}
    assert ours["Mixed_7c.branch_pool.conv.weight"].shape == (192, 2048, 1, 1)
    assert ours["fc.weight"].shape == (1008, 2048)


def test_averages_leave_out_the_padding() -> None:
    block = inception.AfterAverage(3, 4, kernel_size=1).eval()
    inputs = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    counted = F.avg_pool2d(inputs, kernel_size=3, stride=1, padding=1)
    right = F.avg_pool2d(inputs, kernel_size=3, stride=1, padding=1, count_include_pad=False)
    plain = torchvision_inception.BasicConv2d(3, 4, kernel_size=1).eval()
    plain.load_state_dict(block.state_dict())
    torch.testing.assert_close(block(counted), plain(right))


def test_last_block_pools_by_maximum() -> None:
    block = inception.MaximumPooled(8).eval()
    inputs = torch.rand(1, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    outputs = block(inputs)
    pooled = block.branch_pool(F.max_pool2d(inputs, kernel_size=3, stride=1, padding=1))
    assert outputs.shape == (1, 2048, 4, 4)
    torch.testing.assert_close(outputs[:, -192:], pooled)
    torch.testing.assert_close(outputs[:, :320], block.branch1x1(inputs))


def test_resizing_reads_at_whole_multiples_without_half_pixel_centres() -> None:
    line = torch.tensor([0.0, 10.0, 20.0, 40.0]).expand(1, 1, 4, 4)
    wide = inception.resized(line, 8)[0, 0, 0]
    assert wide.tolist() == [0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 40.0]
    small = inception.resized(line, 2)
    assert small[0, 0, 0].tolist() == [0.0, 20.0]
    torch.testing.assert_close(inception.resized(line, 4), line)


def test_features_of_grey_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "SIZE", 107)  # less to compute
    torch.manual_seed(0)
    network = inception.inception_network().eval()
    images = torch.randint(256, (1, 1, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        features = inception.pooled_features(network, images)
        assert features.shape == (1, 2048)
        assert torch.equal(features, inception.pooled_features(network, images.expand(-1, 3, -1, -1)))
    assert torch.isfinite(features).all()


def test_missing_and_damaged_files_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(NotApplicable, match=r"no Inception weights: put weights-inception-2015-12-05-6726825d\.pth"):
        inception.inception_extractor(torch.device("cpu"))
    file = tmp_path / "hub" / "checkpoints" / inception.FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half a download")
    with pytest.raises(NotApplicable, match=r"is damaged \(SHA-256 .*\): fetch it again"):
        inception.inception_extractor(torch.device("cpu"))
