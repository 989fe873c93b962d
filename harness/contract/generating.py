"""The contract of methods that make images: reconstructions, samples, translations, likelihoods.

B images, C channels, H=W pixels, L code dimensions, P interpolation steps. A case is one of `harness.contract.methods`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.contract.requirements import Absent, require, require_finite, require_same_alone, require_shape
from harness.errors import NotApplicable
from harness.plugin.capabilities import capabilities_of
from harness.seeding import derived_generator, seed_everything

if TYPE_CHECKING:
    from harness.contract.methods import MethodCase

SLACK = 1e-4  # that a pixel may lie outside [0,1]


def reconstructs_images(case: MethodCase) -> str:
    method = case.able("reconstruct")
    _require_images("reconstruct()", method.reconstruct(case.data.inputs), case.data.inputs.shape)
    bits = method.code_bits()
    require(isfinite(bits) and bits > 0, f"code_bits() is {bits}, expected the bits of one image's code")
    return f"{bits:g} bits"


def samples_from_its_generator_alone(case: MethodCase) -> str:
    method = case.able("sample")
    if not callable(getattr(method, "sample", None)):
        raise Absent("it samples on request")
    require_seeded_images("sample()", lambda generator: method.sample(5, generator), (5, *case.data.spec.inputs.shape))
    return ""


def samples_what_is_asked_for(case: MethodCase) -> str:
    method = case.able("sample_as")
    uses = case.spec.uses_with(case.config)
    require(method.condition in uses, f"its condition is '{method.condition}', but its spec uses {', '.join(uses)}")
    asked = getattr(case.data, method.condition)[:5]
    shape = (5, *case.data.spec.inputs.shape)
    require_seeded_images("sample_as()", lambda generator: method.sample_as(asked, generator), shape)
    others = getattr(case.data, method.condition)[1:6]
    same = [method.sample_as(each, derived_generator(0, "contract samples")) for each in (asked, others)]
    require(not torch.equal(*same), f"sample_as() gives the same images whatever {method.condition} it is asked for")
    return method.condition


def decodes_its_codes(case: MethodCase) -> str:
    method = case.able("code")
    inputs = case.data.inputs
    codes = method.code(inputs)
    require(codes.ndim == 2 and len(codes) == len(inputs), f"code() returned {tuple(codes.shape)}, expected (B, L)")
    require_finite("code()", codes)
    images = case.able("decode").decode(codes)
    _require_images("decode()", images, inputs.shape)
    if "reconstruct" in capabilities_of(method):
        gap = float((images - method.reconstruct(inputs)).abs().max())
        require(gap < 1e-3, f"decode(code(x)) is {gap:.2g} away from reconstruct(x)")
    return f"L={codes.shape[1]}"


def translates_images(case: MethodCase) -> str:
    method = case.able("translate")
    if case.data.paired is None:
        raise NotApplicable("texts have no paired images here")
    paired = case.data.spec.inputs.ready(case.data.paired)
    _require_images("translate()", method.translate(paired), paired.shape)
    require_same_alone("translate()", method.translate, paired)
    if "translate_back" in capabilities_of(method):
        _require_images("translate_back()", method.translate_back(case.data.inputs), paired.shape)
    return ""


def stylises_images(case: MethodCase) -> str:
    method = case.able("stylise")
    content, style = case.data.inputs[:8], case.data.inputs[8:16]
    images = method.stylise(content, style)
    _require_images("stylise()", images, content.shape)
    require(not torch.equal(images, method.stylise(content, content)), "stylise() takes no notice of the style")
    return ""


def bounds_the_likelihood(case: MethodCase) -> str:
    method = case.able("log_likelihood_bound")
    seed_everything(0, "contract bound")
    bounds = method.log_likelihood_bound(case.data.inputs, 4)
    require_shape("log_likelihood_bound()", bounds, (len(case.data.inputs),))
    require_finite("log_likelihood_bound()", bounds)
    return f"{float(bounds.mean()):.4g} nats"


def shows_its_process(case: MethodCase) -> str:
    method = case.able("forward_process")
    forward = method.forward_process(case.data.inputs[:3], 4, derived_generator(0, "contract process"))
    _require_images("forward_process()", forward, (3, 4, *case.data.spec.inputs.shape))
    gap = float((forward[:, 0] - case.data.inputs[:3]).abs().max())
    require(gap < 0.1, f"forward_process() starts {gap:.2g} away from the image")
    backward = case.able("reverse_process").reverse_process(3, 4, derived_generator(0, "contract process"))
    _require_images("reverse_process()", backward, (3, 4, *case.data.spec.inputs.shape))
    return ""


def interpolates_between_reconstructions(case: MethodCase) -> str:
    method = case.able("interpolate")
    start, end = case.data.inputs[:3], case.data.inputs[3:6]
    path = method.interpolate(start, end, 4)
    _require_images("interpolate()", path, (3, 4, *case.data.spec.inputs.shape))
    if "reconstruct" in capabilities_of(method):
        for name, images, index in (("start", start, 0), ("end", end, -1)):
            gap = float((path[:, index] - method.reconstruct(images)).abs().max())
            require(gap < 1e-3, f"the {name} of interpolate() is {gap:.2g} away from its reconstruction")
    return ""


CHECKS = (
    reconstructs_images,
    decodes_its_codes,
    samples_from_its_generator_alone,
    samples_what_is_asked_for,
    translates_images,
    stylises_images,
    bounds_the_likelihood,
    shows_its_process,
    interpolates_between_reconstructions,
)


def _require_images(what: str, images: Tensor, shape: tuple[int, ...]) -> None:
    require_shape(what, images, shape)
    require_finite(what, images)
    low, high = float(images.min()), float(images.max())
    require(low >= -SLACK and high <= 1 + SLACK, f"{what} returned values from {low:.3g} to {high:.3g}, expected [0,1]")


def require_seeded_images(what: str, draw: Callable[[torch.Generator], Tensor], shape: tuple[int, ...]) -> None:
    """Raise unless what is drawn are images in [0,1] that depend on the generator, and on nothing else."""
    drawn = []
    for seed, unrelated in ((0, 0), (0, 1), (1, 1)):
        torch.manual_seed(unrelated)  # the global generator must not matter
        drawn.append(draw(derived_generator(seed, "contract samples")))
    _require_images(what, drawn[0], shape)
    require(torch.equal(drawn[0], drawn[1]), f"{what} depends on more than the generator that it is given")
    require(not torch.equal(drawn[1], drawn[2]), f"{what} gives the same images whatever its generator")
