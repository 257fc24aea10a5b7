"""The transformer in fixed point on NumPy: float64 products by BLAS, compiled loops for what stands between them.

One function moves any number of streams on by any number of positions, so that reading a text at once and reading it
symbol by symbol are the same code but for the attention, and the same numbers.
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

#: Positions that are computed together, and queries that attend together.
PIECE, QUERIES = 512, 128
#: Up to this many rows a product reads 16-bit weights in a loop of its own instead of 64-bit ones in BLAS.
FEW = 4
LIMIT, RESIDUAL_LIMIT = float(fixed.ACTIVATION_LIMIT), 2.0**fixed.RESIDUAL_LIMIT
FACTOR_SCALE = 2.0**-fixed.FACTOR

Int16Array = npt.NDArray[np.int16]


class Matrix:
    """A weight matrix ``(outputs, inputs)`` of 16-bit integers with ``bits`` fraction bits."""

    def __init__(self, weights: Weights, name: str) -> None:
        self.bits = weights.bits[name]
        self.short = np.ascontiguousarray(weights.tensors[name], np.int16)
        self._double = np.ascontiguousarray(self.short.T, np.float64)

    def __call__(self, rows: FloatArray) -> FloatArray:
        """Rows ``(rows, inputs)`` of 16-bit integers to exact sums ``(rows, outputs)``."""
        if len(rows) > FEW:
            return rows @ self._double
        sums = np.empty((len(rows), len(self.short)))
        kernel.multiply(self.short, rows.astype(np.int16), sums)
        return sums


class Layer:
    """The integers of one layer, as float64."""

    def __init__(self, weights: Weights, index: int, norm: float, epsilon: float, table: IntArray) -> None:
        config, name = weights.config, f"layers.{index}."
        self.window = config.windows[index]
        exponents = config.slope_exponents(index)
        unit = 2 * fixed.ACTIVATION
        self.slopes = np.array([2.0 ** (unit - e) if e else 0.0 for e in exponents])
        self.qkv, self.out, self.up, self.down = (Matrix(weights, name + part) for part in ("qkv", "out", "up", "down"))
        self.near, self.near_mlp, self.keep, self.again, sharpness = (
            weights.tensors[name + part].astype(np.float64)
            for part in ("near", "near_mlp", "keep", "again", "sharpness")
        )
        root = np.sqrt(np.float64(config.head)) * 2.0**fixed.ACTIVATION
        self.scales = np.append(sharpness * 2.0**-fixed.SHARPNESS * root, root)
        #: Of the sums of the four products and of squares, to what they become.
        residual, heads, hidden = (weights.bits[key] for key in ("residual", name + "heads", name + "hidden"))
        relu = fixed.relu_bits(hidden)
        self.qkv_scale = 2.0 ** (heads - fixed.ACTIVATION - self.qkv.bits)
        self.out_scale = 2.0 ** (residual - heads - self.out.bits)
        self.up_scale = 2.0 ** (relu - fixed.ACTIVATION - self.up.bits)
        self.square_scale = 2.0 ** (hidden - 2 * relu)
        self.down_scale = 2.0 ** (residual - hidden - self.down.bits)
        self.epsilon = float(config.head) * 2.0 ** (2 * heads - fixed.EPSILON_BITS)
        #: What :func:`~._kernel.step` takes of a layer; ``norm`` and ``epsilon`` are the stream's.
        self.step_arguments = (
            (
                *(self.keep, self.again, self.near, self.near_mlp),
                *(matrix.short for matrix in (self.qkv, self.out, self.up, self.down)),
                *(self.scales, self.slopes, table),
            ),
            (FACTOR_SCALE, norm, self.qkv_scale, self.out_scale, self.up_scale, self.square_scale, self.down_scale),
            (epsilon, self.epsilon),
            (LIMIT, RESIDUAL_LIMIT),
        )


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
        self._embedding = weights.tensors["embedding"].astype(np.float64)
        self._unembedding = Matrix(weights, "unembedding")
        self._attention_table = fixed.powers_table(fixed.ATTENTION).astype(np.int32)
        self._output_table = fixed.powers_table(fixed.OUTPUT).astype(np.int64)
        self._epsilon = float(config.width) * 2.0 ** (2 * weights.bits["residual"] - fixed.EPSILON_BITS)
        self._scale = float(np.sqrt(np.float64(config.width))) * 2.0**fixed.ACTIVATION
        self._layers = [
            Layer(weights, index, self._scale, self._epsilon, self._attention_table) for index in range(config.layers)
        ]

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
        probabilities = np.empty((streams, positions, self.config.vocabulary))
        for first in range(0, positions, PIECE):
            part = np.ascontiguousarray(symbols[:, first : first + PIECE])
            probabilities[:, first : first + PIECE] = self._piece(part, caches)
        return probabilities

    def _piece(self, symbols: IntArray, caches: list[LayerCache]) -> FloatArray:
        streams, positions = symbols.shape
        embedded = self._embedding[symbols.reshape(-1)]
        x = embedded.copy()
        run = self._step if positions == 1 and streams <= FEW else self._layer
        for layer, cache in zip(self._layers, caches, strict=True):
            cache.make_room(positions)
            run(x, embedded, layer, cache)
        h = np.empty_like(x)
        kernel.normalise(x, self._epsilon, self._scale, LIMIT, h)
        logits = self._unembedding(h)
        probabilities = np.empty_like(logits)
        scale = 2.0 ** (fixed.TABLE - fixed.ACTIVATION - self._unembedding.bits)
        kernel.distribute(logits, scale, self._output_table, probabilities)
        return probabilities.reshape(streams, positions, -1)

    def _layer(self, x: FloatArray, embedded: FloatArray, layer: Layer, cache: LayerCache) -> None:
        """Many positions by matrix products; x and embedded ``(streams * positions, width)``."""
        h = np.empty((len(cache.lengths), len(x) // len(cache.lengths), x.shape[1]))
        kernel.mix(x, embedded, layer.keep, layer.again, FACTOR_SCALE, RESIDUAL_LIMIT)
        self._convolve(x, layer.near, cache.tail, h)
        kernel.add(x, layer.out(self._attention(h, layer, cache)), layer.out_scale, RESIDUAL_LIMIT)
        self._convolve(x, layer.near_mlp, cache.tail_mlp, h)
        hidden = layer.up(h.reshape(x.shape))
        kernel.square_positive(hidden, layer.up_scale, layer.square_scale, LIMIT)
        kernel.add(x, layer.down(hidden), layer.down_scale, RESIDUAL_LIMIT)

    def _step(self, x: FloatArray, embedded: FloatArray, layer: Layer, cache: LayerCache) -> None:
        """One position of a few streams, in one compiled call; x and embedded ``(streams, width)``."""
        kernel.step(
            x, embedded, *layer.step_arguments, cache.keys, cache.values, cache.lengths, layer.window,
            cache.tail, cache.tail_mlp,
        )  # fmt: skip

    def _convolve(self, x: FloatArray, taps: FloatArray, tail: FloatArray, h: FloatArray) -> None:
        kernel.normalise_and_convolve(
            x.reshape(h.shape), self._epsilon, self._scale, taps, FACTOR_SCALE, LIMIT, tail, h
        )

    def _attention(self, h: FloatArray, layer: Layer, cache: LayerCache) -> FloatArray:
        """What each position attends to: ``(streams * positions, width)`` activations. Moves the cache on."""
        streams, positions, width = h.shape
        sums = layer.qkv(h.reshape(-1, width)).reshape(streams, positions, 3 * width)
        queries = np.empty((streams, self.config.heads, positions, self.config.head))
        kernel.split_heads(
            sums, layer.qkv_scale, layer.epsilon, layer.scales, LIMIT,
            cache.lengths, queries, cache.keys, cache.values,
        )  # fmt: skip
        out = np.empty((streams, positions, width))
        if positions == 1:
            kernel.attend(
                queries, cache.keys, cache.values, cache.lengths, layer.window, layer.slopes,
                self._attention_table, LIMIT, out[:, 0],
            )  # fmt: skip
        else:
            for stream in range(streams):
                for head in range(self.config.heads):
                    self._attend(queries[stream, head], layer, cache, stream, head, out[stream])
        cache.lengths += positions
        return out.reshape(-1, width)

    def _attend(
        self, queries: FloatArray, layer: Layer, cache: LayerCache, stream: int, head: int, out: FloatArray
    ) -> None:
        """One head's attention at some positions in a row; ``out`` ``(positions, width)``."""
        size, length = self.config.head, int(cache.lengths[stream])
        for first in range(0, len(queries), QUERIES):
            part = queries[first : first + QUERIES]
            here = length + first
            low, high = max(0, here - layer.window + 1), here + len(part)
            scores = part @ cache.keys[stream, head, low:high].astype(np.float64).T
            totals = np.empty(len(part))
            kernel.exponentiate(scores, here, low, layer.window, layer.slopes[head], self._attention_table, totals)
            sums = scores @ cache.values[stream, head, low:high].astype(np.float64)
            kernel.divide(sums, totals, LIMIT, out[first : first + QUERIES, head * size : (head + 1) * size])
