"""The fixed tables of ``cm``: the logistic function and its inverse, and the state machine of bit histories.

All are computed from their definitions with operations that IEEE 754 rounds correctly, so they hold the same integers
on every machine (the tests keep their checksums).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from compgen import numerics

#: A logit is 256 times the natural logarithm of the odds; :func:`squash` covers [-SQUASH_LIMIT, SQUASH_LIMIT).
SQUASH_LIMIT = 3072
#: ln 2
_LN2 = 0.6931471805599453

#: A history with (smaller count, larger count) is bounded: more of the larger is not remembered.
BOUNDS = (40, 30, 14, 8, 6, 5)


@cache
def stretch() -> npt.NDArray[np.int32]:
    """Logit of the probabilities (i + 1/2) / 4096: int32 ``(4096,)``."""
    p = (np.arange(4096) + 0.5) / 4096
    logit = (numerics.log2(p) - numerics.log2(1.0 - p)) * (256 * _LN2)
    return np.asarray(np.floor(logit + 0.5), dtype=np.int32)


@cache
def lengths() -> npt.NDArray[np.int32]:
    """Bits, in 4096ths, of what had the probability (i + 1/2) / 4096: int32 ``(4096,)``."""
    return np.asarray(np.floor(-4096 * numerics.log2((np.arange(4096) + 0.5) / 4096) + 0.5), dtype=np.int32)


@cache
def logarithms() -> npt.NDArray[np.int32]:
    """Logarithms of 1 + i / 4096 in units of a logit's 64th: int32 ``(4096,)``."""
    return np.asarray(np.floor(numerics.log2(1 + np.arange(4096) / 4096) * (64 * 256 * _LN2) + 0.5), dtype=np.int32)


@cache
def squash() -> npt.NDArray[np.int32]:
    """Probability in 65536ths, 1 to 65535, of the logits from -SQUASH_LIMIT on: int32 ``(2 SQUASH_LIMIT,)``."""
    logit = np.arange(-SQUASH_LIMIT, SQUASH_LIMIT) / 256
    p = 65536 / (1.0 + numerics.exp2(-logit / _LN2))
    return np.clip(np.floor(p + 0.5), 1, 65535).astype(np.int32)


@cache
def reciprocals() -> npt.NDArray[np.int32]:
    """The rate of an average that has seen n values, 65536 / (n + 1.6): int32 ``(1024,)``."""
    return np.asarray(np.floor(65536 / (np.arange(1024) + 1.6)), dtype=np.int32)


def _after(n0: int, n1: int, bit: int) -> tuple[int, int]:
    """The counts after one more bit: what speaks against it is partly forgotten, then both are bounded."""
    same, other = (n1, n0) if bit else (n0, n1)
    same += 1
    if other > 2:
        other = (0, 1, 2, 2, 3, 3, 4, 4, 5, 5)[other] if other < 10 else 5 + (other > 16) + (other > 28)
    while True:
        low, high = min(same, other), max(same, other)
        if low < len(BOUNDS) and high <= BOUNDS[low]:
            break
        if same >= other:  # at the bound: forget something of the opposite only if needed
            same -= 1
        else:
            other -= 1
    return (other, same) if bit else (same, other)


@cache
def histories() -> tuple[tuple[int, int, int], ...]:
    """The states in use, (zeros, ones, last bit), in order of how much they have seen; state 0 has seen nothing."""
    seen = {(0, 0, 0)}
    fresh = list(seen)
    while fresh:
        found = []
        for n0, n1, _ in fresh:
            for bit in (0, 1):
                state = (*_after(n0, n1, bit), bit)
                if state not in seen:
                    seen.add(state)
                    found.append(state)
        fresh = found
    return tuple(sorted(seen, key=lambda s: (s[0] + s[1], s)))


@cache
def transitions() -> npt.NDArray[np.uint8]:
    """The state after state s and bit b at ``[2 s + b]``: uint8 ``(512,)``."""
    states = histories()
    number = {state: i for i, state in enumerate(states)}
    table = np.zeros(512, dtype=np.uint8)
    for i, (n0, n1, _) in enumerate(states):
        for bit in (0, 1):
            table[2 * i + bit] = number[(*_after(n0, n1, bit), bit)]
    return table


@cache
def first_guesses() -> npt.NDArray[np.uint32]:
    """Where the probability of a 1 after each state starts, in units of 2**-32: uint32 ``(256,)``."""
    table = np.full(256, 1 << 31, dtype=np.uint32)
    for i, (n0, n1, _) in enumerate(histories()):
        table[i] = ((1 << 22) * (2 * n1 + 1) // (2 * n0 + 2 * n1 + 2)) << 10
    return table


@cache
def _first_matched() -> npt.NDArray[np.uint32]:
    p = 1 - 1 / (np.arange(64) + 2.0)
    ones = np.floor(p * 4194303).astype(np.uint32)
    return np.stack([(4194303 - ones) << 10, ones << 10], axis=1)


def first_matched() -> npt.NDArray[np.uint32]:
    """How sure a match is to begin with, by match model, length and bit expected: uint32 ``(2 * 64 * 2,)``."""
    return np.concatenate([_first_matched().reshape(-1)] * 2)
