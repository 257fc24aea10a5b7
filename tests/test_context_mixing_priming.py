"""``cm`` started from a file: the same state everywhere, taken back after each block, and named in archives by hash."""

from __future__ import annotations

import hashlib
import inspect
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import compgen
from compgen.archive.paths import compress_file, decompress_file, inspect_file
from compgen.datasets import default_context
from compgen.errors import CompgenError, UsageError
from compgen.predictors.contextmix import ContextMix, model, priming, snapshot, stream

TEXT = default_context() + inspect.getsource(compgen.interfaces).encode()
PAST, NOW = TEXT[:3000], TEXT[5000:6500]
RAMP = bytes((3 * x + y + (x * y) % 7) % 256 for y in range(64) for x in range(64))
#: What is read before, and what after.
KINDS = {
    "cm:memory_mb=2,mode=general": (PAST, NOW),
    "cm:level=1,memory_mb=2,mode=general": (PAST, NOW),
    "cm:level=3,memory_mb=2,mode=general": (PAST, NOW),
    "cm:memory_mb=2,mode=image": (RAMP[:2048], RAMP[2048:3500]),
    "cm:memory_mb=2,mode=audio": (RAMP[:2048], RAMP[2048:3500]),
    "cm:memory_mb=2": (PAST, NOW),
    "cm:memory_mb=2,level=1": (RAMP[:2048], RAMP[2048:3500]),
}


@pytest.fixture(params=KINDS, ids=str)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ContextMix, ContextMix, bytes]:
    """A model without and with a past, and data."""
    past, now = KINDS[request.param]
    plain = compgen.predictor(request.param)
    (tmp_path / "past").write_bytes(past)
    primed = compgen.predictor(f"{request.param},prime={tmp_path / 'past'}")
    assert isinstance(plain, ContextMix)
    assert isinstance(primed, ContextMix)
    return plain, primed, now


@pytest.fixture
def primed(tmp_path: Path) -> ContextMix:
    (tmp_path / "past").write_bytes(PAST)
    return ContextMix(memory_mb=2, prime=str(tmp_path / "past"))


def bits(predictor: ContextMix, data: bytes) -> float:
    return float(predictor.code_lengths([data])[0].sum())


def test_what_was_learnt_helps(case: tuple[ContextMix, ContextMix, bytes]) -> None:
    plain, primed, data = case
    assert bits(primed, data) < 0.95 * bits(plain, data)


def test_coder_and_predictor_agree(case: tuple[ContextMix, ContextMix, bytes]) -> None:
    _, primed, data = case
    code = primed.encode_block(data)
    assert primed.decode_block(code, len(data)) == data
    assert 8 * len(code) <= bits(primed, data) * 1.001 + 16
    session = primed.session([b""])
    lengths = []
    for byte in data[:300]:
        lengths.append(-compgen.numerics.log2(session.probabilities()[0, byte : byte + 1])[0])
        session.push([byte])
    assert lengths == list(primed.code_lengths([data[:300]])[0])


def test_blocks_leave_no_trace(case: tuple[ContextMix, ContextMix, bytes]) -> None:
    for predictor in case[:2]:
        data = [case[2][:1000], b"", b"x", case[2][500:], bytes(700), case[2][:1000]]
        first = predictor.code_lengths(data)
        second = predictor.code_lengths(data[::-1])[::-1]
        for before, after in zip(first, second, strict=True):
            assert (before == after).all()


@pytest.mark.parametrize("room", [1, 100, 1 << 14])
def test_a_model_goes_back_to_the_last_bit(room: int, primed: ContextMix) -> None:
    """With a journal that lasts, and with one that does not."""
    start = primed.start()
    before = start._snapshot.arrays
    reader = stream.Stream(model.noting(model.copy(before), room), start._max_slots, start._past, start._snapshot)
    reader.read(np.frombuffer(NOW, np.uint8))
    assert (reader.arrays.table != before.table).any()
    assert reader.rewind()
    for name in model.Arrays._fields:
        if name not in ("journal", "counts"):
            assert (getattr(reader.arrays, name) == getattr(before, name)).all(), name


def test_a_model_that_has_grown_is_not_lent_again(tmp_path: Path) -> None:
    (tmp_path / "past").write_bytes(PAST[:100])
    primed = ContextMix(memory_mb=64, prime=str(tmp_path / "past"))
    long = bytes(range(256)) * 520  # it has room for 65536 bytes
    assert primed.decode_block(primed.encode_block(long), len(long)) == long
    assert bits(primed, NOW) == bits(primed, NOW)


def test_threads_do_not_matter(primed: ContextMix) -> None:
    parts = [TEXT[i : i + 700] for i in range(0, 5600, 700)]
    alone = [primed.encode_block(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(primed.encode_block, parts)) == alone


@pytest.mark.parametrize("count", [3, stream.SHARED_BYTES + 50])
def test_forks_of_large_models_go_their_own_way(
    count: int, primed: ContextMix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two generations of forks, before and after they have slots of their own."""
    monkeypatch.setattr(snapshot, "_WORTH_SHARING", 1)
    monkeypatch.setattr(priming, "_primed", type(priming._primed)())  # so that it is shared from the start
    session = primed.session([NOW[:200]])
    child = session.fork()
    for byte in NOW[200 : 200 + count]:
        child.push([byte])
    grandchild = child.fork()
    for byte in NOW[:count]:
        grandchild.push([byte])
        session.push([byte])
    sibling = session.fork()
    seen = {
        child: NOW[: 200 + count],
        grandchild: NOW[: 200 + count] + NOW[:count],
        session: NOW[:200] + NOW[:count],
        sibling: NOW[:200] + NOW[:count],
    }
    for one, text in seen.items():
        assert (one.probabilities() == primed.session([text]).probabilities()).all()


def test_the_state_is_that_of_having_read_the_file(primed: ContextMix) -> None:
    """Text goes on where the file ended; only the rates of learning are another matter."""
    told = ContextMix(memory_mb=2).session([PAST]).probabilities()
    assert (primed.session([b""]).probabilities() == told).all()


def test_it_is_known_by_what_it_learnt(primed: ContextMix) -> None:
    assert primed.weights_sha256 == hashlib.sha256(PAST).hexdigest()
    assert ContextMix().weights_sha256 == ""
    again = pickle.loads(pickle.dumps(primed))
    assert again == primed
    assert again.weights_sha256 == primed.weights_sha256
    mix, two = (compgen.predictor(f"mix({parts})") for parts in (f"{primed.spec},order0", f"order0,{primed.spec}"))
    assert len({mix.weights_sha256, two.weights_sha256, primed.weights_sha256, ""}) == 4
    assert compgen.predictor("mix(cm,order0)").weights_sha256 == ""


def test_a_file_that_changes_or_is_missing_is_an_error(primed: ContextMix) -> None:
    priming._primed.clear()
    Path(primed.prime).write_bytes(NOW)
    with pytest.raises(UsageError, match="has changed"):
        primed.encode_block(b"x")
    with pytest.raises(CompgenError, match=r"cannot read .*nowhere"):
        ContextMix(prime="nowhere")


def test_a_file_may_be_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priming, "_MOST", 10)
    (tmp_path / "past").write_bytes(bytes(11))
    with pytest.raises(UsageError, match="too long to start from; give at most 10 bytes"):
        ContextMix(prime=str(tmp_path / "past"))


#: Another spelling of the archive's predictor, and what is said of it.
REFUSED = {
    None: "no path from an archive is followed",
    "cm:memory_mb=2": "and weights [0-9a-f]{16}..., here are weights none; give the right ones with --predictor",
    "cm:memory_mb=2,prime=other": "and weights [0-9a-f]{16}..., here are weights [0-9a-f]{16}...; give the right",
    "cm:memory_mb=2,prime=nowhere": "cannot read nowhere: no such file",
    "cm:memory_mb=2,level=1,prime=past": "made with the predictor 'cm:memory_mb=2,prime=past', here is 'cm:level=1",
}


@pytest.fixture
def invoke() -> Callable[..., str]:
    from click.testing import CliRunner

    from compgen.cli import cli

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli, arguments, prog_name="cgen")
        assert result.exit_code == code, result.output
        return result.output + str(result.exception or "")

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with files whose names look like words, and an archive."""
    monkeypatch.chdir(tmp_path)
    for name, data in (("past", PAST), ("other", NOW), ("note", NOW)):
        (tmp_path / name).write_bytes(data)
    compress_file("note", None, "cm:memory_mb=2,prime=past")
    return tmp_path


@pytest.mark.parametrize("given", REFUSED, ids=str)
def test_a_reader_wants_the_file_from_its_user(given: str | None, folder: Path) -> None:
    with pytest.raises(CompgenError, match=REFUSED[given]) as caught:
        decompress_file("note.cgz", "out", given)
    assert "\n" not in str(caught.value)
    assert not (folder / "out").exists()


def test_a_reader_that_is_given_the_file_reads(folder: Path) -> None:
    (folder / "note.cgz").rename(folder / "elsewhere.cgz")
    (folder / "past").rename(folder / "moved")
    decompress_file("elsewhere.cgz", "out", "cm:memory_mb=2,prime=moved")
    assert (folder / "out").read_bytes() == NOW
    inspection = inspect_file("elsewhere.cgz")
    assert inspection.summary.header.weights == hashlib.sha256(PAST).hexdigest()
    assert inspection.problem is not None
    assert "--predictor" in inspection.problem


def test_a_path_in_an_archive_is_not_followed(folder: Path) -> None:
    compress_file("note", "path.cgz", "cm:memory_mb=2,prime=./past")
    with pytest.raises(CompgenError, match=r"wants prime=\./past; if you trust it, name it with --predictor cm:"):
        decompress_file("path.cgz", "out")


def test_composed_predictors_are_refused_too(folder: Path) -> None:
    spec = "mix(cm:memory_mb=2,prime=past,order0)"
    compress_file("note", "mixed.cgz", spec)
    with pytest.raises(CompgenError, match="no path from an archive is followed"):
        decompress_file("mixed.cgz", "out")
    decompress_file("mixed.cgz", "out", spec)
    assert (folder / "out").read_bytes() == NOW


def test_on_the_command_line(folder: Path, invoke: Callable[..., str]) -> None:
    invoke("compress", "--predictor", "cm:memory_mb=2,prime=past", "note", "-o", "line.cgz")
    assert "SHA-256 " + hashlib.sha256(PAST).hexdigest() in invoke("inspect", "line.cgz")
    assert "prime=past" in invoke("decompress", "line.cgz", "-o", "out", code=1)
    invoke("decompress", "--predictor", "cm:memory_mb=2,prime=past", "line.cgz", "-o", "out")
    assert (folder / "out").read_bytes() == NOW
