"""Sums, smaller ranks and differences of LoRAs, layer by layer.

A layer is ``delta = alpha / rank * up @ down``, a matrix of O rows. The nearest matrix of a smaller
rank, in the Frobenius norm, keeps the largest singular values: Eckart and Young 1936
(doi 10.1007/BF02288367). The error that is reported is the norm of what was left out divided by the
norm of the whole, over all layers.

Shape legend: O outputs, I inputs (of a convolution channels x height x width), R rank.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from pipeline.core.errors import InputError
from pipeline.models.lora_weights import Layer, Lora

Kept = Callable[[Float[Tensor, " S"]], int]
"""From singular values, largest first, to how many of them stay."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What smaller ranks left out, as shares of the norm, 0 to 1."""

    whole: float
    """Of all layers together."""
    worst: float
    """Of the layer that lost most."""
    layer: str
    """That layer."""


def keep_rank(rank: int) -> Kept:
    """Keep ``rank`` values a layer, or all where there are fewer."""
    return lambda values_S: min(rank, len(values_S))


def keep_energy(share: float) -> Kept:
    """Keep the fewest values whose squares sum to ``share`` of all squares of the layer."""

    def kept(values_S: Float[Tensor, " S"]) -> int:
        sums_S = values_S.square().cumsum(0)
        # In double precision, so a share of 1 keeps all but what is zero.
        return min(int((sums_S < share * sums_S[-1]).sum()) + 1, len(values_S))

    return kept


def delta(layer: Layer) -> Float[Tensor, "O I"]:
    """Return what a layer adds to its weight, as a matrix in double precision."""
    up, down = layer.up.double().flatten(1), layer.down.double().flatten(1)
    return layer.alpha / layer.rank * up @ down


def merge(loras: Sequence[Lora], weights: Sequence[float]) -> dict[str, Layer]:
    """Add LoRAs with weights by setting their factors side by side: exact, ranks add up.

    Raises:
        InputError: One is a DoRA, or of another family, or a layer has another shape.
    """
    for lora in loras:
        _refuse_dora(lora)
        if lora.family is not loras[0].family:
            told = f"{loras[0].family.value} and {lora.family.value}"
            raise InputError(f"merge: of two families, {told}; allowed: LoRAs of one")
    names = sorted({name for lora in loras for name in lora.layers})
    merged = {}
    for name in names:
        found = [(x.layers[name], w) for x, w in zip(loras, weights, strict=True)
                 if name in x.layers]  # fmt: skip
        shapes = {(layer.down.shape[1:], layer.up.shape[0]) for layer, _ in found}
        if len(shapes) > 1:
            raise InputError(f"merge: {name} has another shape in each: {sorted(shapes)}")
        downs = [layer.down.float() for layer, _ in found]
        ups = [layer.up.float() * (w * layer.alpha / layer.rank) for layer, w in found]
        down = torch.cat(downs)
        merged[name] = Layer(down=down, up=torch.cat(ups, dim=1), alpha=float(len(down)))
    return merged


def resize(lora: Lora, kept: Kept) -> tuple[dict[str, Layer], Loss]:
    """Bring every layer to a smaller rank; ranks never grow.

    Raises:
        InputError: It is a DoRA, whose norms are those of the sum with the base.
    """
    _refuse_dora(lora)
    layers, losses = {}, {}
    for name, layer in lora.layers.items():
        _refuse_infinite(name, layer.up, layer.down)
        # delta = Qu (scale Ru Rd^T) Qd^T: the inner matrix is R R and has delta's singular values.
        qu_OR, ru_RR = torch.linalg.qr(layer.up.double().flatten(1))
        qd_IR, rd_RR = torch.linalg.qr(layer.down.double().flatten(1).T)
        inner_RR = layer.alpha / layer.rank * ru_RR @ rd_RR.T
        u_RS, values_S, vh_SR = torch.linalg.svd(inner_RR, full_matrices=False)
        made, losses[name] = _cut(qu_OR @ u_RS, values_S, vh_SR @ qd_IR.T, kept)
        layers[name] = _shaped(made, like=(layer.down.shape[1:], layer.up.ndim))
    return layers, _sum_up(losses)


def extract(deltas: Mapping[str, Tensor], kept: Kept) -> tuple[dict[str, Layer], Loss]:
    """Find the LoRA nearest to differences of weights.

    Args:
        deltas: By canonical layer name, O I or O I height width.
        kept: How many singular values stay.
    """
    layers, losses = {}, {}
    for name, difference in sorted(deltas.items()):
        _refuse_infinite(name, difference)
        u, values_S, vh = torch.linalg.svd(difference.double().flatten(1), full_matrices=False)
        made, losses[name] = _cut(u, values_S, vh, kept)
        layers[name] = _shaped(made, like=(difference.shape[1:], difference.ndim))
    return layers, _sum_up(losses)


def _cut(
    u_OS: Tensor, values_S: Tensor, vh_SI: Tensor, kept: Kept
) -> tuple[Layer, tuple[float, float]]:
    """Return the layer, and the sums of squares of what was left out and of all."""
    rank = kept(values_S)
    # The root goes to both sides, so that neither factor is tiny in half precision.
    root_R = values_S[:rank].sqrt()
    up = (u_OS[:, :rank] * root_R).float()
    down = (root_R[:, None] * vh_SI[:rank]).float()
    squares_S = values_S.square()
    lost = float(squares_S[rank:].sum()), float(squares_S.sum())
    return Layer(down=down, up=up, alpha=float(rank)), lost


def _shaped(layer: Layer, *, like: tuple[Sequence[int], int]) -> Layer:
    inputs, ndim = like
    ones = [1] * (ndim - 2)
    return replace(
        layer,
        down=layer.down.reshape(layer.rank, *inputs),
        up=layer.up.reshape(*layer.up.shape, *ones),
    )


def _sum_up(losses: Mapping[str, tuple[float, float]]) -> Loss:
    def share(lost: float, whole: float) -> float:
        return math.sqrt(lost / whole) if whole else 0.0

    shares = {name: share(*pair) for name, pair in losses.items()}
    layer = max(shares, key=shares.__getitem__)
    lost, whole = (sum(pair[i] for pair in losses.values()) for i in (0, 1))
    return Loss(whole=share(lost, whole), worst=shares[layer], layer=layer)


def _refuse_infinite(name: str, *tensors: Tensor) -> None:
    if not all(bool(tensor.isfinite().all()) for tensor in tensors):
        raise InputError(f"{name} holds values that are not finite; they have no singular values")


def _refuse_dora(lora: Lora) -> None:
    if lora.is_dora:
        raise InputError(
            "a DoRA's norms are those of its sum with the base, so it is neither added nor cut; "
            "allowed: LoRAs without lora_magnitude_vector"
        )
