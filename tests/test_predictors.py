"""The built-in predictors: uniform and order0 ... order6."""

from __future__ import annotations

import hashlib
import lzma
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compgen
from compgen import numerics
from compgen.datasets import default_context
from compgen.predictors import _order_kernel as kernel
from compgen.predictors.order import DISCOUNTS, _Tree

NAMES = ["uniform", *(f"order{n}" for n in range(7))]
TEXT = default_context()
NOISE = np.random.Philox(key=0).random_raw(1000).astype("<u8").tobytes()


class PlainOrder:
    """The definition in ``compgen/predictors/order.py``, written down as it stands there."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.past = b""
        self.counts: dict[bytes, dict[int, int]] = {}

    def contexts(self) -> list[bytes]:
        longest = min(self.depth, len(self.past))
        return [self.past[len(self.past) - order :] for order in range(longest + 1)]

    def frequencies(self) -> list[int]:
        f = [2**23] * 256
        for order, context in enumerate(self.contexts()):
            counts = self.counts.get(context)
            if not counts:
                continue
            alone = len(counts) == 1
            discounts = {s: int(DISCOUNTS[order, int(alone), min(c, 4) - 1]) for s, c in counts.items()}
            n = sum(counts.values())
            w = 2**24 * sum(discounts.values()) // (64 * n)
            f = [value * w // 2**24 for value in f]
            for s, c in counts.items():
                f[s] += 2**31 * (64 * c - discounts[s]) // (64 * n)
        return [value + 256 for value in f]

    def push(self, symbol: int) -> None:
        counting = True
        for context in reversed(self.contexts()):
            counts = self.counts.setdefault(context, {})
            if symbol not in counts:
                counts[symbol] = 1
            elif counting:
                counting = False
                counts[symbol] += 1
                if counts[symbol] > 255:
                    for s in counts:
                        counts[s] = (counts[s] + 1) // 2
        self.past += bytes([symbol])


def stepwise(name: str, data: bytes, context: bytes = b"") -> np.ndarray:
    session = compgen.predictor(name).session([context])
    bits = []
    for symbol in data:
        bits.append(-numerics.log2(session.probabilities()[0, symbol : symbol + 1])[0])
        session.push([symbol])
    return np.array(bits)


@pytest.mark.parametrize("name", NAMES)
def test_is_what_its_spec_says(name: str) -> None:
    predictor = compgen.predictor(name)
    assert predictor.spec == name
    assert predictor.exact
    assert predictor.alphabet_size == 256
    assert pickle.loads(pickle.dumps(predictor)) == predictor


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("context", [b"", b"a", TEXT[:300], NOISE])
def test_probabilities_are_distributions(name: str, context: bytes) -> None:
    probabilities = compgen.predictor(name).session([context, b"x"]).probabilities()
    assert probabilities.shape == (2, 256)
    assert probabilities.dtype == np.float64
    assert np.all(probabilities > 0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_teacher_forcing_is_stepping(name: str) -> None:
    predictor = compgen.predictor(name)
    streams = [TEXT[:400], b"", NOISE[:100], b"z" * 600]
    contexts = [b"", b"abc", TEXT[:50], b"z"]
    for bits, stream, context in zip(predictor.code_lengths(streams, contexts), streams, contexts, strict=True):
        assert np.array_equal(bits, stepwise(name, stream, context))
    assert np.array_equal(predictor.code_lengths([NOISE])[0], stepwise(name, NOISE))


@pytest.mark.parametrize("name", NAMES)
def test_contexts_and_pushes_are_the_same_past(name: str) -> None:
    predictor = compgen.predictor(name)
    pushed = predictor.session([b"", b"the "])
    for a, b in zip(TEXT[:100], NOISE[:100], strict=True):
        pushed.push(np.array([a, b]))
    given = predictor.session([list(TEXT[:100]), np.frombuffer(b"the " + NOISE[:100], np.uint8)])
    assert np.array_equal(pushed.probabilities(), given.probabilities())


@pytest.mark.parametrize("name", NAMES)
def test_forks_are_independent(name: str) -> None:
    session = compgen.predictor(name).session([TEXT])
    before = session.probabilities()
    fork = session.fork()
    for byte in NOISE:
        fork.push([byte])
    assert np.array_equal(session.probabilities(), before)
    for byte in NOISE:
        session.push([byte])
    assert np.array_equal(session.probabilities(), fork.probabilities())


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 6), st.binary(max_size=40), st.sampled_from([b"", TEXT[:200], b"ab" * 50]))
def test_order_is_its_definition(depth: int, tail: bytes, head: bytes) -> None:
    plain, session = PlainOrder(depth), compgen.predictor(f"order{depth}").session([b""])
    for symbol in head + tail:
        plain.push(symbol)
        session.push([symbol])
    f = plain.frequencies()
    assert session.probabilities()[0].tolist() == [value / sum(f) for value in f]


def test_order_halves_counts_as_defined() -> None:
    plain, session = PlainOrder(2), compgen.predictor("order2").session([b""])
    for symbol in b"aab" * 300 + b"c" * 300:
        plain.push(symbol)
        session.push([symbol])
    f = plain.frequencies()
    assert session.probabilities()[0].tolist() == [value / sum(f) for value in f]


def test_discounts_leave_every_count_some_credit() -> None:
    assert DISCOUNTS.shape == (7, 2, kernel.DISCOUNTS)
    assert np.all(DISCOUNTS > 0)
    assert np.all(64 * np.arange(1, kernel.DISCOUNTS + 1) > DISCOUNTS)


def test_order_starts_afresh_when_full() -> None:
    tree, fresh = _Tree(3), _Tree(3)
    tree.learn(np.arange(100, dtype=np.uint8))
    tree._state[kernel.USED] = kernel.MAX_NODES - 3
    for step in range(3):
        for t in (tree, fresh):
            t.learn(np.array([step], dtype=np.uint8))
        one, other = np.empty(256, np.int64), np.empty(256, np.int64)
        assert tree.frequencies(one) == fresh.frequencies(other)
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_order_starts_afresh_when_full_of_data() -> None:
    """Random bytes make about 5 nodes each under order6; at 2**22 nodes the past is forgotten."""
    noise = np.random.Philox(key=1).random_raw(110_000).astype("<u8").tobytes()
    predictor = compgen.predictor("order6")
    (bits,) = predictor.code_lengths([noise])
    first, again = np.flatnonzero(bits == 8.0)
    assert first == 0
    assert np.array_equal(bits[again:], predictor.code_lengths([noise[again:]])[0])
    session = predictor.session([noise[:again]])
    session.push([noise[again]])
    assert np.array_equal(session.probabilities(), predictor.session([noise[again : again + 1]]).probabilities())


@pytest.mark.parametrize(
    ("name", "digest"),
    [("order0", "2718b55e67ef0c02"), ("order3", "51d8fbc732a219a9"), ("order6", "1376ee48eabe2461")],
)
def test_golden_code_lengths(name: str, digest: str) -> None:
    """An order model never changes its probabilities: archives depend on them."""
    bits = compgen.predictor(name).code_lengths([TEXT + NOISE])[0]
    assert hashlib.sha256(bits.astype("<f8").tobytes()).hexdigest()[:16] == digest


def test_uniform_costs_8_bits() -> None:
    assert compgen.predictor("uniform").code_lengths([b"abc"])[0].tolist() == [8.0, 8.0, 8.0]


def test_default_context_ships() -> None:
    assert 1900 < len(TEXT) < 2100
    assert TEXT.isascii()
    assert TEXT.strip() == TEXT


@pytest.mark.parametrize("size", [2048, 100_000])
@pytest.mark.parametrize("file", ["python_thealgorithms.xz", "novels12.xz"])
@pytest.mark.parametrize("name", ["order4", "order5", "order6"])
def test_order_beats_gzip_on_real_text(name: str, file: str, size: int, data_file: Callable[[str], Path]) -> None:
    with lzma.open(data_file(f"text/{file}")) as stream:
        text = stream.read(size)
    gzip_rate = 8 * len(zlib.compress(text, 9)) / size
    rate = float(np.mean(compgen.predictor(name).code_lengths([text])[0]))
    assert rate < gzip_rate * (1.02 if size == 2048 else 0.96)


@pytest.fixture
def data_file() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        folder = os.environ.get("COMPGEN_DATA")
        if not folder or not (Path(folder) / name).exists():
            pytest.skip(f"needs {name} in the folder that COMPGEN_DATA names")
        return Path(folder) / name

    return find
