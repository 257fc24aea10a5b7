"""``guided``: cm with other predictors' opinions as inputs. Its kernel's twin is in ``test_context_mixing.py``."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compgen
from compgen import numerics
from compgen.coding.payload import decode_block, encode_block
from compgen.datasets import default_context
from compgen.errors import UsageError

TEXT = default_context()
SPEC = "guided(cm:level=1,order2)"
#: Pixels of a slope, which cm takes for a picture after a while.
SLOPE = bytes((3 * x + 5 * y + (x * y) % 3) % 256 for y in range(96) for x in range(96))


def stepwise(spec: str, data: bytes, context: bytes = b"") -> np.ndarray:
    session = compgen.predictor(spec).session([context])
    bits = []
    for symbol in data:
        bits.append(-numerics.log2(session.probabilities()[0, symbol : symbol + 1])[0])
        session.push([symbol])
    return np.array(bits)


@pytest.mark.parametrize("spec", [SPEC, "guided(cm:level=2,order1,order4)", "guided(cm,gzip)"])
def test_scores_and_steps_and_codes_agree(spec: str) -> None:
    model = compgen.predictor(spec)
    lengths = model.code_lengths([TEXT[:300]], [TEXT[300:400]])[0]
    assert (lengths == stepwise(spec, TEXT[:300], TEXT[300:400])).all()
    code = encode_block(model, TEXT[:300])
    assert decode_block(model, code, 300) == TEXT[:300]
    assert abs(8 * len(code) - model.code_lengths([TEXT[:300]])[0].sum()) < 16


def test_pieces_read_ahead_are_no_borders() -> None:
    data = TEXT * 4  # more than is read at once
    model = compgen.predictor(SPEC)
    code = encode_block(model, data)
    assert decode_block(model, code, len(data)) == data
    assert model.code_lengths([data])[0][3000:].tolist() == model.code_lengths([data[3000:]], [data[:3000]])[0].tolist()


@given(st.binary(max_size=300))
@settings(max_examples=30, deadline=None)
def test_any_bytes_come_back(data: bytes) -> None:
    model = compgen.predictor(SPEC)
    code = encode_block(model, data or b"x")
    assert decode_block(model, code, max(1, len(data))) == (data or b"x")


def test_a_language_model_guides_well() -> None:
    guided, alone, guide = (
        compgen.predictor(spec).code_lengths([TEXT])[0].sum()
        for spec in ("guided(cm:level=2,transformer:200k)", "cm:level=2", "transformer:200k")
    )
    assert guided < 0.75 * alone
    assert guided < 1.02 * guide  # though this text is too short to learn much from


def test_pictures_do_without_guides() -> None:
    """Once cm reads pixels, guides are not asked; when it reads text again, they go on."""
    model = compgen.predictor(SPEC)
    data = TEXT + SLOPE + TEXT
    code = encode_block(model, data)
    assert decode_block(model, code, len(data)) == data
    assert (model.code_lengths([data[:3000]])[0] == stepwise(SPEC, data[:3000])).all()
    picture = len(encode_block(model, SLOPE)) / len(encode_block(compgen.predictor("cm:level=1"), SLOPE))
    assert picture < 1.05


def test_branches_are_independent() -> None:
    session = compgen.predictor(SPEC).session([TEXT[:200], TEXT[:100]])
    branch = session.fork()
    before = session.probabilities()
    branch.push([65, 66])
    assert (session.probabilities() == before).all()
    session.push([65, 66])
    assert (session.probabilities() == branch.probabilities()).all()
    branch.push([67, 68])
    session.push([67, 68])
    assert (session.probabilities() == branch.probabilities()).all()


def test_two_blocks_do_not_know_of_each_other() -> None:
    model = compgen.predictor(SPEC)
    first = encode_block(model, TEXT)
    assert encode_block(model, TEXT) == first
    assert model.code_lengths([TEXT])[0].tolist() == model.code_lengths([TEXT, TEXT])[1].tolist()


def test_it_primes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "prime").write_bytes(TEXT[:1000])
    spec = f"guided(cm:level=1,prime={tmp_path / 'prime'},order2)"
    assert (compgen.predictor(spec).code_lengths([TEXT[1000:1400]])[0] == stepwise(spec, TEXT[1000:1400])).all()


def test_archives_are_portable_and_name_the_arithmetic() -> None:
    model = compgen.predictor("guided(cm,order3)")
    assert model.exact
    assert model.numerics == "cm model 2; guides 1"
    assert compgen.predictor(model.spec) == model
    assert compgen.decompress(compgen.compress(TEXT, model)) == TEXT
    assert not compgen.predictor("guided(cm,gzip)").exact or compgen.predictor("gzip").exact


@pytest.mark.parametrize("spec", ["guided(cm)", "guided(order2,cm)", "guided(order2)"])
def test_it_needs_cm_and_guides(spec: str) -> None:
    with pytest.raises(UsageError, match="cm and at least one guide"):
        compgen.predictor(spec)
