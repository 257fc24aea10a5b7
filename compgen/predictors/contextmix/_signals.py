"""Numbers instead of symbols: what ``cm`` makes of pixels and of sound, in compiled loops.

``_kernel`` calls two functions of this file: :func:`read` when a byte is known, :func:`split` before each bit.
"""

from __future__ import annotations

from compgen.predictors.contextmix._fields import (
    FAR,
    I64,
    IMAGE,
    KIND,
    MEANS,
    NEAR,
    POSITION,
    TAPS,
    WIDTH,
    U,
    inlined,
)


@inlined
def _below(m, x, k):  # type: ignore[no-untyped-def]
    """P(byte < x) in 65536ths under the logistic distribution with mean k."""
    if x <= 0:
        return 0
    if x >= 256:
        return 65536
    logit = ((x << 8) - 128 - m.means[k]) * m.sharpness[k] >> 12
    return I64(m.squash[U(min(max(logit, -3072), 3071) + 3072)])


@inlined
def split(m, at, c0, bit):  # type: ignore[no-untyped-def]
    """Inputs from numeric predictions of the byte: how the mass of a distribution around each is split by this bit."""
    size = 256 >> bit
    low = (c0 << (8 - bit)) & 255
    for k in range(m.settings[MEANS]):
        start = _below(m, low, k)
        end = _below(m, low + size, k)
        part = ((end - _below(m, low + (size >> 1), k)) << 4) + (size >> 1)
        p = (part << 12) // (((end - start) << 4) + size)
        m.inputs[at + U(k)] = m.stretch[U(min(max(p, 0), 4095))]


@inlined
def _size_class(x):  # type: ignore[no-untyped-def]
    """0 for 0, then two classes a factor of two, 15 at most."""
    size = 0
    while x > 3:
        x >>= 1
        size += 2
    return min(size + x, 15)


@inlined
def _neighbours(m, buffer):  # type: ignore[no-untyped-def]
    """Pixels around the next one: W, N, NW, NE, WW, NN, NNE to m.around; what is missing is taken from beside it."""
    position = m.registers[POSITION]
    width = m.settings[WIDTH]
    column = position % width
    start = position - width
    n = I64(buffer[start]) if start >= 0 else I64(buffer[position - 1])
    w = I64(buffer[position - 1]) if column > 0 else n
    nw = I64(buffer[start - 1]) if start >= 0 and column > 0 else n
    ne = I64(buffer[start + 1]) if start >= 0 and column + 1 < width else n
    m.around[0] = w
    m.around[1] = n
    m.around[2] = nw
    m.around[3] = ne
    m.around[4] = I64(buffer[position - 2]) if column > 1 else w
    m.around[5] = I64(buffer[start - width]) if start >= width else n
    m.around[6] = I64(buffer[start - width + 1]) if start >= width and column + 1 < width else ne
    m.around[7] = I64(buffer[start + 2]) if start >= 0 and column + 2 < width else ne


@inlined
def _adapt(m, c):  # type: ignore[no-untyped-def]
    """Learn from byte c: the errors of the means, and the weights of the two linear predictors (normalised LMS)."""
    value = c << 8
    for k in range(m.settings[MEANS]):
        cell = U(k * 16 + m.activity[0])
        m.errors[cell] += (abs(value - m.means[k]) - m.errors[cell] + 8) >> 4
    energy = I64(16)
    for i in range(TAPS):
        energy += m.taps[i] * m.taps[i]
    for k in range(2):
        step = ((value - m.means[k]) << (14 if k else 12)) // energy
        for i in range(TAPS):
            m.linear[k * TAPS + i] += (step * m.taps[i] + 128) >> 8
    m.activity[1] = abs(value - m.means[0]) >> 8


@inlined
def _extrapolate(m, base):  # type: ignore[no-untyped-def]
    """The means of the two linear predictors, from the taps, which are relative to base."""
    for k in range(2):
        total = I64(0)
        for i in range(TAPS):
            total += m.linear[k * TAPS + i] * m.taps[i]
        m.means[k] = min(max((base << 8) + (total >> 8), 0), 65280)


@inlined
def _sharpen(m):  # type: ignore[no-untyped-def]
    """A logistic distribution whose mean absolute error is e has logit 2 ln 2 (x - mean) / e."""
    for k in range(m.settings[MEANS]):
        m.sharpness[k] = 1453327 // max(m.errors[U(k * 16 + m.activity[0])], 24)


@inlined
def _read_image(m, buffer):  # type: ignore[no-untyped-def]
    """Contexts and means from the pixels around the next one."""
    _neighbours(m, buffer)
    w, n, nw, ne, ww, nn = m.around[0], m.around[1], m.around[2], m.around[3], m.around[4], m.around[5]
    across = abs(w - ww) + abs(n - nw) + abs(n - ne)
    down = abs(w - nw) + abs(n - nn) + abs(ne - m.around[6])
    m.activity[0] = _size_class(across + down + m.activity[1])
    base = (w + n) >> 1
    for i in range(8):
        m.taps[i] = m.around[i] - base
    _extrapolate(m, base)
    low, high = min(w, n), max(w, n)
    plane = w + n - nw
    median = min(max(plane, low), high)
    m.means[2] = median << 8
    m.means[3] = min(max(((w + n) << 7) + ((ne - nw) << 6), 0), 65280)
    m.means[4] = w << 8
    m.means[5] = n << 8
    _sharpen(m)
    mean = (m.means[0] + 128) >> 8
    m.words[NEAR] = (
        U(w)
        | U(n) << U(8)
        | U(nw) << U(16)
        | U(ne) << U(24)
        | U(mean) << U(32)
        | U(median) << U(40)
        | U(ww) << U(48)
        | U(nn) << U(56)
    )
    error = min(m.activity[1] >> 1, 7)
    m.words[FAR] = (
        U(m.activity[0])
        | U(error) << U(8)
        | U(w >> 3) << U(16)
        | U(n >> 3) << U(24)
        | U(mean >> 2) << U(32)
        | U(_size_class(across) << 4 | _size_class(down)) << U(40)
        | U(ne >> 3) << U(48)
        | U(nw >> 3) << U(56)
    )


@inlined
def _read_audio(m, buffer):  # type: ignore[no-untyped-def]
    """Contexts and means from the samples before the next one."""
    position = m.registers[POSITION]
    for i in range(TAPS):
        m.taps[i] = I64(buffer[position - 1 - i]) - 128 if i < position else 0
    _extrapolate(m, 128)
    a, b, c = m.taps[0], m.taps[1], m.taps[2]
    m.means[2] = (a + 128) << 8
    m.means[3] = min(max(2 * a - b + 128, 0), 255) << 8
    m.means[4] = min(max(3 * a - 3 * b + c + 128, 0), 255) << 8
    m.means[5] = (m.means[0] + m.means[1]) >> 1
    m.activity[2] += ((m.activity[1] << 8) - m.activity[2]) >> 3
    m.activity[0] = _size_class((m.activity[2] >> 5) + (abs(a - b) >> 1))
    _sharpen(m)
    mean = (m.means[0] + 128) >> 8
    quick = (m.means[1] + 128) >> 8
    m.words[NEAR] = (
        U(a + 128)
        | U(b + 128) << U(8)
        | U(c + 128) << U(16)
        | U(mean) << U(24)
        | U(quick) << U(32)
        | U(m.means[3] >> 8) << U(40)
        | U(m.means[4] >> 8) << U(48)
    )
    m.words[FAR] = (
        U(m.activity[0])
        | U(min(m.activity[1], 15)) << U(8)
        | U((a + 128) >> 2) << U(16)
        | U((b + 128) >> 2) << U(24)
        | U(mean >> 1) << U(32)
        | U(_size_class(m.activity[2] >> 5)) << U(40)
    )


@inlined
def read(m, buffer, c):  # type: ignore[no-untyped-def]
    """Learn from byte c, and make contexts and means for the next."""
    _adapt(m, c)
    if m.settings[KIND] == IMAGE:
        _read_image(m, buffer)
    else:
        _read_audio(m, buffer)
