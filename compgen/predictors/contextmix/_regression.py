"""Linear prediction that learns, in integers: least squares over a fading past, and normalised LMS with long memory.

Least squares keeps the fading covariances of the taps (what is predicted from) with each other and with the target.
Every few numbers the normal equations are solved by the factors L D L' of the covariance matrix. Scaled to 2**30 on the
diagonal, with L in units of 2**-24, every sum below stays under 2**62: the matrix is positive semidefinite, so that
sum(|l_ik l_jk d_k|) <= sqrt(r_ii r_jj), and the ridge keeps l_ij**2 <= r_ii / d_j small. Rounding makes the solution
an approximate one, but the same one everywhere.
"""

from __future__ import annotations

from compgen.predictors.contextmix._fields import I32, I64, lent

#: Fractional bits of the covariances, of L, and of the weights.
_FRACTION = 12
_FACTOR = 24
WEIGHT = 16
#: Weights are bounded by 2**_LARGEST.
_LARGEST = 6
#: NLMS: fractional bits of its weights.
LONG = 20


@lent
def observe(covariance, first, taps, n, value, shift):  # type: ignore[no-untyped-def]
    """Let the covariances from ``first`` on fade by 2**-shift and take in ``n`` taps and what they were to predict."""
    half = I64(1) << (shift - 1)
    for i in range(n):
        row = first + i * n
        scaled = taps[i] << _FRACTION
        for j in range(i + 1):
            covariance[row + j] += (scaled * taps[j] - covariance[row + j] + half) >> shift
    row = first + n * n
    scaled = value << _FRACTION
    for j in range(n):
        covariance[row + j] += (scaled * taps[j] - covariance[row + j] + half) >> shift


@lent
def solve(covariance, first, n, factor, ridge, solution, at):  # type: ignore[no-untyped-def]
    """Weights (``solution`` from ``at`` on, units of 2**-WEIGHT) that were best for what has been observed.

    ``factor``: room for n * n entries of L, then n of D and n of the right side. ``ridge``: what is added to the
    diagonal is 2**-ridge of its largest entry.
    """
    largest = I64(1)
    for i in range(n):
        largest = max(largest, covariance[first + i * n + i])
    down = I64(0)
    while largest >> down >= 1 << 30:
        down += 1
    up = I64(0)
    while down == 0 and largest << up < 1 << 29:
        up += 1
    added = max((largest << up >> down) >> ridge, 1)
    d = n * n
    right = d + n
    # factor: row i of L times D is made in place, then divided
    for i in range(n):
        row = i * n
        for j in range(i):
            total = I64(0)
            other = j * n
            for k in range(j):
                total += factor[row + k] * factor[other + k]
            factor[row + j] = (covariance[first + row + j] << up >> down) - (total >> _FACTOR)
        rest = (covariance[first + row + i] << up >> down) + added
        side = covariance[first + n * n + i] << up >> down
        for k in range(i):
            entry = (factor[row + k] << _FACTOR) // factor[d + k]
            rest -= entry * factor[row + k] >> _FACTOR
            side -= entry * factor[right + k] >> _FACTOR
            factor[row + k] = entry
        factor[d + i] = max(rest, added)
        factor[right + i] = side
    bound = I64(1) << (WEIGHT + _LARGEST)
    for i in range(n - 1, -1, -1):
        total = I64(0)
        for k in range(i + 1, n):
            total += factor[k * n + i] * solution[at + k]
        w = (factor[right + i] << WEIGHT) // factor[d + i] - (total >> _FACTOR)
        solution[at + i] = min(max(w, -bound), bound)


@lent
def dot(taps, start, weights, at, n):  # type: ignore[no-untyped-def]
    """Sum of taps times weights."""
    total = I64(0)
    for i in range(n):
        total += I64(taps[start + i]) * I64(weights[at + i])
    return total


@lent
def follow(weights, at, past, start, n, error, energy, speed):  # type: ignore[no-untyped-def]
    """A step of normalised LMS against ``error`` (256ths): speed, in 2**-16ths, is how much of it would be gone."""
    step = (error * speed << 8) // energy  # of 2**-(8 + 16 + 8) error / energy
    for i in range(n):
        weights[at + i] += I32((step * past[start + i] + 2048) >> 12)
