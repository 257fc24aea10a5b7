"""The transformer in fixed point on PyTorch, CPU or CUDA: the same operations as ``engine.py``, on float64 tensors.

Each operation is one PyTorch call, so that none is fused with another; all values are integers but for quotients and
square roots, which IEEE 754 rounds in one way only. So this gives the same numbers as NumPy, and a test says so.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compgen.numerics import FloatArray, IntArray
from compgen.predictors.transformer import fixed
from compgen.predictors.transformer.config import TAPS
from compgen.predictors.transformer.devices import usable
from compgen.predictors.transformer.engine import LIMIT, PIECE, RESIDUAL_LIMIT
from compgen.predictors.transformer.weights import Weights

#: Queries that attend together.
_QUERIES = 256


def _rounded(x: Tensor, limit: float) -> Tensor:
    return torch.floor(x + 0.5).clamp_(-limit, limit)


@dataclass
class TorchCache:
    """As :class:`~.engine.LayerCache`; keys and values ``(streams, heads, capacity, head)`` are int16."""

    window: int
    keys: Tensor
    values: Tensor
    lengths: Tensor
    tail: Tensor
    tail_mlp: Tensor

    def append(self, keys: Tensor, values: Tensor) -> Tensor:
        """Add positions ``(streams, heads, n, head)``; returns where the first of each stream is, ``(streams,)``."""
        streams, heads, count, head = keys.shape
        self._make_room(count)
        first = self.lengths.clone()
        places = (first[:, None] + torch.arange(count, device=keys.device))[:, None, :, None]
        places = places.expand(streams, heads, count, head)
        self.keys.scatter_(2, places, keys.to(torch.int16))
        self.values.scatter_(2, places, values.to(torch.int16))
        self.lengths += count
        return first

    def _make_room(self, count: int) -> None:
        capacity, sight = self.keys.shape[2], self.window - 1
        longest, most = int(self.lengths.max()) + count, sight + 2 * PIECE
        if longest <= capacity:
            return
        surplus = (self.lengths - sight).clamp(min=0) if longest > most else torch.zeros_like(self.lengths)
        longest = int((self.lengths - surplus).max()) + count
        size = max(capacity, min(max(longest, 2 * capacity), most))
        source = (surplus[:, None] + torch.arange(size, device=self.keys.device)).clamp(max=capacity - 1)
        index = source[:, None, :, None].expand(-1, self.keys.shape[1], -1, self.keys.shape[3])
        self.keys, self.values = self.keys.gather(2, index), self.values.gather(2, index)
        self.lengths = self.lengths - surplus

    def select(self, streams: Tensor) -> TorchCache:
        """A copy of some streams."""
        twin = copy.copy(self)
        for name in ("keys", "values", "lengths", "tail", "tail_mlp"):
            setattr(twin, name, getattr(self, name)[streams])
        return twin

    def put(self, streams: Tensor, one: TorchCache) -> None:
        """See :meth:`~.engine.LayerCache.put`."""
        length = int(one.lengths[0])
        self.keys[streams, :, :length] = one.keys[0, :, :length]
        self.values[streams, :, :length] = one.values[0, :, :length]
        self.lengths[streams] = length
        self.tail[streams], self.tail_mlp[streams] = one.tail[0], one.tail_mlp[0]

    @staticmethod
    def join(parts: list[TorchCache]) -> TorchCache:
        """Several groups of streams as one."""
        joined, capacity = copy.copy(parts[0]), max(part.keys.shape[2] for part in parts)
        for name in ("keys", "values"):
            grown = [
                torch.nn.functional.pad(array, (0, 0, 0, capacity - array.shape[2]))
                for array in (getattr(part, name) for part in parts)
            ]
            setattr(joined, name, torch.cat(grown))
        for name in ("lengths", "tail", "tail_mlp"):
            setattr(joined, name, torch.cat([getattr(part, name) for part in parts]))
        return joined


class TorchEngine:
    """See :class:`~.engine.Engine`."""

    def __init__(self, weights: Weights, device: str = "cpu") -> None:
        config = self.config = weights.config
        self._device = usable(device)
        self._tensors = {
            name: torch.tensor(np.asarray(tensor, np.float64), device=self._device)
            for name, tensor in weights.tensors.items()
        }
        self._bits = weights.bits
        self._attention_table, self._output_table = (
            torch.tensor(fixed.powers_table(bits), device=self._device).long()
            for bits in (fixed.ATTENTION, fixed.OUTPUT)
        )
        unit = 2 * fixed.ACTIVATION
        self._slopes = [
            torch.tensor([1 << (unit - e) if e else 0 for e in config.slope_exponents(layer)], device=self._device)
            for layer in range(config.layers)
        ]
        root = float(np.sqrt(np.float64(config.head))) * 2.0**fixed.ACTIVATION
        self._key_scale = root
        self._query_scales = [
            self._tensors[f"layers.{layer}.sharpness"] * 2.0**-fixed.SHARPNESS * root for layer in range(config.layers)
        ]
        self._scale = float(np.sqrt(np.float64(config.width))) * 2.0**fixed.ACTIVATION

    def start(self, streams: int) -> list[TorchCache]:
        """See :meth:`~.engine.Engine.start`."""
        config, device = self.config, self._device
        shape = (streams, config.heads, 64, config.head)
        return [
            TorchCache(
                window,
                torch.zeros(shape, dtype=torch.int16, device=device),
                torch.zeros(shape, dtype=torch.int16, device=device),
                torch.zeros(streams, dtype=torch.int64, device=device),
                *(torch.zeros(streams, TAPS - 1, config.width, dtype=torch.float64, device=device) for _ in range(2)),
            )
            for window in config.windows
        ]

    def select(self, caches: list[TorchCache], streams: IntArray) -> list[TorchCache]:
        """See :meth:`~.engine.Engine.select`."""
        return [cache.select(torch.from_numpy(streams).to(self._device)) for cache in caches]

    def join(self, parts: list[list[TorchCache]]) -> list[TorchCache]:
        """See :meth:`~.engine.Engine.join`."""
        return [TorchCache.join(list(layer)) for layer in zip(*parts, strict=True)]

    @torch.inference_mode()
    def put(self, caches: list[TorchCache], streams: IntArray, one: list[TorchCache]) -> None:
        """See :meth:`~.engine.Engine.put`."""
        for cache, layer in zip(caches, one, strict=True):
            cache.put(torch.from_numpy(streams).to(self._device), layer)

    @torch.inference_mode()
    def advance(self, symbols: IntArray, caches: list[TorchCache]) -> FloatArray:
        """See :meth:`~.engine.Engine.advance`."""
        whole = torch.from_numpy(np.ascontiguousarray(symbols)).to(self._device)
        pieces = [self._piece(piece, caches) for piece in torch.split(whole, PIECE, dim=1)]
        probabilities: FloatArray = torch.cat(pieces, dim=1).cpu().numpy()
        return probabilities

    def _piece(self, symbols: Tensor, caches: list[TorchCache]) -> Tensor:
        embedded = self._tensors["embedding"][symbols]
        x = embedded
        for layer, cache in enumerate(caches):
            name = f"layers.{layer}."
            mixed = x * self._tensors[name + "keep"] + embedded * self._tensors[name + "again"]
            x = _rounded(mixed * 2.0**-fixed.FACTOR, RESIDUAL_LIMIT)
            h, cache.tail = self._convolve(x, name + "near", cache.tail)
            x = self._add(x, self._attention(h, layer, cache), name + "out", self._bits[name + "heads"])
            h, cache.tail_mlp = self._convolve(x, name + "near_mlp", cache.tail_mlp)
            bits = self._bits[name + "hidden"]
            relu_bits = fixed.relu_bits(bits)
            scale = 2.0 ** (relu_bits - fixed.ACTIVATION - self._bits[name + "up"])
            hidden = _rounded(self._product(h, name + "up") * scale, LIMIT).clamp_(min=0.0)
            squares = _rounded(hidden * hidden * 2.0 ** (bits - 2 * relu_bits), LIMIT)
            x = self._add(x, squares, name + "down", bits)
        logits = self._product(self._normalise(x), "unembedding")
        logits = torch.floor(logits * 2.0 ** (fixed.TABLE - fixed.ACTIVATION - self._bits["unembedding"]) + 0.5).long()
        below = logits.amax(-1, keepdim=True) - logits
        weights = (self._output_table[below & 1023] >> (below >> fixed.TABLE).clamp_(max=63)).clamp_(min=1).double()
        return weights / weights.sum(-1, keepdim=True)

    def _product(self, rows: Tensor, name: str) -> Tensor:
        return rows @ self._tensors[name].T

    def _add(self, x: Tensor, rows: Tensor, name: str, bits: int) -> Tensor:
        shifted = self._product(rows, name) * 2.0 ** (self._bits["residual"] - bits - self._bits[name])
        return (x + torch.floor(shifted + 0.5)).clamp_(-RESIDUAL_LIMIT, RESIDUAL_LIMIT)

    def _normalise(self, x: Tensor) -> Tensor:
        epsilon = float(self.config.width) * 2.0 ** (2 * self._bits["residual"] - fixed.EPSILON_BITS)
        return _unit(x, epsilon, self._scale)

    def _convolve(self, x: Tensor, name: str, tail: Tensor) -> tuple[Tensor, Tensor]:
        taps = self._tensors[name]
        window = torch.cat([tail, self._normalise(x)], dim=1)
        positions = x.shape[1]
        total = window[:, :positions] * taps[0]
        for tap in range(1, TAPS):
            total = total + window[:, tap : tap + positions] * taps[tap]
        return _rounded(total * 2.0**-fixed.FACTOR, LIMIT), window[:, positions:].clone()

    def _attention(self, h: Tensor, layer: int, cache: TorchCache) -> Tensor:
        streams, positions, width = h.shape
        name = f"layers.{layer}.qkv"
        bits = self._bits[f"layers.{layer}.heads"]
        sums = _rounded(self._product(h, name) * 2.0 ** (bits - fixed.ACTIVATION - self._bits[name]), LIMIT)
        parts = sums.view(streams, positions, 3, self.config.heads, self.config.head).permute(2, 0, 3, 1, 4)
        epsilon = float(self.config.head) * 2.0 ** (2 * bits - fixed.EPSILON_BITS)
        queries = _unit(parts[0], epsilon, self._query_scales[layer][:, None, None])
        first = cache.append(_unit(parts[1], epsilon, self._key_scale), parts[2])
        pieces = [
            self._attend(queries[:, :, start : start + _QUERIES], first + start, layer, cache)
            for start in range(0, positions, _QUERIES)
        ]
        return torch.cat(pieces, dim=2).transpose(1, 2).reshape(streams, positions, width)

    def _attend(self, queries: Tensor, first: Tensor, layer: int, cache: TorchCache) -> Tensor:
        """Queries ``(streams, heads, n, head)``, the first of each stream at the place ``first`` of the cache."""
        count = queries.shape[2]
        low, high = max(0, int(first.min()) - cache.window + 1), int(first.max()) + count
        keys, values = (array[:, :, low:high].double() for array in (cache.keys, cache.values))
        here = first[:, None] + torch.arange(count, device=first.device)
        back = here[:, :, None] - torch.arange(low, high, device=first.device)
        hidden = ((back < 0) | (back >= cache.window))[:, None]
        scores = (queries @ keys.transpose(2, 3)).long() - back[:, None] * self._slopes[layer][:, None, None]
        scores = scores.masked_fill(hidden, -(1 << 60))
        below = (scores.amax(-1, keepdim=True) - scores) >> (2 * fixed.ACTIVATION - fixed.TABLE)
        weights = self._attention_table[below & 1023] >> (below >> fixed.TABLE).clamp_(max=63)
        weights = weights.masked_fill(hidden, 0).double()
        return _rounded((weights @ values) / weights.sum(-1, keepdim=True), LIMIT)


def _unit(x: Tensor, epsilon: float, scale: Tensor | float) -> Tensor:
    """RMS norm along the last axis."""
    squares = (x * x).sum(-1, keepdim=True) + epsilon
    return _rounded(x * (scale / torch.sqrt(squares)), LIMIT)
