"""The transformer in fixed point on NumPy arrays, in compiled loops.

One function moves any number of streams on by any number of positions, so that reading a text at once and reading it
symbol by symbol are the same code, and the same numbers. It runs on one core; blocks and jobs make use of more.
"""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt

from compgen.numerics import FloatArray, IntArray
from compgen.predictors.transformer import _kernel as kernel
from compgen.predictors.transformer import fixed
from compgen.predictors.transformer._vectors import KEYS
from compgen.predictors.transformer.config import TAPS, Config
from compgen.predictors.transformer.weights import Weights

#: Positions that are computed together.
PIECE = 512
LIMIT, RESIDUAL_LIMIT = float(fixed.ACTIVATION_LIMIT), 2.0**fixed.RESIDUAL_LIMIT

Int16Array = npt.NDArray[np.int16]
Int32Array = npt.NDArray[np.int32]


class Layer:
    """What :func:`~._kernel.advance` takes of a layer; ``norm`` and ``epsilon`` are the stream's."""

    def __init__(self, weights: Weights, index: int, norm: float, epsilon: float, table: Int32Array) -> None:
        config, name = weights.config, f"layers.{index}."
        exponents = config.slope_exponents(index)
        unit = 2 * fixed.ACTIVATION
        slopes = np.array([2.0 ** (unit - e) if e else 0.0 for e in exponents])
        keep, again, near, near_mlp, sharpness = (
            weights.tensors[name + part].astype(np.float64)
            for part in ("keep", "again", "near", "near_mlp", "sharpness")
        )
        root = np.sqrt(np.float64(config.head)) * 2.0**fixed.ACTIVATION
        head_scales = np.append(sharpness * 2.0**-fixed.SHARPNESS * root, root)
        # Of the sums of the four products and of squares, to what they become.
        qkv, out, up, down = (weights.bits[name + part] for part in ("qkv", "out", "up", "down"))
        residual, heads, hidden = (weights.bits[key] for key in ("residual", name + "heads", name + "hidden"))
        relu = fixed.relu_bits(hidden)
        exponents_of_scales = (
            *(heads - fixed.ACTIVATION - qkv, residual - heads - out, relu - fixed.ACTIVATION - up),
            *(hidden - 2 * relu, residual - hidden - down),
        )
        self.window = config.windows[index]
        self.arguments = (
            (
                *(keep, again, near, near_mlp),
                *(short(weights, name + part) for part in ("qkv", "out", "up", "down")),
                *(head_scales, slopes, table),
            ),
            (2.0**-fixed.FACTOR, norm, *(2.0**exponent for exponent in exponents_of_scales)),
            (epsilon, float(config.head) * 2.0 ** (2 * heads - fixed.EPSILON_BITS)),
            (LIMIT, RESIDUAL_LIMIT),
        )


def short(weights: Weights, name: str) -> Int16Array:
    """A weight matrix ``(outputs, inputs)``."""
    return np.ascontiguousarray(weights.tensors[name], np.int16)


class LayerCache:
    """Keys, values and the last normalised rows of some streams, as far as a layer still looks at them."""

    def __init__(self, config: Config, window: int, streams: int) -> None:
        self._window = window
        shape = (streams, config.heads, 64, config.head)
        self.keys, self.values = np.zeros(shape, np.int16), np.zeros(shape, np.int16)
        self.lengths = np.zeros(streams, np.int64)
        self._longest = 0  # no length is above this
        self.tail, self.tail_mlp = (np.zeros((streams, TAPS - 1, config.width)) for _ in range(2))

    def make_room(self, positions: int) -> None:
        """Forget what is out of sight, or take more memory, so that ``positions`` more fit; they must be added then."""
        capacity, sight = self.keys.shape[2], self._window - 1
        self._longest += positions
        if self._longest > capacity:  # unless long streams have started anew
            self._longest = int(self.lengths.max()) + positions
        if self._longest <= capacity:
            return
        most = _whole_blocks(sight + 2 * PIECE)  # so that forgetting is seldom
        if self._longest > most:
            self._forget(sight)
            self._longest = int(self.lengths.max()) + positions
        if self._longest > capacity:
            larger = min(max(_whole_blocks(self._longest), 2 * capacity), most)
            self.keys, self.values = (_longer(array, larger) for array in (self.keys, self.values))

    def _forget(self, sight: int) -> None:
        """Keep the last ``sight`` positions of each stream."""
        for stream in np.flatnonzero(self.lengths > sight):
            length = int(self.lengths[stream])
            for array in (self.keys, self.values):
                array[stream, :, :sight] = array[stream, :, length - sight : length].copy()
            self.lengths[stream] = sight

    def select(self, streams: IntArray) -> LayerCache:
        """A copy of some streams."""
        twin = copy.copy(self)
        for name in ("keys", "values", "lengths", "tail", "tail_mlp"):
            setattr(twin, name, getattr(self, name)[streams])
        return twin

    def put(self, streams: IntArray, one: LayerCache) -> None:
        """Let some streams be where the only stream of ``one`` is; that is no longer than the capacity."""
        length = int(one.lengths[0])
        self.keys[streams, :, :length] = one.keys[0, :, :length]
        self.values[streams, :, :length] = one.values[0, :, :length]
        self.lengths[streams] = length
        self.tail[streams], self.tail_mlp[streams] = one.tail[0], one.tail_mlp[0]

    @staticmethod
    def join(parts: list[LayerCache]) -> LayerCache:
        """Several groups of streams as one."""
        joined, capacity = copy.copy(parts[0]), max(part.keys.shape[2] for part in parts)
        joined.keys = np.concatenate([_longer(part.keys, capacity) for part in parts])
        joined.values = np.concatenate([_longer(part.values, capacity) for part in parts])
        for name in ("lengths", "tail", "tail_mlp"):
            setattr(joined, name, np.concatenate([getattr(part, name) for part in parts]))
        joined._longest = max(part._longest for part in parts)
        return joined


def _whole_blocks(keys: int) -> int:
    """So many keys or a few more, as attention takes them in blocks."""
    return -(-keys // KEYS) * KEYS


def _longer(array: Int16Array, capacity: int) -> Int16Array:
    longer = np.zeros((*array.shape[:2], capacity, array.shape[3]), np.int16)
    longer[:, :, : array.shape[2]] = array
    return longer


class Engine:
    """A model ready to run. Caches are made by :meth:`start` and moved on by :meth:`advance`."""

    def __init__(self, weights: Weights) -> None:
        config = self.config = weights.config
        epsilon = float(config.width) * 2.0 ** (2 * weights.bits["residual"] - fixed.EPSILON_BITS)
        norm = float(np.sqrt(np.float64(config.width))) * 2.0**fixed.ACTIVATION
        table = fixed.powers_table(fixed.ATTENTION).astype(np.int32)
        self._embedding = weights.tensors["embedding"].astype(np.float64)
        self._layers = [Layer(weights, index, norm, epsilon, table) for index in range(config.layers)]
        logit_scale = 2.0 ** (fixed.TABLE - fixed.ACTIVATION - weights.bits["unembedding"])
        #: What :func:`~._kernel.predict` takes beside the rows.
        self._last = (
            *(epsilon, (norm, logit_scale), LIMIT),
            *(short(weights, "unembedding"), fixed.powers_table(fixed.OUTPUT).astype(np.int64)),
        )

    def start(self, streams: int) -> list[LayerCache]:
        """Caches of streams that have read nothing."""
        return [LayerCache(self.config, layer.window, streams) for layer in self._layers]

    def select(self, caches: list[LayerCache], streams: IntArray) -> list[LayerCache]:
        """A copy of the caches of some streams."""
        return [cache.select(streams) for cache in caches]

    def join(self, parts: list[list[LayerCache]]) -> list[LayerCache]:
        """Caches of several groups of streams as one."""
        return [LayerCache.join(list(layer)) for layer in zip(*parts, strict=True)]

    def put(self, caches: list[LayerCache], streams: IntArray, one: list[LayerCache]) -> None:
        """Let some streams go on from where the only stream of ``one`` is."""
        for cache, layer in zip(caches, one, strict=True):
            cache.put(streams, layer)

    def advance(self, symbols: IntArray, caches: list[LayerCache]) -> FloatArray:
        """Read symbols ``(streams, positions)``; returns ``P(next symbol)`` after each: float64
        ``(streams, positions, vocabulary)``. The start symbol is ``vocabulary``.
        """
        streams, positions = symbols.shape
        if positions <= PIECE:
            probabilities = np.empty((streams, positions, self.config.vocabulary))
            self._piece(symbols, caches, probabilities)
            return probabilities
        pieces = (symbols[:, first : first + PIECE] for first in range(0, positions, PIECE))
        return np.concatenate([self.advance(piece, caches) for piece in pieces], axis=1)

    def _piece(self, symbols: IntArray, caches: list[LayerCache], probabilities: FloatArray) -> None:
        embedded = self._embedding[symbols]
        x = embedded.copy()
        for layer, cache in zip(self._layers, caches, strict=True):
            cache.make_room(symbols.shape[1])
            kernel.advance(
                x, embedded, *layer.arguments, cache.keys, cache.values, cache.lengths, layer.window,
                cache.tail, cache.tail_mlp,
            )  # fmt: skip
        kernel.predict(x.reshape(symbols.size, -1), *self._last, probabilities.reshape(symbols.size, -1))
