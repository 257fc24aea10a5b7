"""From the float network to fixed point, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from compgen.predictors.transformer import fixed
from compgen.predictors.transformer.network import Network, rms_norm
from compgen.predictors.transformer.weights import IntTensor, Weights, is_matrix

LOG2_E = 1.4426950408889634
#: Logits that are in memory at once.
_LOGITS = 1 << 24


def fixed_name(name: str) -> str:
    """What a parameter of the network is called in a weight file."""
    return name.replace(".attention.", ".").replace(".mlp.", ".").removesuffix(".taps")


def to_fixed(network: Network, sample: torch.Tensor) -> tuple[dict[str, IntTensor], dict[str, int]]:
    """The network's integers by name, and the fraction bits of matrices and activations.

    ``sample``, symbols ``(batch, positions)``, shows how large activations become; they get room for twice that.
    """
    tensors: dict[str, IntTensor] = {}
    bits = _activation_bits(network, sample)
    for name, parameter in network.named_parameters():
        key = fixed_name(name)
        value: npt.NDArray[Any] = parameter.detach().double().cpu().numpy()
        if key == "embedding":
            value = rms_norm(parameter.detach().double()).cpu().numpy()
            tensors[key] = fixed.rounded(value, bits["residual"], (1 << fixed.RESIDUAL_LIMIT) - 1)
        elif is_matrix(key):
            value = value * LOG2_E if key == "unembedding" else value
            bits[key] = fixed.weight_bits(value)
            tensors[key] = fixed.rounded(value, bits[key], 32767)
        elif key.endswith("sharpness"):
            tensors[key] = fixed.rounded(np.maximum(value, 0.0), fixed.SHARPNESS, 32767)
        else:
            tensors[key] = fixed.rounded(value, fixed.FACTOR, 32767)
    return tensors, bits


@torch.no_grad()
def _activation_bits(network: Network, sample: torch.Tensor) -> dict[str, int]:
    highest: dict[str, float] = {}

    def watch(name: str, values: torch.Tensor) -> None:
        highest[name] = max(highest.get(name, 0.0), float(values.abs().max()))

    network.watch = watch
    try:
        rows = max(1, _LOGITS // sample.shape[1] // network.config.vocabulary)
        for part in torch.split(sample.to(network.embedding.device), rows):
            network(part)
    finally:
        network.watch = None
    return {
        name: fixed.range_bits(value, fixed.RESIDUAL_LIMIT if name == "residual" else 15)
        for name, value in highest.items()
    }


def to_float(weights: Weights) -> Network:
    """The float network with these weights: to compare with, or to train further."""
    network = Network(weights.config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            key = fixed_name(name)
            value = torch.tensor(np.asarray(weights.tensors[key], np.float64))
            if key == "embedding":
                value = value * 2.0 ** -weights.bits["residual"]
            elif is_matrix(key):
                value = value * 2.0 ** -weights.bits[key] / (LOG2_E if key == "unembedding" else 1.0)
            else:
                value = value * 2.0 ** -(fixed.SHARPNESS if key.endswith("sharpness") else fixed.FACTOR)
            parameter.copy_(value)
    return network
