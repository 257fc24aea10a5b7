"""Numbers instead of symbols: what ``cm`` makes of pixels and of sound, in compiled loops.

``_kernel`` calls two functions of this file: :func:`read` when a byte is known, :func:`split` before each bit.
"""

from __future__ import annotations

from compgen.predictors.contextmix._fields import (
    AROUND,
    AROUND_X,
    AROUND_Y,
    AUDIO16,
    CHANNELS,
    CLASSES,
    FADING_A,
    FADING_B,
    FAR,
    I32,
    I64,
    IMAGE,
    KIND,
    MEANS,
    NEAR,
    PACE,
    PHASE,
    POSITION,
    RIDGE_A,
    RIDGE_B,
    STAGES,
    STRIDE,
    TAPS,
    TAPS_A,
    TAPS_B,
    TOTAL,
    WIDTH,
    U,
    inlined,
    lent,
)
from compgen.predictors.contextmix._regression import dot, follow, observe, solve


@inlined
def _probability(m, logit):  # type: ignore[no-untyped-def]
    return I64(m.squash[U(min(max(logit, -3072), 3071) + 3072)])


@inlined
def _below(m, x, k):  # type: ignore[no-untyped-def]
    """P(number < x) in 65536ths under the logistic distribution with mean k."""
    return _probability(m, ((x << 8) - 128 - m.means[k]) * m.sharpness[k] >> 20)


@inlined
def _cut(m, x, k):  # type: ignore[no-untyped-def]
    """What distribution k gives to bytes below x, in whatever unit: of a byte, of a low byte, of a high byte."""
    if m.settings[KIND] != AUDIO16:
        return _below(m, x, k)
    if (m.registers[POSITION] - m.settings[PHASE]) & 1 == 0:
        total = I64(0)
        start = m.origins[k] + x
        for j in range(m.reaches[k]):
            total += _below(m, start + (j << 8), k)
        return total
    if m.reaches[k] == 0:  # wide: as good as a continuous distribution
        return _below(m, m.origins[k] + (x << 8), k)
    return m.masses[U(k * 16 + min(max(x - m.origins[k], 0), 9))]


@inlined
def split(m, at, c0, bit):  # type: ignore[no-untyped-def]
    """Inputs from numeric predictions of the byte: how the mass of a distribution around each is split by this bit.

    What is below the middle of each node of the byte's tree is kept, as its descendants' intervals start or end there.
    """
    size = I64(256 >> bit)
    middle = ((c0 << (8 - bit)) & 255) + (size >> 1)
    before = c0  # the node whose middle is our low end: that of the last 1
    while before & 1 == 0:
        before >>= 1
    before >>= 1
    after = c0  # and our high end: that of the last 0
    while after & 1 == 1:
        after >>= 1
    after >>= 1
    if after == 0:
        after = 256
    for k in range(m.settings[MEANS]):
        row = k * 257
        here = I64(_cut(m, middle, k))
        m.cuts[U(row + c0)] = here
        start = m.cuts[U(row + before)]
        end = m.cuts[U(row + after)]
        part = ((end - here) << 4) + (size >> 1)
        p = (part << 12) // (((end - start) << 4) + size)
        m.inputs[at + U(k)] = m.stretch[U(min(max(p, 0), 4095))]


@inlined
def _prepare(m):  # type: ignore[no-untyped-def]
    """The ends of the whole interval of bytes."""
    for k in range(m.settings[MEANS]):
        if m.settings[KIND] == AUDIO16:
            m.cuts[k * 257] = _cut(m, 0, k)
            m.cuts[k * 257 + 256] = _cut(m, 256, k)
        else:
            m.cuts[k * 257] = 0
            m.cuts[k * 257 + 256] = 65536


@inlined
def _size_class(x):  # type: ignore[no-untyped-def]
    """0 for 0, then two classes a factor of two, 31 at most."""
    size = 0
    while x > 3:
        x >>= 1
        size += 2
    return min(size + x, 31)


@inlined
def _adapt(m, c):  # type: ignore[no-untyped-def]
    """Learn from byte c: the errors of the means, and the weights of the two linear predictors (normalised LMS)."""
    value = c << 8
    for k in range(m.settings[MEANS]):
        cell = U(k * CLASSES + m.activity[0])
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
        m.sharpness[k] = 372051542 // max(m.errors[U(k * CLASSES + m.activity[0])], 24)


@inlined
def _place_of(m, position):  # type: ignore[no-untyped-def]
    """Channel, column and row of a position; what comes before the first row is in rows below 0."""
    channels = m.settings[CHANNELS]
    stride = m.settings[STRIDE]
    position -= m.settings[PHASE]
    row = position // stride
    position -= row * stride
    return position % channels, position // channels, row


@lent
def _neighbours(m, buffer, position, column, row):  # type: ignore[no-untyped-def]
    """Numbers of this channel around the next one to m.around; what is missing is taken from beside it."""
    n = m.settings[AROUND]
    width = m.settings[WIDTH]
    if row >= 4 and column >= 4 and column + 4 < width:
        for i in range(n):
            m.around[i] = buffer[position - m.offsets[i]]
        return
    channels = m.settings[CHANNELS]
    stride = m.settings[STRIDE]
    left = I64(buffer[position - channels]) if position >= channels else I64(128)
    for i in range(n):
        x = column + AROUND_X[i]
        y = row - AROUND_Y[i]
        if AROUND_Y[i] == 0 and x < 0:
            x = 0
            y = row - 1
        x = min(max(x, 0), width - 1)
        at = position + (x - column) * channels - (row - max(y, 0)) * stride
        if row <= 0 and (AROUND_Y[i] > 0 or column + AROUND_X[i] < 0):
            at = -1
        m.around[i] = I64(buffer[at]) if 0 <= at < position else left


@lent
def _adapt_image(m, c, channel):  # type: ignore[no-untyped-def]
    """Learn from number c: errors, biases, least squares, normalised LMS."""
    value = c << 8
    for k in range(m.settings[MEANS]):
        cell = k * CLASSES + m.activity[0]
        m.errors[cell] += (abs(value - m.means[k]) - m.errors[cell] + (1 << m.paces[k] >> 1)) >> m.paces[k]
    base = m.activity[3]
    a, b = m.settings[TAPS_A], m.settings[TAPS_B]
    first = channel * ((a + 1) * a + (b + 1) * b)
    second = first + (a + 1) * a
    target = c - base
    observe(m.covariance, first, m.taps, a, target, m.settings[FADING_A])
    observe(m.covariance, second, m.taps, b, target, m.settings[FADING_B])
    count = m.activity[4]
    m.activity[4] = count + 1
    if count % m.settings[PACE] < m.settings[CHANNELS]:
        solve(m.covariance, first, a, m.factor, m.settings[RIDGE_A], m.solution, channel * (a + b))
        solve(m.covariance, second, b, m.factor, m.settings[RIDGE_B], m.solution, channel * (a + b) + a)
    energy = I64(16)
    for i in range(TAPS):
        energy += m.taps[i] * m.taps[i]
    for k in range(2):
        step = ((value - m.means[7 + k]) << (14 if k else 12)) // energy
        at = (channel * 2 + k) * TAPS
        for i in range(TAPS):
            m.linear[at + i] += (step * m.taps[i] + 128) >> 8
    m.activity[1] = abs(value - m.means[0]) >> 4
    for k in range(2):
        cell = m.activity[5 + k]
        m.biases[cell] += (value - m.means[0] - m.biases[cell] + 16) >> 5


@inlined
def _fit_byte(x):  # type: ignore[no-untyped-def]
    return min(max(x, 0), 65280)


@lent
def _read_image(m, buffer, c):  # type: ignore[no-untyped-def]
    """Learn from c; contexts and means from the pixels around the next one."""
    position = m.registers[POSITION]
    channels = m.settings[CHANNELS]
    stride = m.settings[STRIDE]
    channel, column, row = _place_of(m, position - 1)
    _adapt_image(m, I64(c), channel)
    m.trail[(position - 1) % stride] = m.activity[1]
    channel, column, row = _place_of(m, position)
    _neighbours(m, buffer, position, column, row)
    w, n, nw, ne = m.around[0], m.around[1], m.around[2], m.around[3]
    ww, nn, nne = m.around[4], m.around[5], m.around[6]
    at = position % stride  # a row's worth of places; where a row starts does not matter
    here = m.trail[at]  # of the number above, still
    beside = m.trail[at - channels if at >= channels else at]
    after = m.trail[at + channels if at + channels < stride else at]
    across = abs(w - ww) + abs(n - nw) + abs(n - ne)
    down = abs(w - nw) + abs(n - nn) + abs(ne - nne)
    errors = here + after + 2 * beside
    m.activity[0] = min(_size_class(across + down + (errors >> 4)), 15)
    base = (w + n) >> 1
    m.activity[3] = base
    around = m.settings[AROUND]
    for i in range(around):
        m.taps[i] = m.around[i] - base
    other = I64(0)
    for k in range(1, channels):  # the channels of this pixel that are known
        tap = around + 4 * (k - 1)
        if channel >= k and row > 0 and column > 0 and column + 1 < m.settings[WIDTH]:
            up = I64(buffer[position - k - stride])
            left = I64(buffer[position - k - channels])
            middle = (up + left) >> 1
            m.taps[tap] = I64(buffer[position - k]) - middle
            m.taps[tap + 1] = left - middle
            m.taps[tap + 2] = I64(buffer[position - k - stride - channels]) - middle
            m.taps[tap + 3] = I64(buffer[position - k - stride + channels]) - middle
            if k == 1:
                other = m.taps[tap]
        else:
            for i in range(4):
                m.taps[tap + i] = 0
    a, b = m.settings[TAPS_A], m.settings[TAPS_B]
    first = channel * (a + b)
    m.means[0] = _fit_byte((base << 8) + (dot(m.taps, 0, m.solution, first, a) >> 8))
    m.means[1] = _fit_byte((base << 8) + (dot(m.taps, 0, m.solution, first + a, b) >> 8))
    plane = w + n - nw
    median = min(max(plane, min(w, n)), max(w, n))
    m.means[2] = _fit_byte(median + other << 8)
    m.means[3] = _fit_byte(((w + n) << 7) + ((ne - nw) << 6) + (other << 8))
    m.means[4] = _fit_byte(w + other << 8)
    m.means[5] = _fit_byte(n + other << 8)
    for k in range(2):
        m.means[7 + k] = _fit_byte((base << 8) + (dot(m.taps, 0, m.linear, (channel * 2 + k) * TAPS, TAPS) >> 8))
    mean = (m.means[0] + 128) >> 8
    texture = I64(0)
    for i in range(6):
        texture = texture << 1 | (m.around[i] > mean)
    texture = texture << 1 | (2 * n - nn > mean)
    texture = texture << 1 | (2 * w - ww > mean)
    m.activity[5] = (channel << 11) + (texture << 3) + min(_size_class((beside + here) >> 4) >> 1, 7)
    m.activity[6] = (8 + channel << 11) + (min(_size_class(across), 15) << 4 | min(_size_class(down), 15))
    m.means[6] = _fit_byte(m.means[0] + m.biases[m.activity[5]])
    m.means[9] = _fit_byte(m.means[0] + m.biases[m.activity[6]])
    m.means[10] = _fit_byte(n + ne - nne + other << 8)
    m.means[11] = (m.means[0] + m.means[1]) >> 1
    m.means[12] = (m.means[6] + m.means[9]) >> 1
    m.means[13] = _fit_byte(w + ne - n + other << 8)
    _sharpen(m)
    m.words[NEAR] = (
        U(w)
        | U(n) << U(8)
        | U(nw) << U(16)
        | U(ne) << U(24)
        | U(mean) << U(32)
        | U(median) << U(40)
        | U((row & 7) << 3 | column & 7) << U(48)
        | U(nn) << U(56)
    )
    m.words[FAR] = (
        U(m.activity[0])
        | U(min(_size_class(beside >> 3), 7) | channel << 6) << U(8)
        | U(w >> 3) << U(16)
        | U(n >> 3) << U(24)
        | U(mean >> 2) << U(32)
        | U(min(_size_class(across), 15) << 4 | min(_size_class(down), 15)) << U(40)
        | U(texture) << U(48)
        | U((m.means[6] + 128) >> 8) << U(56)
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
    m.activity[0] = min(_size_class((m.activity[2] >> 5) + (abs(a - b) >> 1)), 15)
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
        | U(min(_size_class(m.activity[2] >> 5), 15)) << U(40)
    )


@inlined
def _sample(buffer, position):  # type: ignore[no-untyped-def]
    """The 16-bit sample before a position; 0 where there is none."""
    if position < 2:
        return I64(0)
    return ((I64(buffer[position - 1]) ^ 128) << 8 | I64(buffer[position - 2])) - 32768


@lent
def _adapt16(m, value, channel):  # type: ignore[no-untyped-def]
    """Learn from a sample: errors, least squares, and the cascade of NLMS filters on what the stage before left."""
    for k in range(m.settings[MEANS]):
        cell = k * CLASSES + m.activity[0]
        m.errors[cell] += (abs((value << 8) - m.means[k]) - m.errors[cell] + (1 << m.paces[k] >> 1)) >> m.paces[k]
    count = m.activity[3]
    m.activity[3] = count + 1
    n = m.settings[TAPS_A]
    narrow = m.settings[TAPS_B]
    first = channel * ((n + 1) * n + (narrow + 1) * narrow)
    second = first + (n + 1) * n
    at = channel * (n + narrow)
    observe(m.covariance, first, m.taps, n, value, m.settings[FADING_A])
    observe(m.covariance, second, m.taps, narrow, value, m.settings[FADING_B])
    if count % m.settings[PACE] < m.settings[CHANNELS]:
        solve(m.covariance, first, n, m.factor, m.settings[RIDGE_A], m.solution, at)
        solve(m.covariance, second, narrow, m.factor, m.settings[RIDGE_B], m.solution, at + n)
    left = (value << 8) - m.means[0]
    weight = channel * TOTAL
    past = 2 * weight
    for stage in range(3):
        length = STAGES[stage]
        state = 3 * channel + stage
        oldest = m.oldest[state]
        error = left - m.corrections[stage]
        follow(
            m.filters,
            weight,
            m.past,
            past + oldest,
            length,
            error,
            m.energies[state] + m.floors[stage],
            m.speeds[stage],
        )
        entry = left + 128 >> 8
        gone = I64(m.past[past + oldest])
        m.energies[state] += entry * entry - gone * gone
        m.past[past + oldest] = I32(entry)
        m.past[past + oldest + length] = I32(entry)
        m.oldest[state] = (oldest + 1) % length
        left = error
        weight += length
        past += 2 * length
    m.activity[1] = abs((value << 8) - m.means[4])


@lent
def _foresee16(m, buffer, channel):  # type: ignore[no-untyped-def]
    """The means for the next sample."""
    position = m.registers[POSITION]
    n = m.settings[TAPS_A]
    step = 2 * m.settings[CHANNELS]
    own = n if step == 2 else m.settings[TAPS_B]
    for i in range(own):
        m.taps[i] = _sample(buffer, position - (i + 1) * step + 2)
    for i in range(own, n):  # the other channel
        m.taps[i] = _sample(buffer, position - (i - own) * step)
    at = channel * (n + m.settings[TAPS_B])
    low, high = I64(-32768) << 8, I64(32767) << 8
    m.means[0] = min(max(dot(m.taps, 0, m.solution, at, n) >> 8, low), high)
    m.means[1] = min(max(dot(m.taps, 0, m.solution, at + n, m.settings[TAPS_B]) >> 8, low), high)
    weight = channel * TOTAL
    past = 2 * weight
    for stage in range(3):
        length = STAGES[stage]
        total = dot(m.past, past + m.oldest[3 * channel + stage], m.filters, weight, length)
        m.corrections[stage] = min(max(total >> 12, -(1 << 23)), 1 << 23)
        before = m.means[0] if stage == 0 else m.means[1 + stage]
        m.means[2 + stage] = min(max(before + m.corrections[stage], low), high)
        weight += length
        past += 2 * length
    m.means[5] = (m.means[4] + m.means[1]) >> 1
    m.means[6] = m.means[4]
    m.means[7] = m.means[4]
    m.activity[2] += ((m.activity[1] << 2) - m.activity[2]) >> 4
    m.activity[0] = _size_class(m.activity[2] >> 9)
    for k in range(m.settings[MEANS]):
        m.sharpness[k] = 372051542 // max(m.errors[k * CLASSES + m.activity[0]], 24)


@inlined
def _expect_low(m):  # type: ignore[no-untyped-def]
    """Where the low byte's distribution is wrapped: how often, from where on."""
    for k in range(m.settings[MEANS]):
        error = m.errors[k * CLASSES + m.activity[0]]
        reach = 1 + (error > 4096) + (error > 12288) + (error > 24576)  # mean absolute errors of 16, 48, 96
        m.reaches[k] = 2 * reach + 1
        m.origins[k] = (m.means[k] >> 16 << 8) - (reach << 8)


@inlined
def _expect_high(m, c):  # type: ignore[no-untyped-def]
    """Given the low byte c, only every 256th number is left: the density at the nine nearest to each mean."""
    for k in range(m.settings[MEANS]):
        nearest = ((m.means[k] >> 8) - c + 128) >> 8
        if m.errors[k * CLASSES + m.activity[0]] > 32768:
            m.reaches[k] = 0
            m.origins[k] = c - 32768 - 128
            continue
        m.reaches[k] = 1
        m.origins[k] = nearest + 128 - 4
        total = I64(0)
        m.masses[k * 16] = 0
        for j in range(9):
            number = c + ((nearest + j - 4) << 8)
            p = _probability(m, ((number << 8) - m.means[k]) * m.sharpness[k] >> 20)
            total += p * (65536 - p) >> 8
            m.masses[k * 16 + 1 + j] = total


@inlined
def _read_audio16(m, buffer, c):  # type: ignore[no-untyped-def]
    position = m.registers[POSITION]
    odd = (position - m.settings[PHASE]) & 1
    if odd == 0:
        sample = (position - m.settings[PHASE]) >> 1
        _adapt16(m, _sample(buffer, position), (sample - 1) % m.settings[CHANNELS])
        _foresee16(m, buffer, sample % m.settings[CHANNELS])
        _expect_low(m)
        expected = (m.means[4] >> 8) & 255
    else:
        _expect_high(m, c)
        expected = ((((m.means[4] >> 8) - c + 128) >> 8) + 128) & 255
    low = c if odd else 0
    last = _sample(buffer, position - odd) + 32768
    error = min(_size_class((m.activity[1] >> 4) * 8 // ((m.activity[2] >> 6) + 1)), 15)
    m.words[NEAR] = (
        U(m.activity[0] | odd << 5)
        | U(expected) << U(8)
        | U(low) << U(16)
        | U(last & 255) << U(24)
        | U(last >> 8) << U(32)
    )
    m.words[FAR] = (
        U(m.activity[0] | odd << 5)
        | U(error | odd << 4) << U(8)
        | U(expected >> 4 | odd << 4) << U(16)
        | U(odd) << U(24)
    )


@inlined
def read(m, buffer, c):  # type: ignore[no-untyped-def]
    """Learn from byte c, and make contexts and means for the next."""
    kind = m.settings[KIND]
    if kind == AUDIO16:
        _read_audio16(m, buffer, c)
    elif kind == IMAGE:
        _read_image(m, buffer, c)
    else:
        _adapt(m, c)
        _read_audio(m, buffer)
    _prepare(m)
