"""The bridge against its definition, with a codec small enough to check by hand."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

import compgen
from compgen import interfaces, registry
from compgen.interfaces import Compressor
from compgen.predictors.blend import Blend
from compgen.predictors.mixture import Mixture


@dataclass(frozen=True)
class Letters(Compressor):
    """Codes one letter in 1 bit and every other byte in 10: a code whose lengths are known without computing."""

    extra: float = 9.0
    letter: str = "a"
    name = "letters"

    def compress(self, data: bytes) -> bytes:
        return data

    def decompress(self, data: bytes) -> bytes:
        return data

    def code_length(self, data: bytes) -> float:
        return sum(1.0 if byte == ord(self.letter) else 1.0 + self.extra for byte in data)


def test_probabilities_are_the_softmax_in_base_2() -> None:
    p = compgen.as_predictor(Letters()).session([b"xyz", b""]).probabilities()
    total = 0.5 + 255 * 2.0**-10
    assert p.shape == (2, 256)
    np.testing.assert_allclose(p[:, ord("a")], 0.5 / total, rtol=1e-15)
    np.testing.assert_allclose(np.delete(p[0], ord("a")), 2.0**-10 / total, rtol=1e-15)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)


def test_code_lengths_are_conditional() -> None:
    predictor = compgen.as_predictor(Letters())
    (bits,) = predictor.code_lengths([b"ab"])
    total = 0.5 + 255 * 2.0**-10
    np.testing.assert_allclose(bits, [1 + math.log2(total), 10 + math.log2(total)], rtol=1e-12)
    gzip = compgen.predictor("gzip")
    whole, part = gzip.code_lengths([b"abcabcabc"])[0], gzip.code_lengths([b"abc"], [b"abcabc"])[0]
    np.testing.assert_array_equal(whole[6:], part)


def test_session_moves_on_and_forks() -> None:
    session = compgen.predictor("gzip").session([b"abcabc", b"xyzxyz"])
    fork = session.fork()
    session.push(b"ax")
    expected = compgen.predictor("gzip").session([b"abcabca", b"xyzxyzx"]).probabilities()
    np.testing.assert_array_equal(session.probabilities(), expected)
    assert not np.array_equal(fork.probabilities(), expected)


def test_no_probability_is_zero() -> None:
    p = compgen.as_predictor(Letters(extra=5000.0)).session([b""]).probabilities()
    assert (p > 0).all()
    assert np.isfinite(compgen.as_predictor(Letters(extra=5000.0)).code_lengths([b"b"])[0]).all()


def test_plain_softmax_on_known_text(real_data) -> None:  # type: ignore[no-untyped-def]
    """Figures that a plain loop over zlib gives, on a zlib of the family 1.2 and 1.3."""
    import lzma

    known = {
        "python_thealgorithms": (3.736, 4.844, 2.727),
        "novels12": (5.209, 6.353, 4.230),
    }
    for name, (exact, whole, own) in known.items():
        text = lzma.decompress((real_data / "text" / f"{name}.xz").read_bytes())[:2048]
        rates = [
            compgen.predictor(spec).code_lengths([text])[0].sum() / 2048 for spec in ("gzip", "gzip:whole_bytes=true")
        ]
        assert [round(rate, 3) for rate in rates] == [exact, whole]
        assert round(compgen.compressor("gzip:whole_bytes=true").code_length(text) / 2048, 3) == own


# Blend: the mixture with online weights.


def test_blend_of_one_with_no_rate_is_that_one() -> None:
    blend, part = Blend((compgen.predictor("order2"),), rate=0.0), compgen.predictor("order2")
    np.testing.assert_allclose(
        blend.code_lengths([b"abracadabra"])[0], part.code_lengths([b"abracadabra"])[0], rtol=1e-9
    )


def test_blend_follows_its_formula() -> None:
    """The definition in plain numpy, for two experts and a few symbols."""
    a, b = compgen.predictor("order0"), compgen.predictor("order2")
    text, rate = b"abracadabra abracadabra", 0.02
    weights, bits = np.array([0.5, 0.5]), []
    sessions = [a.session([b""]), b.session([b""])]
    for symbol in text:
        experts = np.log2(np.stack([s.probabilities()[0] for s in sessions]))
        mixture = np.exp2(weights @ experts)
        mixture /= mixture.sum()
        bits.append(-np.log2(mixture[symbol]))
        weights = weights + rate * (experts[:, symbol] - experts @ mixture)
        for session in sessions:
            session.push([symbol])
    np.testing.assert_allclose(Blend((a, b), rate).code_lengths([text])[0], bits, rtol=1e-9)


@pytest.mark.parametrize("spec", ["blend(order1,order3)", "mix(order1,order3):share=0.1"])
def test_composites_learn_from_the_context_and_streams_do_not_mix(spec: str) -> None:
    blend = compgen.predictor(spec)
    contexts = [b"abcabcabcabcabc", b"a longer context, not the same"]
    together = blend.session(contexts)
    alone = [blend.session([context]) for context in contexts]
    for symbols in (b"ax", b"by"):
        for i, session in enumerate(alone):
            np.testing.assert_array_equal(together.probabilities()[i], session.probabilities()[0])
            session.push(symbols[i : i + 1])
        fork = together.fork()
        together.push(symbols)
        assert not np.array_equal(fork.probabilities(), together.probabilities())


def test_blend_beats_both_its_parts(real_data) -> None:  # type: ignore[no-untyped-def]
    import lzma

    text = lzma.decompress((real_data / "text" / "python_thealgorithms.xz").read_bytes())[:2048]
    rate = {
        spec: compgen.predictor(spec).code_lengths([text])[0].sum() / 2048
        for spec in ("gzip", "order4", "blend(gzip)", "blend(gzip,order4)")
    }
    assert rate["blend(gzip,order4)"] < min(rate["gzip"], rate["order4"])
    assert rate["blend(gzip)"] < rate["gzip"]


# Mixture: Bayes.


def test_mixture_has_the_probability_of_the_data_averaged_over_its_parts() -> None:
    text = b"abracadabra abracadabra"
    parts = [compgen.predictor(f"order{n}").code_lengths([text])[0].sum() for n in (0, 1, 3)]
    mixture = compgen.predictor("mix(order0,order1,order3)").code_lengths([text])[0].sum()
    assert mixture == pytest.approx(-math.log2(sum(2.0**-bits for bits in parts) / 3), rel=1e-12)


def test_mixture_with_share_follows_a_change() -> None:
    """Two models each sure of one letter, and data that turns from one letter to the other."""
    parts = (compgen.as_predictor(Letters(letter="a")), compgen.as_predictor(Letters(letter="b")))
    fixed, shared = (Mixture(parts, share).code_lengths([b"a" * 50 + b"b" * 50])[0] for share in (0.0, 0.01))
    assert shared.sum() < fixed.sum() / 2
    assert fixed.sum() <= min(part.code_lengths([b"a" * 50 + b"b" * 50])[0].sum() for part in parts) + 1
    assert compgen.predictor("mix(order0,order2)").exact
    assert not compgen.predictor("mix(order0,gzip)").exact


@pytest.mark.parametrize(
    "spec",
    [
        "mix(order1,order2):share=0.01",
        "blend(gzip)",
        "blend(gzip:level=6,order2):rate=0.01",
        "blend(blend(order1),order2):learn=0",
        "gzip:level=6",
        "order3",
    ],
)
def test_predictor_specs_make_the_same_again(spec: str) -> None:
    predictor = compgen.predictor(spec)
    assert predictor.spec == spec
    assert compgen.predictor(predictor.spec) == predictor
    assert pickle.loads(pickle.dumps(predictor)) == predictor


# The registry.


def test_parse_nested_specs() -> None:
    spec = registry.parse_spec("mix(a,b:x=1,y=2,c:PATH,d(e,f:g=1)):rate=3")
    assert [str(part) for part in spec.parts] == ["a", "b:x=1,y=2", "c:PATH", "d(e,f:g=1)"]
    assert spec.options == (("rate", "3"),)
    assert registry.parse_spec("transformer:folder/model.x").values == ("folder/model.x",)
    assert str(registry.parse_spec("lzma2:preset=9,dict-size=65536")) == "lzma2:preset=9,dict_size=65536"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gzp", "did you mean gzip"),
        ("nothing-like-it", "known: "),
        ("gzip:levle=3", "did you mean level"),
        ("gzip:level=high", "whole number"),
        ("gzip:level=12", "from 0 to 9"),
        ("gzip:level=1,level=2", "twice"),
        ("gzip(zlib)", "not made of other specs"),
        ("gzip:strategy=best", "one of default"),
        ("gzip:whole_bytes=perhaps", "true or false"),
        ("", "lacks a name"),
        ("blend(gzip", "parenthesis"),
        ("gzip)", "cannot read"),
        ("blend", "at least one"),
        ("blend(gzip):rate=nan", "rate must be"),
        ("mix(order1):share=2", "share must be"),
        ("blend(gzip):speed=1", "no parameter 'speed'"),
    ],
)
def test_bad_specs_say_what_is_wrong(spec: str, message: str) -> None:
    with pytest.raises(compgen.UsageError, match=message.replace("(", r"\(")) as caught:
        compgen.predictor(spec)
    assert "\n" not in str(caught.value)


def test_sampler_parameters_are_checked() -> None:
    with pytest.raises(compgen.UsageError, match="means nothing for text"):
        compgen.sampler("text", bits=8)
    with pytest.raises(compgen.UsageError, match="did you mean text"):
        compgen.sampler("texts")


def test_public_names_are_there() -> None:
    for name in compgen.__all__:
        assert getattr(compgen, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        compgen.nothing  # noqa: B018
    assert set(interfaces.__dict__) >= {"Compressor", "Predictor"}


# The other direction: predictors as compressors.

PREDICTORS = [
    "uniform",
    "order0",
    "order3",
    "order6",
    "mix(order0,order2)",
    "blend(order1,order2)",
    "gzip",
    "lzma2:preset=1",
]
DATA = {
    "one byte": b"x",
    "text": b"she sells sea shells by the sea shore, " * 3,
    "all bytes": bytes(range(256)),
    "zeros": bytes(300),
}


@pytest.mark.parametrize("spec", PREDICTORS)
@pytest.mark.parametrize("kind", DATA)
def test_predictors_compress(spec: str, kind: str) -> None:
    compressor, data = compgen.as_compressor(compgen.predictor(spec)), DATA[kind]
    if not compressor.predictor.exact:  # type: ignore[attr-defined]
        data = data[:40]
    code = compressor.compress(data)
    assert compressor.decompress(code) == data
    surplus_bits = 8 * (len(code) - 16) - compressor.code_length(data)
    assert surplus_bits < 10
    assert surplus_bits > -8 or kind == "zeros"  # the code ends where zeros would follow: here it is all zeros


@pytest.mark.parametrize("spec", PREDICTORS)
def test_there_and_back(spec: str) -> None:
    predictor = compgen.predictor(spec)
    compressor = compgen.as_compressor(predictor)
    assert compgen.as_predictor(compressor) == predictor
    assert compressor.spec == predictor.spec
    assert pickle.loads(pickle.dumps(compressor)) == compressor
    assert compressor.decompress(compressor.compress(b"")) == b""


def test_compressors_by_the_names_of_predictors() -> None:
    assert compgen.compressor("order3") == compgen.as_compressor(compgen.predictor("order3"))
    assert compgen.compressor(compgen.predictor("order3")).spec == "order3"
    assert compgen.predictor(compgen.compressor("order3")) == compgen.predictor("order3")


@pytest.mark.parametrize("spec", ["order0", "order2", "mix(order0,order2)"])
def test_continuations_of_a_predictor_as_compressor(spec: str) -> None:
    compressor = compgen.compressor(spec)
    state = compressor.continuations(b"abracadabra")
    for byte in b"ab":
        fork = state.fork()
        lengths = state.lengths()
        context = b"abracadabra" if byte == ord("a") else b"abracadabraa"
        assert [lengths[b] for b in range(256)] == [compressor.code_length(context + bytes([b])) for b in range(256)]
        np.testing.assert_array_equal(fork.lengths(), lengths)
        state.push(byte)


def test_damaged_codes_are_refused() -> None:
    compressor = compgen.compressor("order2")
    code = compressor.compress(DATA["text"])
    for damaged in (b"", code[:11], code[:16], code[:20] + b"?" + code[21:], b"\xff" * 8 + code[8:], bytes(20)):
        with pytest.raises(compgen.CorruptDataError):
            compressor.decompress(damaged)


@pytest.mark.parametrize("spec", ["order0", "order4"])
def test_the_fused_coder_agrees_with_the_predictor(spec: str) -> None:
    """Its frequencies are the session's probabilities: an Encoder driven by those makes the same code."""
    from compgen.coding import Encoder

    predictor, data = compgen.predictor(spec), DATA["text"]
    assert isinstance(predictor, interfaces.BlockCoder)
    session, encoder = predictor.session([b""]), Encoder()
    for byte in data:
        frequencies = session.frequencies()[0]  # type: ignore[attr-defined]
        encoder.encode(byte, frequencies)
        np.testing.assert_array_equal(session.probabilities()[0], frequencies / frequencies.sum())
        session.push([byte])
    assert predictor.encode_block(data) == encoder.finish()


def test_the_fused_decoder_survives_garbage() -> None:
    predictor = compgen.predictor("order5")
    assert isinstance(predictor, interfaces.BlockCoder)
    for code in (b"", b"\xff" * 50, np.random.default_rng(0).bytes(500)):
        assert len(predictor.decode_block(code, 5000)) == 5000


def test_composites_depend_on_what_their_parts_depend_on() -> None:
    assert compgen.predictor("mix(order0,order1)").numerics == ""
    assert compgen.predictor("mix(gzip,order1,zlib)").numerics == compgen.predictor("gzip").numerics
    assert "cm model" in compgen.predictor("blend(cm,order1)").numerics
