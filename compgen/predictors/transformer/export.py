"""From the float network to fixed point."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from compgen.predictors.transformer import fixed
from compgen.predictors.transformer.network import Network, rms_norm
from compgen.predictors.transformer.weights import IntTensor, is_matrix

LOG2_E = 1.4426950408889634


def to_fixed(network: Network) -> tuple[dict[str, IntTensor], dict[str, int]]:
    """The network's integers by name, and the fraction bits of its matrices."""
    tensors: dict[str, IntTensor] = {}
    bits: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        key = name.replace(".attention.", ".").replace(".mlp.", ".").removesuffix(".taps")
        value: npt.NDArray[Any] = parameter.detach().double().cpu().numpy()
        if key == "embedding":
            value = rms_norm(parameter.detach().double()).cpu().numpy()
            tensors[key] = fixed.rounded(value, fixed.RESIDUAL, (1 << fixed.RESIDUAL_LIMIT) - 1)
        elif is_matrix(key):
            value = value * LOG2_E if key == "unembedding" else value
            bits[key] = fixed.weight_bits(value)
            tensors[key] = fixed.rounded(value, bits[key], 32767)
        elif key.endswith("sharpness"):
            tensors[key] = fixed.rounded(np.maximum(value, 0.0), fixed.SHARPNESS, 32767)
        else:
            tensors[key] = fixed.rounded(value, fixed.FACTOR, 32767)
    return tensors, bits
