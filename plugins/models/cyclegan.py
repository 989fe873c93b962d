"""CycleGAN: translate between two domains without pairs. Zhu et al. 2017, arXiv:1703.10593, equations 1-3, section 4.

B images, C channels, H=W pixels, D features, h=w positions of the backbone's maps.
Two generators, paired image -> image and image -> paired image; two discriminators, one for each domain, with the
least-squares loss (Mao et al. 2017, arXiv:1611.04076); a translation that is translated back must give what it began
with (weight 10), and an image that is of the wanted domain already must stay as it is (half of that). Discriminators
see a mix of new translations and of older ones from a pool of 50.
The trunk of the image domain's discriminator is the backbone, where the representation is read.
Differs from the paper: batches of more than one, of whose translations exactly half are exchanged for older ones;
networks for small images, and generators that mask what they leave as it is (see harness.nn.translators).
Distances are of pixels in [-1,1] as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.translators import PatchDiscriminator, ResidualTranslator, same_for_all, symmetric_l1
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, NotApplicable, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    cycle_weight: float = 10.0  # lambda
    identity_weight: float = 0.5  # as a fraction of cycle_weight
    pool: int = 50  # older translations that each discriminator is shown again; 0: none
    width: int = 16  # channels of the generators' first layer
    blocks: int = 2  # residual blocks
    patch_width: int = 16  # channels of the first layer of the paired images' discriminator

    def __post_init__(self) -> None:
        if self.cycle_weight < 0 or self.identity_weight < 0 or self.pool < 0:
            raise ValueError("cycle_weight, identity_weight and pool must not be negative")
        if self.width < 1 or self.blocks < 0 or self.patch_width < 1:
            raise ValueError("width and patch_width must be at least 1, blocks not negative")


class BackboneDiscriminator(nn.Module):
    """Is each patch of an image genuine, by the backbone's maps? (B,C,H,W) -> (B,1,h,w)."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.judge = nn.Conv2d(backbone.dim, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.judge(self.backbone.maps(images))


class ReplayPool(nn.Module):
    """Translations of earlier steps. Shrivastava et al. 2017, arXiv:1612.07828, section 2.3."""

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, data: DataSpec[ImageField]) -> None:
        super().__init__()
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64), persistent=False)  # how many are held
        self.register_buffer("images", torch.zeros(size, *data.inputs.shape), persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> the same, but half of them (at most as many as are held) in exchange for older ones.

        While there is room the images are kept and come back as they are.
        """
        images = images.detach().clone()
        filled = int(self.filled)
        room = min(len(self.images) - filled, len(images))
        if room:
            self.images[filled : filled + room] = images[:room]
            self.filled += room
            return images
        n = min(len(images) // 2, len(self.images))
        places = torch.randperm(len(self.images))[:n].to(images.device)
        rows = torch.randperm(len(images))[:n].to(images.device)
        older = self.images[places]  # (n,C,H,W), a copy
        self.images[places] = images[rows]
        images[rows] = older
        return images


class CycleGAN(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        if not data.paired_domain:
            raise NotApplicable("needs images of a second domain: choose a dataset with paired images, such as shapes")
        backbone.map_size(data.inputs.size)  # raises where the backbone has no maps
        self.config = config
        forth, back = (ResidualTranslator(data, config.width, config.blocks) for _ in range(2))
        self.generators = nn.ModuleDict({"image": forth, "paired": back})  # by the domain that they make
        judges = {"image": BackboneDiscriminator(backbone), "paired": PatchDiscriminator(data, config.patch_width)}
        self.discriminators = nn.ModuleDict(judges)
        self.pools = nn.ModuleDict({domain: ReplayPool(config.pool, data) for domain in judges})

    @property
    def backbone(self) -> Backbone:
        return self.discriminators["image"].backbone  # type: ignore[return-value]  # (B,C,H,W) -> (B,D)

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        assert batch.paired is not None
        real = {"image": batch.inputs, "paired": batch.paired}
        fake: dict[str, Tensor] = {}
        yield "generators", self._translate_and_return(real, fake, batch)
        losses = []
        for domain, judge in self.discriminators.items():
            shown = self.pools[domain](fake[domain])
            losses.append((least_squares(judge(real[domain]), 1.0) + least_squares(judge(shown), 0.0)) / 2)
        batch.log("discriminators", torch.stack(losses).mean())
        yield "discriminators", torch.stack(losses).sum()

    def _translate_and_return(self, real: dict[str, Tensor], fake: dict[str, Tensor], batch: Batch) -> Tensor:
        """The generators' loss; leaves their translations in `fake`, by the domain that they imitate."""
        losses: dict[str, list[Tensor]] = {"fooled": [], "cycle": [], "identity": []}
        for domain, other in (("image", "paired"), ("paired", "image")):
            given = [real[other], real[domain]] if self.config.identity_weight else [real[other]]
            fake[domain], *same = self.generators[domain](torch.cat(given)).split(len(real[other]))
            losses["fooled"].append(least_squares(self.discriminators[domain](fake[domain]), 1.0))
            losses["identity"] += [symmetric_l1(image, real[domain]) for image in same]
        for domain, other in (("image", "paired"), ("paired", "image")):
            losses["cycle"].append(symmetric_l1(self.generators[domain](fake[other]), real[domain]))
        cycle, identity = self.config.cycle_weight, self.config.cycle_weight * self.config.identity_weight
        weights = {"fooled": 1.0, "cycle": cycle, "identity": identity}
        for name, parts in losses.items():
            if parts:
                batch.log(name, torch.stack(parts).mean())
        return torch.stack([weights[name] * part for name, parts in losses.items() for part in parts]).sum()

    def translate(self, paired: Tensor) -> Tensor:
        return self.generators["image"](paired)  # (B,C,H,W)

    def translate_back(self, images: Tensor) -> Tensor:
        return self.generators["paired"](images)  # (B,C,H,W)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)

    def diagnose(self, images: Tensor) -> str:
        return same_for_all(self.translate_back(images), images)


def least_squares(judged: Tensor, wanted: float) -> Tensor:
    """Mean squared distance of the discriminator's answers, any shape, from `wanted`: 1 is real, 0 is fake."""
    return (judged - wanted).square().mean()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="cyclegan",
        kind="model",
        build=CycleGAN,
        config=Config,
        source="arXiv:1703.10593",
        uses=("unpaired",),
        recipe={"batch_size": 32, "learning_rate": 5e-4, "beta1": 0.5, "weight_decay": 0.0, "clip_norm": 0.0},
    )
