"""Circular padding: what a network draws wraps around its edges, so that it tiles without a seam.

Shape legend: B batch, C channels, H W height and width.
"""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional


def wrap_convolutions(module: nn.Module, *, x: bool, y: bool) -> None:
    """Make every padded convolution of ``module`` pad circularly along the axes asked for.

    The weights stay as they are, and so do adapters: they are convolutions too.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and isinstance(part.padding, tuple) and any(part.padding):
            part.forward = partial(_wrapped, part, x=x, y=y)  # type: ignore[method-assign]


def _wrapped(conv: nn.Conv2d, x_BCHW: Tensor, *, x: bool, y: bool) -> Tensor:
    assert not isinstance(conv.padding, str)
    pad_y, pad_x = conv.padding
    x_BCHW = functional.pad(x_BCHW, (pad_x, pad_x, 0, 0), mode="circular" if x else "constant")
    x_BCHW = functional.pad(x_BCHW, (0, 0, pad_y, pad_y), mode="circular" if y else "constant")
    return functional.conv2d(
        x_BCHW, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups
    )
