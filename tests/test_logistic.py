"""Logistic mixing: against a plain description, and what a mixture promises."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compgen
from compgen.datasets import default_context
from compgen.errors import UsageError

SPEC = "mix(order1,order4):method=logistic"
TEXT = default_context()


class Plain:
    """The description in ``compgen/predictors/mixture.py``, with the library's logarithm."""

    def __init__(self, parts: int, rate: float) -> None:
        self.rate, self.previous = rate, 0
        start = [1 / parts] * parts + [0.0]
        self.by_node: dict[int, list[float]] = defaultdict(lambda: list(start))
        self.by_byte: dict[tuple[int, int], list[float]] = defaultdict(lambda: list(start))

    def decisions(self, experts: list[list[float]], byte: int) -> tuple[float, list[tuple[list[float], int]]]:
        """P(byte), and for each of its bits the inputs and the bit."""
        probability, inputs = 1.0, []
        for depth in range(8):
            size, bit = 256 >> depth, byte >> (7 - depth) & 1
            first, node = byte >> (8 - depth) << (8 - depth), (256 | byte) >> (8 - depth)
            halves = [(sum(p[first : first + size // 2]), sum(p[first + size // 2 : first + size])) for p in experts]
            x = [max(-20.0, min(20.0, math.log2(one) - math.log2(zero))) for zero, one in halves] + [0.25]
            z = [
                sum(w * v for w, v in zip(weights, x, strict=True))
                for weights in (self.by_node[node], self.by_byte[self.previous, depth])
            ]
            one = 1 / (1 + 2 ** -max(-20.0, min(20.0, sum(z) / 2)))
            probability *= one if bit else 1 - one
            inputs.append((x, bit))
        return probability, inputs

    def learn(self, inputs: list[tuple[list[float], int]], byte: int) -> None:
        for depth, (x, bit) in enumerate(inputs):
            for weights in (self.by_node[(256 | byte) >> (8 - depth)], self.by_byte[self.previous, depth]):
                z = max(-20.0, min(20.0, sum(w * v for w, v in zip(weights, x, strict=True))))
                error = bit - 1 / (1 + 2**-z)
                for i, v in enumerate(x):
                    weights[i] += self.rate * error * v
        self.previous = byte


def test_it_is_what_the_description_says() -> None:
    mixed = compgen.predictor("mix(order0,order2):method=logistic,rate=0.03").session([b""])
    parts = [compgen.predictor(spec).session([b""]) for spec in ("order0", "order2")]
    plain = Plain(2, 0.03)
    for step, byte in enumerate(TEXT[:300]):
        experts = [part.probabilities()[0].tolist() for part in parts]
        row = mixed.probabilities()[0]
        expected, inputs = plain.decisions(experts, byte)
        assert row[byte] == pytest.approx(expected, rel=1e-9), step
        assert row.sum() == pytest.approx(1, abs=1e-12)
        plain.learn(inputs, byte)
        for session in (mixed, *parts):
            session.push([byte])


def test_it_beats_its_best_part() -> None:
    parts = ("gzip", "order2")  # which know different things
    specs = ("mix(gzip,order2):method=logistic", *parts)
    mixed, *alone = (float(compgen.predictor(spec).code_lengths([TEXT])[0].sum()) for spec in specs)
    assert mixed < 0.97 * min(alone)


@given(data=st.binary(max_size=120), cut=st.integers(0, 120))
@settings(max_examples=40, deadline=None)
def test_reading_ahead_equals_going_step_by_step(data: bytes, cut: int) -> None:
    table = np.frombuffer(data + data[::-1], np.uint8).reshape(2, -1).astype(np.int64)
    stepped, ahead = (compgen.predictor(SPEC).session([b"a", b"bc"]) for _ in range(2))
    rows = [ahead.read(table[:, :cut]), ahead.read(table[:, cut:])] if 0 < cut < len(data) else [ahead.read(table)]
    for step, row in enumerate(np.concatenate(rows, axis=1).swapaxes(0, 1)):
        np.testing.assert_array_equal(stepped.probabilities(), row)
        stepped.push(table[:, step])
    np.testing.assert_array_equal(stepped.probabilities(), ahead.probabilities())


def test_what_is_pushed_without_being_asked_for_is_learnt_all_the_same() -> None:
    asked, pushed = (compgen.predictor(SPEC).session([b""]) for _ in range(2))
    for byte in TEXT[:50]:
        asked.probabilities()
        asked.push([byte])
        pushed.push([byte])
    np.testing.assert_array_equal(asked.probabilities(), pushed.probabilities())


def test_forks_go_their_own_ways() -> None:
    session = compgen.predictor(SPEC).session([TEXT[:100]])
    twin, before = session.fork(), session.probabilities()
    session.push(b"x")
    np.testing.assert_array_equal(twin.probabilities(), before)
    twin.push(b"x")
    np.testing.assert_array_equal(twin.probabilities(), session.probabilities())


def test_its_archives_decode() -> None:
    archive = compgen.compress(TEXT, SPEC)
    assert compgen.decompress(archive) == TEXT
    assert "logistic mixing 1" in compgen.predictor(SPEC).numerics
    assert compgen.predictor(compgen.predictor(SPEC).spec) == compgen.predictor(SPEC)


@pytest.mark.parametrize("wrong", ["rate=0", "rate=2", "rate=nan", "method=guess"])
def test_impossible_parameters_are_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"rate must be|method=guess is not one of bayes, logistic"):
        compgen.predictor(f"mix(order1):{wrong},method=logistic" if "rate" in wrong else f"mix(order1):{wrong}")
