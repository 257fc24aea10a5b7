"""The fixed-point transformer once more, in Python's whole numbers and fractions: slow, short, independent.

Written from the description in ``fixed.py`` and the names in ``weights.py``; shares no code with the engines. Where
they round a quotient in float64 and then to a whole number, so does this, with ``float`` and ``math``.
"""

from __future__ import annotations

import math

from compgen.predictors.transformer.weights import Weights


def shifted(value: int, bits: int) -> int:
    """``floor(value / 2**bits + 1/2)``."""
    return (value + (1 << (bits - 1))) >> bits if bits > 0 else value << -bits


def clipped(value: int, limit: int) -> int:
    return max(-limit, min(limit, value))


def unit(values: list[int], epsilon: float, scale: float) -> list[int]:
    factor = scale / math.sqrt(float(sum(v * v for v in values) + epsilon))
    return [clipped(math.floor(v * factor + 0.5), 32767) for v in values]


def product(matrix: list[list[int]], row: list[int]) -> list[int]:
    return [sum(a * b for a, b in zip(weights, row, strict=True)) for weights in matrix]


def power(below: int, scale_bits: int) -> int:
    """``2**(scale_bits - below / 1024)`` as the table has it, truncated: 50 digits are enough for its rounding."""
    from decimal import Decimal, getcontext

    getcontext().prec = 50
    entry = int((Decimal(2) ** (Decimal(scale_bits) - Decimal(below & 1023) / 1024) + Decimal("0.5")) // 1)
    return entry >> min(below >> 10, 63)


def probabilities(weights: Weights, symbols: list[int]) -> list[list[float]]:
    """P(next symbol) after each of ``symbols``, the first of which is the start symbol."""
    config = weights.config
    tensors = {name: tensor.tolist() for name, tensor in weights.tensors.items()}
    width, head = config.width, config.head
    bits = weights.bits
    stream_scale, epsilon = math.sqrt(width) * 1024.0, width * 4.0 ** bits["residual"] / 65536
    head_scale = math.sqrt(head) * 1024.0
    embedded = [tensors["embedding"][s] for s in symbols]
    stream = [list(row) for row in embedded]

    def convolved(name: str) -> list[list[int]]:
        rows = [[0] * width] * 3 + [unit(x, epsilon, stream_scale) for x in stream]
        taps = tensors[name]
        return [
            [clipped(shifted(sum(rows[t + k][i] * taps[k][i] for k in range(4)), 12), 32767) for i in range(width)]
            for t in range(len(stream))
        ]

    def add(name: str, rows: list[list[int]], fraction: int) -> None:
        for x, row in zip(stream, rows, strict=True):
            for i, total in enumerate(product(tensors[name], row)):
                x[i] = clipped(x[i] + shifted(total, fraction + bits[name] - bits["residual"]), 1 << 21)

    for layer in range(config.layers):
        name = f"layers.{layer}."
        for x, e in zip(stream, embedded, strict=True):
            for i in range(width):
                total = x[i] * tensors[name + "keep"][i] + e[i] * tensors[name + "again"][i]
                x[i] = clipped(shifted(total, 12), 1 << 21)
        sums = [product(tensors[name + "qkv"], h) for h in convolved(name + "near")]
        down = 10 + bits[name + "qkv"] - bits[name + "heads"]
        qkv = [[clipped(shifted(v, down), 32767) for v in row] for row in sums]
        head_epsilon = head * 4.0 ** bits[name + "heads"] / 65536
        attended: list[list[int]] = [[] for _ in stream]
        for h, exponent in enumerate(config.slope_exponents(layer)):
            sharpness = tensors[name + "sharpness"][h] * 2.0**-12 * head_scale
            queries, keys, values = ([row[i * width + h * head :][:head] for row in qkv] for i in range(3))
            queries = [unit(q, head_epsilon, sharpness) for q in queries]
            keys = [unit(k, head_epsilon, head_scale) for k in keys]
            slope = 1 << (20 - exponent) if exponent else 0
            for t, query in enumerate(queries):
                seen = range(max(0, t - config.windows[layer] + 1), t + 1)
                scores = [sum(a * b for a, b in zip(query, keys[j], strict=True)) - slope * (t - j) for j in seen]
                shares = [power((max(scores) - score) >> 10, 20) for score in scores]
                for c in range(head):
                    total = sum(share * values[j][c] for share, j in zip(shares, seen, strict=True))
                    attended[t].append(clipped(math.floor(float(total) / float(sum(shares)) + 0.5), 32767))
        add(name + "out", attended, bits[name + "heads"])
        up = [product(tensors[name + "up"], h) for h in convolved(name + "near_mlp")]
        relu = (15 + bits[name + "hidden"]) // 2
        hidden = [[max(0, min(32767, shifted(v, 10 + bits[name + "up"] - relu))) for v in row] for row in up]
        squares = [[min(32767, shifted(v * v, 2 * relu - bits[name + "hidden"])) for v in row] for row in hidden]
        add(name + "down", squares, bits[name + "hidden"])

    result = []
    for x in stream:
        sums = product(tensors["unembedding"], unit(x, epsilon, stream_scale))
        logits = [shifted(v, bits["unembedding"]) for v in sums]
        shares = [max(1, power(max(logits) - logit, 40)) for logit in logits]
        result.append([float(share) / float(sum(shares)) for share in shares])
    return result
