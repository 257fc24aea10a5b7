"""compgen.numerics against the platform's libm, which is close, and against identities, which are exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compgen import numerics


def ulps(value: float, truth: float) -> float:
    return abs(value - truth) / math.ulp(truth)


@given(st.floats(-1021.0, 1023.0))
def test_exp2_is_within_4_ulp(x: float) -> None:
    assert ulps(float(numerics.exp2(np.array([x]))[0]), 2.0**x) <= 4


@given(st.floats(1e-300, 1e300))
def test_log2_is_within_4_ulp(x: float) -> None:
    value, truth = float(numerics.log2(np.array([x]))[0]), math.log2(x)
    assert abs(value - truth) <= 4 * max(math.ulp(truth), 2.0**-60)  # near 1 the result itself is near 0


def test_exp2_is_exact_at_integers() -> None:
    whole = np.arange(-1022, 1024)
    assert numerics.exp2(whole.astype(float)).tolist() == [math.ldexp(1.0, int(n)) for n in whole]


def test_log2_is_exact_at_powers_of_two() -> None:
    whole = np.arange(-1022, 1024)
    assert np.array_equal(numerics.log2(np.ldexp(1.0, whole)), whole)


def test_exp2_underflows_to_zero() -> None:
    assert numerics.exp2(np.array([-1022.5, -1e6, -np.inf])).tolist() == [0.0, 0.0, 0.0]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_ordered_sum_goes_from_left_to_right(values: list[float]) -> None:
    total = 0.0
    for value in values:
        total += value
    assert numerics.ordered_sum(np.array(values)).tolist() == [total]


@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=300))
def test_softmax2_is_a_positive_distribution(lengths: list[float]) -> None:
    probabilities = numerics.softmax2(np.array(lengths))
    assert np.all(probabilities > 0)
    assert float(probabilities.sum()) == pytest.approx(1.0)
    assert probabilities[int(np.argmin(lengths))] == probabilities.max()


def test_softmax2_does_not_depend_on_what_is_beside() -> None:
    lengths = np.random.default_rng(0).uniform(0, 3000, (7, 256))
    together = numerics.softmax2(lengths)
    assert all(np.array_equal(numerics.softmax2(row), alone) for row, alone in zip(lengths, together, strict=True))


def test_golden_values() -> None:
    """These bits must come out on every machine."""
    x = np.array([-3.7, -0.1, 0.3, 1.9])
    assert [v.hex() for v in numerics.exp2(x)] == [
        "0x1.3b2c47bff8328p-4",
        "0x1.ddb680117ab12p-1",
        "0x1.3b2c47bff8329p+0",
        "0x1.ddb680117ab12p+1",
    ]
    assert [v.hex() for v in numerics.log2(np.array([0.1, 0.7, 1.5, 1e10]))] == [
        "-0x1.a934f0979a371p+1",
        "-0x1.0776228967d13p-1",
        "0x1.2b803473f7ad2p-1",
        "0x1.09c1165ec0627p+5",
    ]
