"""The arithmetic coder and the pmf quantisation, against a plain version in Python's long integers."""

from __future__ import annotations

import doctest
import hashlib
import importlib
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compgen.coding import BatchDecoder, BatchEncoder, Decoder, Encoder, quantise
from compgen.errors import CompgenError, UsageError

Part = tuple[int, int, int]  # start, frequency, total
Message = list[tuple[list[int], int]]  # frequencies and a symbol, step by step


class PlainCoder:
    """The definition: the interval [low, low + width) / 2**bits, low an integer of any length, so nothing carries."""

    def __init__(self) -> None:
        self.low, self.width, self.bits = 0, 1 << 62, 62

    def encode(self, part: Part) -> None:
        start, frequency, total = part
        unit = self.width // total
        self.low += unit * start
        self.width = self.width - unit * start if start + frequency == total else unit * frequency
        while self.width <= 1 << 54:
            self.low, self.width, self.bits = self.low << 8, self.width << 8, self.bits + 8

    def shortest(self, prefix_free: bool) -> tuple[int, bytes]:
        """Bits and bytes of the shortest string, by trying all lengths from 0."""
        for k in range(self.bits + 1):
            rest = self.bits - k
            v = -(-self.low >> rest)
            if (v + 1 if prefix_free else v) << rest < self.low + self.width + prefix_free:
                return k, (v << -k % 8).to_bytes((k + 7) // 8, "big")
        raise AssertionError

    def holds(self, code: bytes) -> bool:
        """Does the code, followed by zeros, lie inside?"""
        scale = max(self.bits, 8 * len(code))
        point = int.from_bytes(code, "big") << (scale - 8 * len(code))
        return self.low << (scale - self.bits) <= point < (self.low + self.width) << (scale - self.bits)


def plain_quantise(pmf: Iterable[float], precision_bits: int) -> list[int]:
    """The operations in ``compgen/coding/quantise.py``, as they stand there."""
    weights = [float(p) for p in pmf]
    total, alphabet = 1 << precision_bits, len(weights)
    s = alphabet + sum(math.floor(p * 2.0**43) for p in weights)
    c = (total - alphabet) * 2.0**43 / s
    f = [1 + math.floor(p * c) for p in weights]
    f[f.index(max(f))] += total - sum(f)
    return f


def part_of(frequencies: list[int], symbol: int) -> Part:
    return sum(frequencies[:symbol]), frequencies[symbol], sum(frequencies)


def ideal_bits(message: Message) -> float:
    return -sum(math.log2(f[s] / sum(f)) for f, s in message)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Every step has its own alphabet and total, many of them extreme."""
    steps = []
    for _ in range(draw(st.integers(0, 12))):
        size = draw(st.sampled_from([2, 3, 7, 31, 32, 33, 70, 300]))
        largest = draw(st.sampled_from([1, 2, 255, 2**16, 2**32 // size]))
        seed = draw(st.integers(0, 2**32))
        frequencies = np.random.default_rng(seed).integers(0, largest, size, endpoint=True).tolist()
        symbol = draw(st.integers(0, size - 1))
        frequencies[symbol] = frequencies[symbol] or 1
        if draw(st.booleans()):  # up to the very largest total
            frequencies[draw(st.sampled_from([0, symbol, size - 1]))] += 2**32 - sum(frequencies)
        steps.append((frequencies, symbol))
    return steps * draw(st.sampled_from([1, 1, 1, 40]))


def random_pmf(rng: np.random.Generator, shape: tuple[int, ...], alphabet: int) -> npt.NDArray[np.float64]:
    return rng.dirichlet(np.full(alphabet, 0.3), shape)


def draws(rng: np.random.Generator, pmf: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """A symbol from each row."""
    cdf = np.cumsum(pmf, axis=-1)
    found = (cdf < rng.random((*pmf.shape[:-1], 1)) * cdf[..., -1:]).sum(axis=-1)
    return np.minimum(found, pmf.shape[-1] - 1)


# --- the code ---


@settings(max_examples=150, deadline=None)
@given(messages())
def test_code_is_the_shortest_inside_the_interval(message: Message) -> None:
    plain, encoder, by_parts, at_once = PlainCoder(), Encoder(), Encoder(), Encoder()
    if message:
        at_once.encode_intervals([part_of(frequencies, symbol) for frequencies, symbol in message])
    for frequencies, symbol in message:
        plain.encode(part_of(frequencies, symbol))
        encoder.encode(symbol, np.array(frequencies))
        by_parts.encode_interval(*part_of(frequencies, symbol))
        if len(message) <= 12:
            assert encoder.bits == plain.shortest(False)[0]
            assert encoder.prefix_free_bits == plain.shortest(True)[0]
    for prefix_free in (False, True):
        bits, code = plain.shortest(prefix_free)
        assert encoder.finish(prefix_free=prefix_free) == by_parts.finish(prefix_free=prefix_free) == code
        assert at_once.finish(prefix_free=prefix_free) == code
        assert (encoder.prefix_free_bits if prefix_free else encoder.bits) == bits
    assert plain.holds(encoder.finish())
    lost = sum(math.log2(1 / (1 - sum(f) * 2.0**-54)) for f, _ in message) + 1e-9 * (1 + len(message))
    assert encoder.bits < 1 + ideal_bits(message) + lost
    assert encoder.prefix_free_bits < 2 + ideal_bits(message) + lost


@settings(max_examples=150, deadline=None)
@given(messages(), st.binary(max_size=20))
def test_round_trip(message: Message, junk: bytes) -> None:
    encoder = Encoder()
    for frequencies, symbol in message:
        encoder.encode(symbol, np.array(frequencies))
    symbols = [symbol for _, symbol in message]
    for code in (encoder.finish(), encoder.finish(prefix_free=True) + junk, bytearray(encoder.finish())):
        decoder, by_parts = Decoder(code), Decoder(code)
        assert [decoder.decode(np.array(frequencies)) for frequencies, _ in message] == symbols
        for frequencies, symbol in message:
            start, frequency, total = part_of(frequencies, symbol)
            assert start <= by_parts.target(total) < start + frequency
            by_parts.consume(start, frequency, total)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 600), st.integers(0, 60), st.integers(1, 32), st.integers(0, 2**32), st.booleans())
def test_every_way_of_coding_gives_the_same_bytes(alphabet: int, n: int, bits: int, seed: int, single: bool) -> None:
    bits = max(bits, (alphabet - 1).bit_length())
    rng = np.random.default_rng(seed)
    pmf = random_pmf(rng, (n,), alphabet).astype(np.float32 if single else np.float64)
    symbols = rng.integers(0, alphabet, n)
    frequencies = quantise(pmf, bits) if n else np.empty((0, alphabet), np.int64)
    one, one_pmf, many, many_pmf = Encoder(), Encoder(bits), Encoder(), Encoder(bits)
    for i in range(n):
        one.encode(int(symbols[i]), frequencies[i])
        one_pmf.encode(int(symbols[i]), pmf[i])
    many.encode_many(symbols, frequencies)
    many_pmf.encode_many(symbols, pmf)
    code = one.finish()
    assert one_pmf.finish() == many.finish() == many_pmf.finish() == code
    assert Decoder(code).decode_many(frequencies).tolist() == symbols.tolist()
    assert Decoder(code, bits).decode_many(pmf).tolist() == symbols.tolist()
    decoder = Decoder(code, bits)
    assert [decoder.decode(row) for row in pmf] == symbols.tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), st.integers(0, 3000), st.integers(1, 2**32), st.integers(0, 2**32))
def test_shared_frequencies(alphabet: int, n: int, largest: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = rng.integers(0, max(largest // alphabet, 1), alphabet, endpoint=True)
    row[rng.integers(alphabet)] += 1
    symbols = rng.choice(np.flatnonzero(row), n)
    shared, plain = Encoder(), PlainCoder()
    shared.encode_many(symbols, row)
    for symbol in symbols.tolist():
        plain.encode((int(row[:symbol].sum()), int(row[symbol]), int(row.sum())))
    code = shared.finish()
    assert (shared.bits, code) == plain.shortest(False)
    assert Decoder(code).decode_many(row, n).tolist() == symbols.tolist()


@pytest.mark.parametrize("precision_bits", [None, 16, 24])
def test_streams_in_step_are_those_alone(precision_bits: int | None) -> None:
    rng = np.random.default_rng(3)
    streams, steps, alphabet = 7, 40, 50
    pmf = random_pmf(rng, (streams, steps), alphabet)
    rows: npt.NDArray[Any] = pmf if precision_bits else quantise(pmf, 20)
    symbols = rng.integers(0, alphabet, (streams, steps))
    alone = []
    for stream in range(streams):
        encoder = Encoder(precision_bits)
        encoder.encode_many(symbols[stream], rows[stream])
        alone.append(encoder)
    codes = [encoder.finish() for encoder in alone]
    whole, stepwise = BatchEncoder(streams, precision_bits), BatchEncoder(streams, precision_bits)
    whole.encode_many(symbols, rows)
    for step in range(steps):
        stepwise.encode(symbols[:, step], rows[:, step])
    assert whole.finish() == stepwise.finish() == codes
    assert whole.finish(prefix_free=True) == [encoder.finish(prefix_free=True) for encoder in alone]
    assert whole.bits.tolist() == [encoder.bits for encoder in alone]
    assert whole.prefix_free_bits.tolist() == [encoder.prefix_free_bits for encoder in alone]
    assert np.array_equal(BatchDecoder(codes, precision_bits).decode_many(rows), symbols)
    decoder = BatchDecoder(codes, precision_bits)
    assert np.array_equal(np.stack([decoder.decode(rows[:, i]) for i in range(steps)], axis=1), symbols)
    shared = BatchEncoder(streams, precision_bits)
    shared.encode_many(symbols, rows[0, 0])
    assert np.array_equal(BatchDecoder(shared.finish(), precision_bits).decode_many(rows[0, 0], steps), symbols)


def test_streams_of_different_lengths() -> None:
    rows = np.array([[1, 2, 3], [3, 2, 1], [9, 1, 1]])
    encoder = BatchEncoder(3)
    encoder.encode([2, 0, 1], rows)
    encoder.encode([1], rows[:1], streams=[2])
    encoder.encode([0, 2], rows[:2], streams=[2, 0])
    decoder = BatchDecoder(encoder.finish())
    assert decoder.decode(rows).tolist() == [2, 0, 1]
    assert decoder.decode(rows[:1], streams=[2]).tolist() == [1]
    assert decoder.decode(rows[:2], streams=[2, 0]).tolist() == [0, 2]
    assert BatchEncoder(0).finish() == []
    assert BatchDecoder([]).decode(np.empty((0, 2), np.int64)).tolist() == []


def test_long_runs_of_ones_carry() -> None:
    """What decodes from 0x7F 0xFF 0xFF ... codes to just below 0x80: the next symbol decides 1 + 4000 bytes."""
    thirds = np.array([1, 1, 1])
    steered = Decoder(b"\x7f" + b"\xff" * 4000).decode_many(thirds, 19_000)
    carried = set()
    for last in range(3):
        encoder, plain = Encoder(), PlainCoder()
        encoder.encode_many(steered, thirds)
        for symbol in steered.tolist():
            plain.encode((symbol, 1, 3))
        for symbol in [last] * 8200:
            encoder.encode(symbol, thirds)
            plain.encode((symbol, 1, 3))
        code = encoder.finish()
        assert (encoder.bits, code) == plain.shortest(False)
        carried.add(code[:3000])
    assert carried == {b"\x7f" + b"\xff" * 2999, b"\x80" + bytes(2999)}
    # And through a carry that is still to come when the code is asked for, without disturbing what follows.
    encoder, plain = Encoder(), PlainCoder()
    for symbol in steered.tolist()[:3000]:
        encoder.encode(symbol, thirds)
        plain.encode((symbol, 1, 3))
        assert (encoder.bits, encoder.finish()) == plain.shortest(False)


def test_golden_codes() -> None:
    """What these bytes mean never changes."""
    raw = np.random.Philox(key=1).random_raw(500 * 38).reshape(500, 38) >> np.uint64(40)
    pmf = 1 + (raw[:, :37] ** np.uint64(2) >> np.uint64(22)).astype(np.int64)
    symbols = (raw[:, 37] % np.uint64(37)).astype(np.int64)
    encoder = Encoder()
    encoder.encode_many(symbols, pmf)
    code = encoder.finish()
    assert (encoder.bits, encoder.prefix_free_bits, hashlib.sha256(code).hexdigest()[:16]) == GOLDEN_INTEGERS
    encoder = Encoder(precision_bits=20)
    encoder.encode_many(symbols, pmf / pmf.sum(axis=1, keepdims=True))
    assert (encoder.bits, hashlib.sha256(encoder.finish()).hexdigest()[:16]) == GOLDEN_PMF
    encoder = Encoder()
    encoder.encode_many(b"hello, world", np.arange(1, 257))
    assert encoder.finish().hex() == GOLDEN_TEXT
    assert encoder.finish(prefix_free=True).hex() == GOLDEN_TEXT_PREFIX_FREE


GOLDEN_INTEGERS = (3240, 3243, "3705ff0f1a12ed2d")
GOLDEN_PMF = (3239, "6b51175a85b6b18c")
GOLDEN_TEXT = "2a9e618552047633e05af51f98"
GOLDEN_TEXT_PREFIX_FREE = "2a9e618552047633e05af51f98"


def test_overhead_of_thousands_of_streams() -> None:
    rng = np.random.default_rng(5)
    over, over_prefix_free = [], []
    for _ in range(20):
        steps, alphabet = int(rng.integers(1, 40)), int(rng.integers(2, 60))
        rows = rng.integers(1, 2**26, (200, steps, alphabet))
        symbols = rng.integers(0, alphabet, (200, steps))
        encoder = BatchEncoder(200)
        encoder.encode_many(symbols, rows)
        chosen = np.take_along_axis(rows, symbols[..., None], axis=2)[..., 0]
        ideal = -np.log2(chosen / rows.sum(axis=2)).sum(axis=1)
        over.append(encoder.bits - ideal)
        over_prefix_free.append(encoder.prefix_free_bits - ideal)
        assert [len(code) for code in encoder.finish()] == ((encoder.bits + 7) // 8).tolist()
    assert np.max(over) < 1
    assert np.mean(over) == pytest.approx(0.5 - math.log2(math.e), abs=0.1)
    assert np.max(over_prefix_free) < 2
    assert np.mean(over_prefix_free) == pytest.approx(2.5 - math.log2(math.e), abs=0.1)


@pytest.mark.parametrize("total", [2**32, 2**32 - 1, 3 * 2**30 + 1])
def test_the_division_loses_next_to_nothing(total: int) -> None:
    """200,000 symbols at the largest totals cost less than 0.1 bits more than the ideal; the bound says 0.07."""
    row = np.array([total // 3, total - total // 3 - 1, 1])
    symbols = np.random.default_rng(0).integers(0, 2, 200_000)
    encoder = Encoder()
    encoder.encode_many(symbols, row)
    counts = np.bincount(symbols)
    ideal = -sum(int(counts[s]) * math.log2(row[s] / total) for s in range(2))
    assert -3 < encoder.prefix_free_bits - ideal < 2 + 200_000 * math.log2(1 / (1 - total * 2.0**-54))


def test_a_fork_is_independent_and_finishing_changes_nothing() -> None:
    row, rng = np.array([5, 3, 1]), np.random.default_rng(1)
    encoder, batch = Encoder(), BatchEncoder(2)
    encoder.encode_many(rng.integers(0, 3, 500), row)
    batch.encode_many(rng.integers(0, 3, (2, 500)), row)
    before, codes = encoder.finish(), batch.finish()
    fork, branch = encoder.fork(), batch.fork()
    fork.encode_many([2] * 300, row)
    branch.encode_many([[2] * 300] * 2, row)
    assert (encoder.finish(), batch.finish()) == (before, codes)
    encoder.encode_many([2] * 300, row)
    batch.encode_many([[2] * 300] * 2, row)
    assert (encoder.finish(), batch.finish()) == (fork.finish(), branch.finish())
    decoder, decoders = Decoder(fork.finish()), BatchDecoder(branch.finish())
    first, firsts = decoder.fork().decode_many(row, 800), decoders.fork().decode_many(row, 800)
    assert np.array_equal(first, decoder.decode_many(row, 800))
    assert np.array_equal(firsts, decoders.decode_many(row, 800))


def test_nothing_costs_nothing() -> None:
    assert (Encoder().bits, Encoder().finish(), Encoder().prefix_free_bits) == (0, b"", 0)
    certain = Encoder()
    certain.encode_many([1] * 1000, np.array([0, 7, 0]))
    assert certain.finish(prefix_free=True) == b""
    assert set(Decoder(b"").decode_many(np.array([0, 7, 0]), 1000).tolist()) == {1}


def test_the_largest_alphabet() -> None:
    rng = np.random.default_rng(2)
    pmf = random_pmf(rng, (3,), 262_144)
    symbols = draws(rng, pmf)
    symbols[0] = 262_143
    encoder = Encoder(precision_bits=32)
    encoder.encode_many(symbols, pmf)
    encoder.encode(0, pmf[0])
    decoder = Decoder(encoder.finish(), precision_bits=32)
    assert decoder.decode_many(pmf).tolist() == symbols.tolist()
    assert decoder.decode(pmf[0]) == 0


# --- other people's codes ---


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(2, 300), st.integers(1, 2**32), st.integers(0, 2**32))
def test_every_code_decodes_to_what_codes_to_its_surroundings(code: bytes, size: int, largest: int, seed: int) -> None:
    """No string of bytes is outside, as the last symbol gets what the divisions leave over; and none ever ends."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, max(largest // size, 1), (100, size), endpoint=True)
    symbols = Decoder(code).decode_many(rows)
    plain = PlainCoder()
    for row, symbol in zip(rows.tolist(), symbols.tolist(), strict=True):
        plain.encode(part_of(row, symbol))
    assert plain.holds(code)


def test_all_ones_are_inside() -> None:
    row = np.array([1, 1, 1, 2**32 - 8])
    decoder, plain = Decoder(b"\xff" * 300), PlainCoder()
    for _ in range(200):
        symbol = decoder.decode(row)
        plain.encode(part_of(row.tolist(), symbol))
    assert plain.holds(b"\xff" * 300)


def test_truncated_codes_go_on_in_zeros() -> None:
    rng = np.random.default_rng(7)
    pmf = random_pmf(rng, (50,), 256)
    symbols = draws(rng, pmf)
    encoder = Encoder(precision_bits=24)
    encoder.encode_many(symbols, pmf)
    code = encoder.finish()
    for length in range(len(code)):
        short = Decoder(code[:length], 24).decode_many(pmf)
        padded = Decoder(code[:length] + bytes(500), 24).decode_many(pmf)
        assert np.array_equal(short, padded)
        assert not np.array_equal(short, symbols)


# --- what is refused ---

GOOD = np.array([1, 2, 3])
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "symbol above": (lambda: Encoder().encode(3, GOOD), "alphabet of 3"),
    "symbol negative": (lambda: Encoder().encode(-1, GOOD), "alphabet of 3"),
    "symbol huge": (lambda: Encoder().encode(2**80, GOOD), "alphabet of 3"),
    "symbol fractional": (lambda: Encoder().encode(1.0, GOOD), "must be an integer"),  # type: ignore[arg-type]
    "frequency 0": (lambda: Encoder().encode(1, np.array([1, 0, 3])), "frequency 0"),
    "all 0": (lambda: Encoder().encode(1, np.array([0, 0])), "sum to 1 to"),
    "negative": (lambda: Encoder().encode(1, np.array([3, 3, -1])), "negative: that of symbol 2"),
    "too much": (lambda: Encoder().encode(1, np.array([1, 2**32])), "sum to 1 to"),
    "overflowing": (lambda: Encoder().encode(1, np.full(4, 2**62)), "sum to 1 to"),
    "one symbol": (lambda: Encoder().encode(0, np.array([1])), "2 to 262144"),
    "no symbol": (lambda: Encoder().encode(0, np.array([], np.int64)), "2 to 262144"),
    "too many symbols": (lambda: Encoder().encode(0, np.ones(262_145, np.int64)), "2 to 262144"),
    "probabilities for integers": (lambda: Encoder().encode(0, np.array([0.5, 0.5])), "precision_bits"),
    "two rows": (lambda: Encoder().encode(0, np.ones((2, 2), np.int64)), "shape"),
    "many: symbol above": (lambda: Encoder().encode_many([0, 3], np.stack([GOOD, GOOD])), "alphabet of 3"),
    "many: fewer rows": (lambda: Encoder().encode_many([0, 1], GOOD[None]), "need frequencies"),
    "many: floats": (lambda: Encoder().encode_many(np.array([0.0]), GOOD), "must be integers"),
    "shared: symbol above": (lambda: Encoder().encode_many([0, 3], GOOD), "symbol 3 is not"),
    "shared: symbol negative": (lambda: Encoder().encode_many([0, -3], GOOD), "symbol -3 is not"),
    "shared: frequency 0": (lambda: Encoder().encode_many([0, 1], np.array([1, 0])), "symbol 1 has frequency 0"),
    "shared: negative": (lambda: Encoder().encode_many([0], np.array([1, -1])), "negative"),
    "part outside": (lambda: Encoder().encode_interval(2, 2, 3), "no part"),
    "part empty": (lambda: Encoder().encode_interval(2, 0, 3), "no part"),
    "part of too much": (lambda: Encoder().encode_interval(0, 1, 2**32 + 1), "no part"),
    "parts: shape": (lambda: Encoder().encode_intervals(np.array([1, 2, 3])), "shape"),
    "parts: empty": (lambda: Encoder().encode_intervals([(0, 1, 2), (1, 0, 2)]), "0 of 2 from 1"),
    "parts: outside": (lambda: Encoder().encode_intervals([(0, 1, 2), (2**62, 2**62, 2)]), "no part"),
    "parts: before": (lambda: Encoder().encode_intervals([(-1, 1, 2)]), "no part"),
    "parts: too much": (lambda: Encoder().encode_intervals([(0, 1, 2**33)]), "no part"),
    "pmf NaN": (lambda: Encoder(24).encode(0, np.array([0.5, math.nan, 0.5])), "symbol 1 is nan"),
    "pmf negative": (lambda: Encoder(24).encode(0, np.array([1.0, -1e-300])), "symbol 1 is -1e-300"),
    "pmf infinite": (lambda: Encoder(24).encode(0, np.array([1.0, math.inf])), "symbol 1 is inf"),
    "pmf 0": (lambda: Encoder(24).encode(0, np.zeros(3)), "must sum to 1"),
    "pmf of counts": (lambda: Encoder(24).encode(0, np.full(3, 1.0)), "must sum to 1"),
    "pmf finer than precision": (lambda: Encoder(3).encode(0, np.full(9, 1 / 9)), "too low for an alphabet of 9"),
    "pmf: symbol above": (lambda: Encoder(24).encode(2, np.array([0.5, 0.5])), "alphabet of 2"),
    "pmf: many": (lambda: Encoder(24).encode_many([2], np.array([[0.5, 0.5]])), "alphabet of 2"),
    "pmf: words": (lambda: Encoder(24).encode(0, ["a", "b"]), "array of floats"),
    "pmf: decode": (lambda: Decoder(b"", 24).decode(np.array([1.0, -1.0])), "symbol 1 is -1.0"),
    "pmf: decode many": (lambda: Decoder(b"", 24).decode_many(np.array([[0.5, 0.5], [1.0, math.nan]])), "nan"),
    "pmf: decode shared": (lambda: Decoder(b"", 24).decode_many(np.array([1.0, math.nan]), 3), "nan"),
    "precision 0": (lambda: Encoder(0), "1 to 32"),
    "precision 33": (lambda: Decoder(b"", 33), "1 to 32"),
    "quantise: precision": (lambda: quantise([0.5, 0.5], 40), "1 to 32"),
    "quantise: a number": (lambda: quantise(0.5, 24), "not a number"),
    "quantise: row of many": (lambda: quantise([[0.5, 0.5], [math.inf, 0.5]], 24), "inf"),
    "decode: all 0": (lambda: Decoder(b"abc").decode(np.array([0, 0])), "sum to 1 to"),
    "decode: many": (lambda: Decoder(b"abc").decode_many(np.array([[1, 1], [1, -1]])), "negative"),
    "decode: no count": (lambda: Decoder(b"abc").decode_many(GOOD), "count"),
    "decode: negative count": (lambda: Decoder(b"abc").decode_many(GOOD, -1), "count"),
    "decode: target of 0": (lambda: Decoder(b"abc").target(0), "sum to 1 to"),
    "decode: elsewhere": (lambda: Decoder(b"\xff").consume(0, 1, 3), "the code is at 2 of 3"),
    "decode: no part": (lambda: Decoder(b"\xff").consume(0, 4, 3), "no part"),
    "batch: streams": (lambda: BatchEncoder(-1), "negative"),
    "batch: rows": (lambda: BatchEncoder(2).encode([0, 1], GOOD[None]), "2 streams need"),
    "batch: stream numbers": (lambda: BatchEncoder(2).encode([0], GOOD[None], streams=[2]), "from 0 to 1"),
    "batch: many": (lambda: BatchEncoder(2).encode_many([[0]], GOOD), "2 streams need"),
    "batch: decode": (lambda: BatchDecoder([b"", b""]).decode(GOOD[None]), "2 streams need"),
    "batch: decode many": (lambda: BatchDecoder([b"", b""]).decode_many(GOOD), "2 streams need"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(UsageError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_errors_change_nothing() -> None:
    encoder = Encoder()
    encoder.encode(2, GOOD)
    before = encoder.finish(prefix_free=True)
    attempts: list[Callable[[], object]] = [
        lambda: encoder.encode(3, GOOD),
        lambda: encoder.encode_many([1, 3], np.stack([GOOD, GOOD])),
        lambda: encoder.encode_many([1, 3], GOOD),
        lambda: encoder.encode_interval(1, 5, 5),
    ]
    for attempt in attempts:
        with pytest.raises(CompgenError):
            attempt()
        assert encoder.finish(prefix_free=True) == before


def test_arrays_of_other_kinds() -> None:
    """Lists, other integer types, strides, read-only arrays: the same code."""
    wide = np.arange(1, 601).reshape(2, 300)
    row = np.ascontiguousarray(wide[1, ::2])
    read_only = row.copy()
    read_only.flags.writeable = False
    kinds: list[Any] = [row, row.tolist(), row.astype(np.int32), row.astype(np.uint64), wide[1, ::2], read_only]
    codes = set()
    for kind in kinds:
        encoder = Encoder()
        encoder.encode(3, kind)
        encoder.encode(np.int16(77), kind)  # type: ignore[arg-type]
        encoder.encode_many(np.array([5, 6], np.uint8), kind)
        codes.add(encoder.finish())
        assert Decoder(encoder.finish()).decode(kind) == 3
    assert len(codes) == 1
    pmf = (row / row.sum()).astype(np.float32)
    kinds = [pmf, pmf.astype(np.float64), pmf.tolist(), np.repeat(pmf, 2)[::2]]
    codes = set()
    for kind in kinds:
        encoder = Encoder(24)
        encoder.encode(3, kind)
        codes.add(encoder.finish())
        assert Decoder(encoder.finish(), 24).decode(kind) == 3
    assert len(codes) == 1


# --- quantisation ---


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(0, 1) | st.sampled_from([0.0, -0.0, 5e-324, 1e-310, 0.25, 0.5]), min_size=2, max_size=90),
    st.integers(7, 32),
    st.booleans(),
)
def test_quantise_is_its_definition(weights: list[float], precision_bits: int, single: bool) -> None:
    pmf = np.array(weights) / (sum(weights) or 1)
    pmf = pmf.astype(np.float32) if single else pmf
    if not 0.51 < pmf.sum() < 1.9:
        return
    frequencies = quantise(pmf, precision_bits)
    assert frequencies.tolist() == plain_quantise(pmf.tolist(), precision_bits)
    assert frequencies.sum() == 1 << precision_bits
    assert frequencies.min() >= 1


@pytest.mark.parametrize("precision_bits", range(1, 33))
def test_quantise_at_every_precision(precision_bits: int) -> None:
    """Rows sum to 2**B, and no symbol gets longer than the bound, about 1.44 V / 2**B bits."""
    rng = np.random.default_rng(precision_bits)
    for alphabet in (2, 3, 255, 256, 50_000):
        if alphabet > 1 << precision_bits:
            continue
        pmf = random_pmf(rng, (4,), alphabet)
        frequencies = quantise(pmf, precision_bits)
        assert (frequencies.sum(axis=1) == 1 << precision_bits).all()
        assert frequencies.min() >= 1
        if alphabet < 1 << precision_bits:
            longer = np.log2(pmf) - np.log2(frequencies / 2.0**precision_bits)
            assert longer.max() < -math.log2(1 - alphabet / 2.0**precision_bits) + 1e-6


def test_quantise_examples() -> None:
    assert quantise([0.25, 0.25, 0.25, 0.25], 2).tolist() == [1, 1, 1, 1]
    assert quantise([1 / 3, 1 / 3, 1 / 3], 4).tolist() == [6, 5, 5]  # the rest goes to the first of the largest
    assert quantise([0.1, 0.45, 0.45], 5).tolist() == plain_quantise([0.1, 0.45, 0.45], 5)
    assert quantise([0.0, 1.0], 32).tolist() == [1, 2**32 - 1]
    assert quantise(np.full((2, 3, 4), 0.25), 8).shape == (2, 3, 4)
    huge = np.full(262_144, 1 / 262_144)
    assert quantise(huge, 18).max() == 1
    assert quantise(huge, 32).sum() == 2**32
    assert (
        hashlib.sha256(quantise(np.arange(1, 1001) / 500_500, 24).astype("<i8").tobytes()).hexdigest()[:16]
        == GOLDEN_QUANTISED
    )


GOLDEN_QUANTISED = "34d13d819382cd85"


@pytest.mark.parametrize("excess", [0.51, 0.999, 1.001, 1.9])
def test_quantise_scales_sums_near_one(excess: float) -> None:
    pmf = random_pmf(np.random.default_rng(0), (), 100)
    assert np.abs(quantise(pmf * excess, 24) - quantise(pmf, 24)).max() <= 1 + 100


# --- other witnesses ---


def test_constriction_needs_as_many_bits() -> None:
    constriction = pytest.importorskip("constriction")
    rng = np.random.default_rng(11)
    pmf = random_pmf(rng, (2000,), 256)
    symbols = draws(rng, pmf)
    theirs = constriction.stream.queue.RangeEncoder()
    theirs.encode(symbols.astype(np.int32), constriction.stream.model.Categorical(perfect=False), pmf)
    encoder = Encoder(precision_bits=24)
    encoder.encode_many(symbols, pmf)
    assert encoder.bits <= theirs.num_bits()
    assert encoder.bits == pytest.approx(theirs.num_bits(), abs=64)


@pytest.mark.parametrize("module", ["compgen.coding", "compgen.coding.quantise", "compgen.coding.arithmetic"])
def test_examples_in_docstrings(module: str) -> None:
    outcome = doctest.testmod(importlib.import_module(module))
    assert outcome.attempted > 0
    assert outcome.failed == 0
