"""CIE L*a*b*, in which equal distances look about equally different: lightness apart from colour.

From sRGB (IEC 61966-2-1) by way of CIE XYZ with the white D65; L* in [0,100], a* (green to red) and b* (blue to yellow)
about -110 to 110. CIE 15:2004, section 8.2.1:
L* = 116 f(Y/Yn) - 16, a* = 500 (f(X/Xn) - f(Y/Yn)), b* = 200 (f(Y/Yn) - f(Z/Zn));
f(t) = t^(1/3) above (6/29)^3, else t / (3 (6/29)^2) + 4/29.

B images, H=W pixels. Computed in fp32, also under autocast.
"""

from __future__ import annotations

import torch
from torch import Tensor

XYZ_OF_RGB = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
KNEE = 6 / 29  # of f and its inverse


def rgb_to_lab(images: Tensor) -> Tensor:
    """sRGB (B,3,H,W) in [0,1] -> L*, a*, b* (B,3,H,W). Greys have a* = b* = 0."""
    images = images.float()
    linear = torch.where(images <= 0.04045, images / 12.92, ((images.clamp_min(0) + 0.055) / 1.055) ** 2.4)
    ratio = _mixed(linear, _to_xyz(images.device))  # (B,3,H,W): X/Xn, Y/Yn, Z/Zn
    x, y, z = torch.where(ratio > KNEE**3, ratio.clamp_min(KNEE**3) ** (1 / 3), ratio / (3 * KNEE**2) + 4 / 29).unbind(
        1
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """L*, a*, b* (B,3,H,W) -> sRGB (B,3,H,W) in [0,1]; a colour that no screen shows is clipped."""
    lightness, a, b = lab.float().unbind(1)
    y = (lightness + 16) / 116
    root = torch.stack([y + a / 500, y, y - b / 200], 1)
    ratio = torch.where(root > KNEE, root**3, 3 * KNEE**2 * (root - 4 / 29))
    linear = _mixed(ratio, torch.linalg.inv(_to_xyz(lab.device).double()).float()).clamp(0, 1)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _to_xyz(device: torch.device) -> Tensor:
    """(3,3) from linear RGB to X/Xn, Y/Yn, Z/Zn: rows add up to one, so that white is (1,1,1)."""
    matrix = torch.tensor(XYZ_OF_RGB, dtype=torch.float64)
    return (matrix / matrix.sum(1, keepdim=True)).float().to(device)


def _mixed(values: Tensor, matrix: Tensor) -> Tensor:
    """The channels of (B,3,H,W) mixed by (3,3)."""
    with torch.autocast(values.device.type, enabled=False):
        return torch.einsum("oc,bchw->bohw", matrix, values)
