"""The benchmark: rows against independent counts, a run that is killed, and what must not be averaged in."""

from __future__ import annotations

import csv
import io
import json
import lzma
import math
import os
import shutil
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import synthetic_image, synthetic_speech, synthetic_text
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import compgen
from compgen import datasets, parallel
from compgen.benchmark import published, report, tables
from compgen.benchmark.engine import Piece, Run
from compgen.benchmark.generation import generation, picture_of, sound_of
from compgen.benchmark.in_context import default_positions, in_context
from compgen.benchmark.rates import rates
from compgen.benchmark.rows import standard_error
from compgen.benchmark.scaling import scaling, spread
from compgen.benchmark.store import Store
from compgen.benchmark.subjects import overhead_bytes
from compgen.benchmark.tokenizers import tokenizers
from compgen.errors import BadInputError, UsageError
from compgen.interfaces import Compressor

PROGRAM = Path(sys.executable).with_name("compgen.exe" if sys.platform == "win32" else "compgen")
CHUNKS = 24


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_bytes(synthetic_text(CHUNKS * 2048 + 100))
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(2):
        pixels = np.frombuffer(synthetic_image(70, 128, seed), np.uint8).reshape(70, 128)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    folder = tmp_path / "speech"
    folder.mkdir()
    samples = np.frombuffer(synthetic_speech(9000, 16), "<i2")
    soundfile.write(folder / "a.flac", samples, 16000)
    return folder


# --- rates against independent counts --------------------------------------------------------------------------------


def chunks_of(data: bytes, size: int = 2048) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data) - size + 1, size)]


def test_gzip_costs_what_zlib_says(text: Path) -> None:
    """Whole bytes of the raw stream of each chunk, and one container."""
    chunks = chunks_of(text.read_bytes())
    deflated = []
    for chunk in chunks:
        coder = zlib.compressobj(9, zlib.DEFLATED, -15)
        deflated.append(len(coder.compress(chunk) + coder.flush()))
    row, whole = rates(str(text), ["gzip:whole_bytes=true"])
    assert row["chunks"] == CHUNKS
    assert row["rate_percent"] == pytest.approx(100 * (sum(deflated) + 18) / (CHUNKS * 2048), abs=1e-6)
    error = np.std(deflated, ddof=1) / math.sqrt(CHUNKS)
    assert row["rate_standard_error"] == pytest.approx(100 * error / 2048, rel=1e-6)
    import gzip

    assert whole["measured_bytes"] == CHUNKS * 2048 + 100
    assert whole["code_bits"] / 8 + 18 == len(gzip.compress(text.read_bytes(), 9))


def test_lzma2_costs_what_xz_writes(text: Path) -> None:
    _, whole = rates(str(text), ["lzma2"])
    written = len(lzma.compress(text.read_bytes(), preset=6, check=lzma.CHECK_CRC64))
    assert whole["code_bits"] / 8 + whole["container_bytes"] == pytest.approx(written, abs=8)


def test_predictors_cost_their_code_lengths_chunk_by_chunk(text: Path) -> None:
    model = compgen.predictor("order2")
    bits = [math.fsum(model.code_lengths([chunk])[0]) for chunk in chunks_of(text.read_bytes())]
    [row] = rates(str(text), ["order2"], whole="none")
    assert row["code_bits"] == pytest.approx(math.fsum(bits), rel=1e-8)
    assert (row["container_bytes"], row["parameters"]) == (0, 0)
    assert row["adjusted_percent"] == row["rate_percent"]


def test_models_are_charged_with_their_parameters(text: Path) -> None:
    pytest.importorskip("compgen.predictors.transformer.predictor")
    [row] = rates(str(text), ["transformer:size=200k"], whole="none", limit_chunks=1, chunk_bytes=128)
    model = compgen.predictor("transformer:size=200k")
    assert row["parameters"] == model.parameters > 200_000
    assert row["adjusted_percent"] == pytest.approx(row["rate_percent"] + 100 * 2 * model.parameters / 128)
    assert row["adjusted_1gb_percent"] == pytest.approx(row["rate_percent"] + 100 * 2 * model.parameters / 1e9)
    [files] = rates(str(text), [model], whole="none", limit_chunks=1, chunk_bytes=128, charge="files")
    assert files["model_bytes"] == model.weights_bytes
    assert row["rate_percent"] == files["rate_percent"] < 100


def test_uniform_costs_all_and_noise_cannot_be_compressed() -> None:
    rows = rates("random", ["uniform", "gzip", "lzma2"], limit_chunks=50, whole="none")
    assert rows[0]["rate_percent"] == 100.0
    assert all(100.0 <= row["rate_percent"] < 101 for row in rows)


def test_codecs_are_told_what_the_data_look_like(images: Path, speech: Path) -> None:
    rows = rates([str(images), str(speech)], ["png", "flac", "cm", "png:width=16"], whole="none")
    assert [row["spec"] for row in rows[:4]] == ["png:width=64", "flac", "cm:mode=image", "png:width=16"]
    assert [row["spec"] for row in rows[4:7]] == ["png", "flac", "cm:mode=audio"]
    assert rows[0]["rate_percent"] < rows[3]["rate_percent"]
    [paper] = rates(str(images), ["png"], whole="none", layout="paper")
    assert paper["spec"] == "png:width=32"
    assert paper["rate_percent"] > rows[0]["rate_percent"]
    [wide] = rates(str(speech), ["flac"], whole="none", bits=16)
    assert wide["spec"] == "flac:bits=16"


REFERENCE = {  # gzip, xz, PNG 64 and 32 wide, FLAC: an independent count on the first 1500 chunks
    "enwik8": (48.8, 51.0, 84.9, None, 87.8),
    "imagenet": (71.8, 65.6, 59.4, 65.7, 63.1),
    "librispeech": (35.0, 34.9, 34.0, None, 27.3),
    "random": (100.1, 100.0, 101.6, None, 99.9),
}


def test_classical_rows_agree_with_an_independent_count(real_data: Path) -> None:
    expected, found = [], []
    for name, (gzip, xz, png, png32, flac) in REFERENCE.items():
        rows = rates(name, ["gzip", "lzma2", "png", "flac"], whole="none", limit_chunks=1500, data_folder=real_data)
        found += [row["rate_percent"] for row in rows]
        expected += [gzip, xz, png, flac]
        if png32 is not None:
            [row] = rates(name, ["png"], whole="none", layout="paper", limit_chunks=1500, data_folder=real_data)
            found.append(row["rate_percent"])
            expected.append(png32)
    assert found == pytest.approx(expected, abs=0.3)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=50))
def test_the_standard_error_is_numpy_s(values: list[float]) -> None:
    expected = np.std(values, ddof=1) / math.sqrt(len(values))
    assert standard_error(values) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_container_that_nobody_declares_is_measured() -> None:
    sample = synthetic_text(5000)
    declared = compgen.compressor("gzip")
    assert overhead_bytes(declared, sample) == 18
    assert overhead_bytes(_Undeclared(), sample) == 18


@dataclass(frozen=True)
class _Undeclared(Compressor):
    name = "undeclared"

    def compress(self, data: bytes) -> bytes:
        return compgen.compressor("gzip").compress(data)

    def decompress(self, data: bytes) -> bytes:
        return compgen.compressor("gzip").decompress(data)

    def code_length(self, data: bytes) -> float:
        return compgen.compressor("gzip").code_length(data)


# --- nothing wrong is averaged in ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Failing(_Undeclared):
    """Gives what is no length for chunks that begin with an ``e``."""

    wrong: float = math.nan
    name = "failing"

    def code_length(self, data: bytes) -> float:
        return self.wrong if data.count(b"e") % 3 == 0 else 100.0


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
def test_a_length_that_is_none_fails_the_row_and_no_other(text: Path, wrong: float) -> None:
    bad, good = rates(str(text), [_Failing(wrong), "gzip"], whole="none")
    assert (bad["status"], bad["rate_percent"]) == ("failed", None)
    assert "code length" in bad["error"]
    assert good["status"] == "ok"
    assert tables.failures([bad, good]) == [f"{bad['model']} on words.txt: {bad['error']}"]
    assert "failed" in report.markdown({"rates": [bad, good]})


def test_a_set_without_a_whole_chunk_fails_in_clear_words(tmp_path: Path, text: Path) -> None:
    small = tmp_path / "small.txt"
    small.write_bytes(b"too little")
    rows = rates([str(small), str(text)], ["gzip"], whole="none")
    assert [row["status"] for row in rows] == ["failed", "ok"]
    assert "too few for a chunk" in rows[0]["error"]
    rows = in_context([str(small)], ["gzip"])
    assert rows[0]["status"] == "failed"
    rows = generation([str(small)], ["gzip"])
    assert rows[0]["status"] == "failed"


def test_files_that_cannot_be_read_are_counted_and_shown(images: Path) -> None:
    (images / "broken.png").write_bytes((images / "0.png").read_bytes()[:60])
    [row] = rates(str(images), ["png"], whole="none")
    assert (row["status"], row["skipped_files"], len(row["skipped"])) == ("ok", 1, 1)
    assert "broken.png: the image is damaged" in report.markdown({"rates": [row]})


def test_models_that_are_not_there_are_failed_rows_and_nonsense_is_an_error(text: Path, tmp_path: Path) -> None:
    rows = rates(str(text), [f"hf:{tmp_path}/none", "gzip"], whole="none")
    assert [row["status"] for row in rows] == ["failed", "ok"]
    with pytest.raises(UsageError, match="did you mean gzip"):
        rates(str(text), ["gzipp"])
    with pytest.raises(UsageError, match="neither"):
        rates(str(text), ["gzip"], chunked=False, whole="none")
    with pytest.raises(UsageError, match="nothing to measure on"):
        rates([], ["gzip"])
    with pytest.raises(UsageError, match="charge"):
        rates(str(text), ["gzip"], charge="nothing")


def test_a_failure_leaves_the_workers_to_the_others(text: Path) -> None:
    with parallel.jobs(2, "threading"):
        rows = in_context(str(text), [_Failing(math.nan), "gzip"], positions=[2048], limit_chunks=20)
    assert [row["status"] for row in rows] == ["failed", "ok"]


def test_sets_of_one_name_and_models_given_twice_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_bytes(synthetic_text(4096, seed=ord(folder)))
    rows = rates([str(tmp_path / "a" / "x.txt"), str(tmp_path / "b" / "x.txt")], ["gzip", "gzip"], whole="none")
    assert len({row["dataset"] for row in rows}) == len({row["data_sha256"] for row in rows}) == len(rows) == 2


# --- results that are kept -------------------------------------------------------------------------------------------


def test_results_are_found_again_and_serve_larger_runs(text: Path, tmp_path: Path) -> None:
    def measured(limit: int) -> tuple[list[Any], Run]:
        run = Run(Store([tmp_path / "kept"]))
        return rates(str(text), ["order1", "gzip"], whole="none", chunk_bytes=64, limit_chunks=limit, run=run), run

    first, run = measured(640)
    assert run.found == 0
    assert run.computed == 4  # pieces of 512 chunks, and what is left
    again, run = measured(640)
    assert (run.computed, run.found) == (0, 4)
    assert again == first
    _, run = measured(768)
    assert run.found == 2
    unbroken = rates(str(text), ["order1", "gzip"], whole="none", chunk_bytes=64, limit_chunks=640)
    assert unbroken == first


@pytest.mark.parametrize("damage", [b"", b"{", b'{"key": 1}', None])
def test_damaged_results_are_noticed_and_computed_again(text: Path, tmp_path: Path, damage: bytes | None) -> None:
    kept = tmp_path / "kept"
    first = rates(str(text), ["gzip"], whole="none", run=Run(Store([kept])))
    [entry] = kept.rglob("*.json")
    content = entry.read_bytes()
    entry.write_bytes(content.replace(b'"container_bytes": 18', b'"container_bytes": 19') if damage is None else damage)
    run = Run(Store([kept]))
    assert rates(str(text), ["gzip"], whole="none", run=run) == first
    assert (run.store.damaged, run.computed) == (1, 1)
    assert entry.read_bytes() == content


@settings(max_examples=30, deadline=None)
@given(key=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)), value=st.lists(st.floats(0, 1e9)))
def test_a_store_gives_back_what_it_was_given(tmp_path_factory: Any, key: dict[str, Any], value: list[float]) -> None:
    store = Store([tmp_path_factory.getbasetemp() / "store"])
    store.put(key, value)
    assert store.get(key) == value
    assert store.get({**key, "another": 1}) is None


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInputError, match="results cannot be kept"):
        Store([tmp_path / "file"]).put({}, 1)


def _square(number: int) -> int:
    if number < 0:
        raise ValueError("below zero")
    return number * number


@pytest.mark.parametrize(("jobs", "backend"), [(1, "loky"), (2, "threading"), (2, "loky"), (2, "dask")])
def test_pieces_run_on_any_workers_and_failures_stay_in_their_cell(jobs: int, backend: str) -> None:
    pieces = [
        Piece("bad" if n % 7 == 3 else "good", n, {"n": n}, _square, (-n if n % 7 == 3 else n,)) for n in range(40)
    ]
    with parallel.jobs(jobs, backend):
        outcomes = list(Run().outcomes(pieces))
    good = {o.piece.index: o.value for o in outcomes if o.error is None}
    assert good == {n: n * n for n in range(40) if n % 7 != 3}
    bad = [o.error for o in outcomes if o.error is not None]
    assert bad
    assert set(bad) == {"ValueError: below zero"}


def test_arguments_are_taken_as_they_are_needed() -> None:
    taken = []

    def arguments() -> Any:
        for n in range(100):
            taken.append(n)
            yield (n,)

    with parallel.jobs(2, "threading"):
        results = parallel.stream(_square, arguments())
        first = next(results)
        assert len(taken) < 20
        assert dict([first, *results]) == {n: n * n for n in range(100)}


def run_program(*arguments: str | Path, cache: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False, env=environment)


def test_a_run_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """SIGKILL after some pieces, then the same command: the same rows, byte for byte, and the pieces are not redone."""
    (tmp_path / "words.txt").write_bytes(synthetic_text(400 * 2048))
    arguments = ("bench", "rates", tmp_path / "words.txt", "--model", "order1", "--model", "cm", "--whole", "none")
    arguments += ("--limit-chunks", "400", "-q", "--no-cache", "--out")
    whole = run_program(*arguments, tmp_path / "unbroken", cache=tmp_path / "c")
    assert (whole.returncode, whole.stderr) == (0, b"")
    broken = tmp_path / "broken"
    command = [str(PROGRAM), *map(str, arguments), str(broken)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(broken.rglob("results/*/[!.]*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (broken / "rates.jsonl").exists(), "it was to be killed before it was done"
    kept = {path: path.stat().st_mtime_ns for path in broken.rglob("results/*/[!.]*.json")}
    assert len(kept) >= 3
    assert run_program(*arguments, broken, cache=tmp_path / "c").returncode == 0
    for name in ("rates.jsonl", "rates.csv", "report.md", "report.html"):
        assert (broken / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes(), name
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in kept.items()), "a finished piece was redone"


# --- the other experiments -------------------------------------------------------------------------------------------


def test_in_context_rates_are_those_of_prefixes(text: Path) -> None:
    chunks = chunks_of(text.read_bytes())[:3]
    rows = in_context(str(text), ["gzip", "order2"], positions=[1, 100, 2048], limit_chunks=3)
    gzip, order2 = compgen.compressor("gzip"), compgen.predictor("order2")
    for row in rows[:3]:
        n = row["position_bytes"]
        assert row["rate_percent"] == pytest.approx(np.mean([100 * gzip.code_length(c[:n]) / 8 / n for c in chunks]))
    for row in rows[3:]:
        n = row["position_bytes"]
        bits = [math.fsum(order2.code_lengths([c[:n]])[0]) for c in chunks]
        assert row["rate_percent"] == pytest.approx(np.mean(bits) / 8 / n * 100)
    since = np.mean([gzip.code_length(c) - gzip.code_length(c[:100]) for c in chunks]) / 1948
    assert rows[2]["bits_per_byte_since"] == pytest.approx(since)
    assert rows[2]["rate_percent"] < rows[1]["rate_percent"] < rows[0]["rate_percent"]


def test_in_context_positions_must_make_sense(text: Path) -> None:
    assert default_positions(2048)[-1] == 2048
    assert default_positions(40) == (1, 2, 4, 8, 16, 32, 40)
    for positions in ([0, 5], [5, 5], [7, 3], [4096]):
        with pytest.raises(UsageError, match="positions"):
            in_context(str(text), ["gzip"], positions=positions)


def test_scaling_charges_each_size_of_data(text: Path) -> None:
    pytest.importorskip("compgen.predictors.transformer.predictor")
    rows = scaling(str(text), ["transformer:size=200k"], sizes_bytes=[1024, 10**8], chunks=2, chunk_bytes=128)
    model = compgen.predictor("transformer:size=200k")
    for row in rows:
        expected = row["rate_percent"] + 100 * 2 * model.parameters / row["set_bytes"]
        assert row["adjusted_percent"] == pytest.approx(expected)
    assert [row["extrapolated"] for row in rows] == [False, True]
    assert all(row["trained_on"] for row in rows)


@given(st.integers(1, 60), st.integers(1, 30))
def test_chunks_are_spread_evenly(count: int, wanted: int) -> None:
    data = datasets.load(f"random:bytes={64 * count}", chunk_bytes=64)
    everything = list(data.chunks())
    some = list(spread(data, wanted))
    places = [everything.index(chunk) for chunk in some]
    assert len(places) == min(count, wanted)
    assert places == sorted(set(places))
    assert places[0] == 0
    gaps = np.diff(places)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_generation_is_what_sampling_gives(text: Path) -> None:
    [row] = generation(str(text), ["order2"], first=2)
    chunk = chunks_of(text.read_bytes())[2]
    import base64

    assert base64.b64decode(row["context_base64"]) == chunk[:1948]
    assert base64.b64decode(row["truth_base64"]) == chunk[1948:]
    [sampled] = compgen.sample("order2", chunk[:1948], 100)
    assert base64.b64decode(row["sampled_base64"]) == sampled
    bits = compgen.predictor("order2").code_lengths([chunk[1948:]], [chunk[:1948]])[0]
    assert row["truth_bits_per_byte"] == pytest.approx(math.fsum(bits) / 100)


def test_generation_of_images_and_sounds_keeps_what_was_given(images: Path, speech: Path) -> None:
    rows = generation([str(images), str(speech)], ["order1", "cm"], first=0, image_width=32, chunk_bytes=256 * 8)
    picture, truth = picture_of(rows[0], "sampled_base64"), picture_of(rows[0], "truth_base64")
    assert picture.shape == truth.shape == (18, 32)
    assert np.array_equal(picture[:, :16], truth[:, :16])
    assert not np.array_equal(picture[:16], picture[:1].repeat(16, axis=0))
    assert rows[1]["spec"] == "cm:mode=image,width=32"
    sound, recording = sound_of(rows[2], "sampled_base64"), sound_of(rows[2], "truth_base64")
    original, _ = soundfile.read(next(speech.glob("*.flac")), dtype="int16")
    assert np.array_equal(recording, (original[:2048] >> 8) << 8)
    assert np.array_equal(sound[:1024], recording[:1024])


def test_generation_of_16_bits_has_the_true_samples(speech: Path) -> None:
    [row] = generation(str(speech), ["order1"], first=1, bits=16)
    original, _ = soundfile.read(next(speech.glob("*.flac")), dtype="int16")
    assert np.array_equal(sound_of(row, "truth_base64"), original[1024:2048])


def test_a_model_of_tokens_is_measured_in_its_tokens(tmp_path: Path, text: Path) -> None:
    pytest.importorskip("torch")
    from compgen.benchmark.trained import Training, train

    training = Training(datasets.load(str(text)), tmp_path / "models", steps=2, batch_symbols=256, context=64)
    specs = train(training, ["200k"], (256, 300))
    written = {spec: Path(spec.partition(":")[2]).stat().st_mtime_ns for spec in specs}
    rows = tokenizers(str(text), specs, limit_chunks=2, chunk_bytes=256)
    assert [(row["tokenizer"], row["size"]) for row in rows] == [("bytes", "200k"), ("bpe-300", "200k")]
    assert rows[0]["bytes_per_token"] == 1.0 < rows[1]["bytes_per_token"]
    for row, spec in zip(rows, specs, strict=True):
        chunks = chunks_of(text.read_bytes(), 256)[:2]
        coded = [8 * len(compgen.predictor(spec).encode_block(chunk)) for chunk in chunks]  # type: ignore[attr-defined]
        assert row["rate_percent"] == pytest.approx(100 * sum(coded) / 8 / 512, abs=1)
    assert train(training, ["200k"], (256, 300)) == specs
    assert written == {spec: Path(spec.partition(":")[2]).stat().st_mtime_ns for spec in specs}, "trained again"


# --- tables, files, published numbers --------------------------------------------------------------------------------


def test_published_numbers_are_found() -> None:
    assert published.table1("gzip", "enwik8[:300000]", 2048) == 48.1
    assert published.table1("gzip", "enwik9", None) == 32.3
    assert published.table1("gzip", "imagenet", 1024) is None
    assert published.table1("transformer:size=800k", "enwik9", 2048, adjusted=True) == 21.9
    assert published.table1("hf:meta-llama/Llama-2-7b-hf", "librispeech", 2048) == 23.1
    assert published.table1("gzip", "words.txt", 2048) is None
    assert published.table2("bpe-1000", "200k") == 25.4
    assert len(published.figure2()) == 12


def test_rows_are_written_as_json_lines_and_csv(text: Path, tmp_path: Path) -> None:
    rows = rates(str(text), ["gzip", "lzma2"])
    report.write(tmp_path / "out", {"rates": rows})
    assert report.read(tmp_path / "out") == {"rates": rows}
    read = list(csv.DictReader(io.StringIO((tmp_path / "out" / "rates.csv").read_text())))
    assert [float(row["rate_percent"]) for row in read] == [row["rate_percent"] for row in rows]
    assert all("second" not in key and "time" not in key for row in rows for key in row)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "http" not in page.replace("https://arxiv.org", "").replace("http://www.w3.org", "")


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "rates.jsonl").write_text("{")
    with pytest.raises(BadInputError, match=r"rates\.jsonl is damaged"):
        report.read(tmp_path)


def test_tables_say_what_failed_and_escape_what_they_quote() -> None:
    table = tables.Table("t", "c", ("model", "x"), [("mix(a|b)", "1")])
    assert "mix(a\\|b)" in report.markdown_table(table)


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_command_prints_tables_and_writes_a_report(text: Path, tmp_path: Path) -> None:
    done = run_program("bench", "rates", text, "--model", "gzip", "--out", tmp_path / "o", cache=tmp_path / "c")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Compression rate (%), chunks of 2,048 bytes" in done.stdout
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        *("rates.jsonl", "rates.csv", "report.md", "report.html", "seconds.json", "results"),
    }
    assert list((tmp_path / "c").rglob("*.json")), "results are kept for other runs too"
    done = run_program(
        *("bench", "in-context", text, "--model", "gzip", "--limit-chunks", "2", "--out", tmp_path / "o", "--json"),
        cache=tmp_path / "c",
    )
    assert json.loads(done.stdout)[-1]["position_bytes"] == 2048
    page = (tmp_path / "o" / "report.html").read_text()
    assert "Compression rates" in page
    assert "In-context compression" in page


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("rates", "small.txt", "--model", "gzip"), 1, "too few for a chunk"),
        (("rates", "small.txt", "--model", "nogzip"), 2, "did you mean"),
        (("rates", "nothing-here"), 2, "neither a data set nor a file"),
        (("rates", "small.txt", "--cache", "x", "--no-cache"), 2, "not both"),
        (("tokenizers", "small.txt", "--vocabulary", "300"), 2, "--train"),
        (("rates", "small.txt", "--out", "small.txt"), 1, "cannot make the folder"),
        (("scaling", "small.txt", "--size", "many"), 2, "not a size"),
    ],
)
def test_failures_are_one_line(
    arguments: tuple[str, ...],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from compgen import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    Path("small.txt").write_bytes(b"small")
    assert cli._run(["bench", *arguments]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1 or arguments[0] == "rates"


# --- the page in a browser -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Any:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser: pip install playwright")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as driver:
        try:
            opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no browser starts here: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def whole_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with something of every kind."""
    folder = tmp_path_factory.mktemp("report")
    text = folder / "words.txt"
    text.write_bytes(synthetic_text(4 * 2048))
    pictures, speech = folder / "pictures", folder / "speech"
    pictures.mkdir()
    speech.mkdir()
    Image.fromarray(np.frombuffer(synthetic_image(64, 64), np.uint8).reshape(64, 64)).save(pictures / "a.png")
    soundfile.write(speech / "a.wav", np.frombuffer(synthetic_speech(4096, 16), "<i2"), 16000)
    names, models = [str(text), str(pictures), str(speech)], ["order1", "gzip:level=1", "order3"]
    experiments = {
        "rates": rates([*names, "random"], models, limit_chunks=2),
        "scaling": scaling(names[:1], ["order1"], sizes_bytes=[4096, 10**6], chunks=2),
        "in-context": in_context(names, models, limit_chunks=2),
        "generation": generation(names, models[:1] + models[2:], first=0, image_width=32),
    }
    report.write(folder / "out", experiments)
    return folder / "out" / "report.html"


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (1100, "dark"), (390, "light")])
def test_the_page_looks_right_in_a_browser(browser: Any, whole_report: Path, width: int, scheme: str) -> None:
    pytest.importorskip("matplotlib")
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or problems.append(request.url))
    page.goto(whole_report.as_uri())
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page is wider than the screen"
    images = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width, i.alt])")
    assert len(images) >= 4 + 3 + 1 + 3
    assert all(natural and 0 < shown <= width and alt for natural, shown, alt in images)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert dark == (scheme == "dark")
    chosen = page.evaluate(
        "document.querySelector('picture img').currentSrc == document.querySelector('source').srcset"
    )
    assert chosen == dark, "the figure is not the one for this colour scheme"
    seconds = page.evaluate(
        """() => Promise.all([...document.querySelectorAll('audio')].map(a => new Promise((good, bad) => {
            a.onloadedmetadata = () => good(a.duration); a.onerror = () => bad(a.error.message); a.preload = 'auto';
            a.load(); })))"""
    )
    assert seconds == pytest.approx([2048 / 16000] * 3, abs=0.002)
    texts = "[...document.querySelectorAll('h1,h2,h3,figcaption,pre')]"
    cut = page.evaluate(f"{texts}.filter(e => e.scrollWidth > e.clientWidth + 1).length")
    assert cut == 0
    page.close()


def test_without_matplotlib_there_are_tables_and_a_note(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compgen.benchmark.page import page

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    made = page({"rates": rates(str(text), ["gzip"])}, report.EXPERIMENTS)
    assert "compgen[plots]" in made
    assert "<table>" in made
    assert "<picture>" not in made
