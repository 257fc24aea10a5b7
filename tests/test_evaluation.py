"""``compgen.evaluate``: windows, sums and rates against straightforward implementations, whatever the batch."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import synthetic_text
from hypothesis import given, settings
from hypothesis import strategies as st

import compgen
from compgen.errors import BadInputError, UsageError
from compgen.evaluation import corpus as disk
from compgen.evaluation import results, scoring, windows
from compgen.evaluation.windows import Geometry

DOCUMENTS = [synthetic_text(length, seed=length).decode() for length in (900, 350, 40, 3, 700)]
DOCUMENTS[1] += " héllo 😀 ▁ naïve"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compgen" / "evaluations"


def write_lines(path: Path, texts: list[str], **more: Any) -> Path:
    path.write_text("".join(json.dumps({"text": text, **more}) + "\n" for text in texts))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "web.jsonl", DOCUMENTS)


# --- windows ---


def rolling(tokens: list[int], prefix: int, longest: int, context: int) -> Iterator[tuple[list[int], list[int]]]:
    """lm-evaluation-harness's ``get_rolling_token_windows``, from its description: (inputs, predicted) of each."""
    if not tokens:
        return
    first = min(longest, len(tokens))
    yield [prefix, *tokens[: first - 1]], tokens[:first]
    done = first
    while done < len(tokens):
        count = min(len(tokens) - done, longest - context + 1)
        done += count
        yield tokens[done - longest - 1 : done - 1], tokens[done - count : done]


shapes = st.integers(1, 12).flatmap(lambda block: st.tuples(st.just(block), st.integers(1, block)))


def read(table: Any, tokens: list[int], start: int = -1) -> list[tuple[list[int], list[int]]]:
    """Windows as (inputs, scored)."""
    rows = [windows.Window(*row) for row in table.tolist()]
    return [([start] * w.start + tokens[w.first : w.end - 1], tokens[w.scored : w.end]) for w in rows]


@settings(max_examples=300, deadline=None)
@given(length=st.integers(0, 60), shape=shapes)
def test_documents_are_the_rolling_windows_of_lm_evaluation_harness(length: int, shape: tuple[int, int]) -> None:
    block, stride = shape
    tokens = list(range(length))
    expected = list(rolling(tokens, -1, block, block - stride + 1))
    assert read(windows.document(length, Geometry(*shape), True), tokens) == expected


def test_the_description_is_that_of_lm_evaluation_harness() -> None:
    utils = pytest.importorskip("lm_eval.utils", reason="compares with lm-evaluation-harness where it is installed")
    for length in range(40):
        for block, context in ((1, 1), (7, 1), (7, 3), (7, 7), (12, 5)):
            real = list(utils.get_rolling_token_windows(list(range(length)), -1, block, context))
            assert list(rolling(list(range(length)), -1, block, context)) == real


@settings(max_examples=300, deadline=None)
@given(length=st.integers(1, 60), shape=shapes)
def test_opencompass_is_rolling_windows_less_the_last_partial_one(length: int, shape: tuple[int, int]) -> None:
    block, stride = shape
    tokens = list(range(length))
    found = read(windows.opencompass(length, Geometry(*shape)), tokens)
    harness = rolling(tokens[1:], 0, block, block - stride + 1)
    whole = [pair for i, pair in enumerate(harness) if len(pair[1]) == (stride if i else block)]
    assert found == whole
    assert len(found) == max(0, (length - block - 1) // stride + 1)
    assert sum(len(scored) for _, scored in found) == (0 if not found else length - 1 - (length - block - 1) % stride)


@settings(max_examples=300, deadline=None)
@given(length=st.integers(0, 60), shape=shapes, start=st.booleans(), origin=st.integers(0, 5))
@pytest.mark.parametrize("cut", [windows.full, windows.document])
def test_every_symbol_is_scored_once(
    cut: Callable[..., Any], length: int, shape: tuple[int, int], start: bool, origin: int
) -> None:
    tokens = list(range(origin + length))
    found = read(cut(length, Geometry(*shape), start, origin), tokens)
    assert [token for _, scored in found for token in scored] == tokens[origin:]
    assert all(len(inputs) <= shape[0] for inputs, _ in found)
    for number, (inputs, scored) in enumerate(found):
        if start or number:
            assert inputs[-len(scored) :][1:] == scored[:-1]  # each symbol is an input of the next
            assert len(inputs) >= len(scored)


@pytest.mark.parametrize(("block", "stride"), [(0, 1), (5, 0), (5, 6)])
def test_impossible_windows_are_refused(block: int, stride: int) -> None:
    with pytest.raises(UsageError, match=r"at least 1|from 1 to"):
        Geometry(block, stride)


# --- predictors over bytes, and codecs ---


def test_bytes_of_everything(data: Path) -> None:
    text = "".join(DOCUMENTS)
    found = compgen.evaluate("order2", data)
    total = found.total
    bits = math.fsum(compgen.predictor("order2").code_lengths([text.encode()])[0])
    assert total.bits == pytest.approx(bits, rel=1e-12)
    assert (total.bytes, total.characters, total.documents) == (len(text.encode()), len(text), 5)
    assert total.words == sum(len(document.split()) for document in DOCUMENTS)
    assert total.bpb == pytest.approx(bits / len(text.encode()))
    assert total.bpc == pytest.approx(bits / len(text))
    assert total.byte_perplexity == pytest.approx(2**total.bpb)
    assert math.log2(total.word_perplexity) == pytest.approx(bits / total.words)
    assert total.scored == total.tokens == total.bytes
    assert found.bpb == total.bpb


def test_blocks_and_documents_begin_anew(data: Path) -> None:
    model, whole = compgen.predictor("order2"), "".join(DOCUMENTS).encode()
    blocks = [whole[first : first + 300] for first in range(0, len(whole), 300)]
    found = compgen.evaluate("order2", data, block_bytes=300).total
    assert found.bits == pytest.approx(math.fsum(map(math.fsum, model.code_lengths(blocks))))
    assert found.windows == len(blocks)
    alone = [math.fsum(bits) for bits in model.code_lengths([text.encode() for text in DOCUMENTS])]
    assert compgen.evaluate("order2", data, protocol="document").total.bits == pytest.approx(math.fsum(alone))


@pytest.mark.parametrize("spec", ["order2", "gzip"])
def test_opencompass_windows_of_bytes(tmp_path: Path, spec: str) -> None:
    text = synthetic_text(260)
    (tmp_path / "notes.txt").write_bytes(text)
    found = compgen.evaluate(spec, tmp_path / "notes.txt", protocol="opencompass", block_size=100, stride=60)
    model, bits = compgen.predictor(spec), 0.0
    for number in range((260 - 101) // 60 + 1):
        window = text[60 * number : 60 * number + 101]
        kept = 1 if number == 0 else 41
        bits += math.fsum(model.code_lengths([window[kept:]], [window[:kept]])[0])
    assert found.total.bits == pytest.approx(bits, rel=1e-12)
    assert (found.total.scored, found.total.windows, found.total.bytes) == (220, 3, 260)


def test_codecs_by_their_size(data: Path) -> None:
    codec, texts = compgen.compressor("gzip"), [text.encode() for text in DOCUMENTS]
    assert compgen.evaluate(codec, data).total.bits == pytest.approx(8 * len(codec.compress(b"".join(texts))))
    alone = compgen.evaluate(codec, data, protocol="document").total
    assert alone.bits == pytest.approx(sum(map(codec.code_length, texts)))
    assert alone.bpb_interval is not None
    assert compgen.evaluate(codec, data, protocol="opencompass").rows == compgen.evaluate(codec, data).rows


def test_domains_total_and_average(tmp_path: Path) -> None:
    a, b = write_lines(tmp_path / "a.jsonl", DOCUMENTS[:2]), write_lines(tmp_path / "b.jsonl", DOCUMENTS[2:])
    both = compgen.evaluate("order2", [a, f"second={b}"])
    alone = [compgen.evaluate("order2", path).total for path in (a, b)]
    assert [row.domain for row in both.rows] == ["a", "second"]
    assert [row.nats for row in both.rows] == [row.nats for row in alone]
    assert both.total.bpb == pytest.approx(sum(r.bits for r in alone) / sum(r.bytes for r in alone))
    assert both.average.bpb == pytest.approx(np.mean([row.bpb for row in alone]))
    assert both.average.bpc == pytest.approx(np.mean([row.bpc for row in alone]))
    mixed = tmp_path / "mixed.jsonl"
    lines = [(name, text) for pair in zip("ab", (DOCUMENTS[0], DOCUMENTS[4]), strict=True) for name, text in [pair] * 2]
    mixed.write_text("".join(json.dumps({"text": t, "kind": n}) + "\n" for n, t in [lines[i] for i in (0, 2, 1, 3)]))
    rows = compgen.evaluate("order2", mixed, domain_field="kind").rows
    expected = compgen.predictor("order2").code_lengths([2 * DOCUMENTS[0].encode(), 2 * DOCUMENTS[4].encode()])
    assert [row.bits for row in rows] == pytest.approx([bits.sum() for bits in expected])


def test_bootstrap_intervals(tmp_path: Path) -> None:
    """Against the normal approximation for a ratio of sums, and against resampling in plain Python."""
    random = np.random.default_rng(0)
    sizes = random.integers(500, 1500, 300)
    nats = sizes * random.normal(0.7, 0.1, 300)
    sums = results.Sums("web", nats, sizes, sizes, sizes, counts={"tokens": 1, "scored": 1, "windows": 1})
    (row,), total, average = results.summarise([sums], 4000, 0.9, 0)
    error = np.sqrt(300 * np.var(nats - sizes * nats.sum() / sizes.sum())) / sizes.sum() / math.log(2)
    assert row.bpb_interval is not None
    assert row.bpb_interval == pytest.approx((row.bpb - 1.645 * error, row.bpb + 1.645 * error), abs=0.1 * error)
    assert total.bpb_interval == row.bpb_interval == average.bpb_interval
    drawn = [random.integers(300, size=300) for _ in range(4000)]
    ratios = sorted(nats[i].sum() / sizes[i].sum() / math.log(2) for i in drawn)
    assert row.bpb_interval == pytest.approx((ratios[200], ratios[3800]), abs=0.1 * error)
    assert results.summarise([sums], 4000, 0.9, 0)[0] == (row,)  # a seed fixes it
    one = write_lines(tmp_path / "one.jsonl", DOCUMENTS[:1])
    assert compgen.evaluate("order0", one).total.bpb_interval is None


# --- going on ---


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The windows that are scored, and an interruption when there are as many as the first number says."""
    seen, real = [10**9, 0], scoring.score

    def score(scorer: Any, pieces: Any, *rest: Any) -> Any:
        if seen[1] + len(pieces) > seen[0]:
            raise KeyboardInterrupt
        seen[1] += len(pieces)
        return real(scorer, pieces, *rest)

    monkeypatch.setattr(scoring, "score", score)
    return seen


def test_an_interrupted_run_goes_on(data: Path, counted: list[int], cache: Path) -> None:
    options: Any = {"block_bytes": 50, "batch_size": 2}
    whole = compgen.evaluate("order2", data, **options)
    count = counted[1]
    assert not list(cache.iterdir())  # nothing is left behind
    counted[:] = [11, 0]
    with pytest.raises(KeyboardInterrupt):
        compgen.evaluate("order2", data, **options)
    (partial,) = cache.glob("*.jsonl")
    with partial.open("ab") as file:
        file.write(b'{"window": 10, "nats": [1.5')  # as if killed while writing
    counted[:] = [10**9, 0]
    assert compgen.evaluate("order2", data, **options) == whole
    assert counted[1] == count - 10
    assert not list(cache.iterdir())


def test_what_is_kept_belongs_to_its_content(data: Path, tmp_path: Path, counted: list[int]) -> None:
    work: Any = {"work": tmp_path / "work", "block_bytes": 100}
    first = compgen.evaluate("order2", data, **work)
    counted[1] = 0
    assert compgen.evaluate("order2", data, **work) == first
    assert counted[1] == 0
    write_lines(data, [*DOCUMENTS[:-1], DOCUMENTS[-1].replace("e", "i")])
    assert compgen.evaluate("order2", data, **work).total.nats != first.total.nats
    assert compgen.evaluate("order3", data, **work).total.nats != first.total.nats


@pytest.mark.skipif(sys.platform == "win32", reason="uses signals of POSIX")
def test_a_killed_run_goes_on_with_the_same_numbers(tmp_path: Path, cache: Path) -> None:
    path = write_lines(tmp_path / "web.jsonl", [synthetic_text(2000, seed=i).decode() for i in range(40)])
    program = [sys.executable, "-m", "compgen", "evaluate", "--predictor", "cm", "--block-bytes", "500", "--json"]
    command = [*program, "--batch-size", "1", "--data", str(path)]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tmp_path)
    deadline = time.monotonic() + 100
    while not any(p.stat().st_size > 2000 for p in cache.glob("*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert list(cache.glob("*.jsonl")), "it was over before it could be killed"
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    (found,) = json.loads(done.stdout)
    assert found["total"]["nats"] == compgen.evaluate("cm", path, block_bytes=500).total.nats


def test_jobs_do_not_change_the_numbers(data: Path) -> None:
    alone = compgen.evaluate("order2", data, block_bytes=100, batch_size=2)
    with compgen.jobs(2):
        assert compgen.evaluate("order2", data, block_bytes=100, batch_size=3) == alone


def test_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    with path.open("w") as file:
        for i in range(90):
            file.write(json.dumps({"text": f"{i} " + "word " * 20_000}) + "\n")
    options: Any = {"block_bytes": 1 << 14, "resamples": 0}
    compgen.evaluate("uniform", write_lines(tmp_path / "small.jsonl", ["words"]), **options)  # imports what it needs
    tracemalloc.start()
    found = compgen.evaluate("uniform", path, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.total.bpb == pytest.approx(8)
    assert found.total.bytes > 9_000_000
    assert peak < 5_000_000


def test_progress_counts_what_is_scored(data: Path) -> None:
    seen = list[tuple[int, int]]()
    compgen.evaluate("order2", data, block_bytes=500, progress=lambda done, total: seen.append((done, total)))
    size = sum(len(text.encode()) for text in DOCUMENTS)
    assert seen[-1] == (size, size)


# --- bad input ---


def test_bad_input_is_named(tmp_path: Path, data: Path) -> None:
    empty = write_lines(tmp_path / "empty.jsonl", ["", ""])
    with pytest.raises(BadInputError, match="has no text"):
        compgen.evaluate("order2", empty)
    with pytest.raises(BadInputError, match=r"empty\.jsonl has no text"):
        compgen.evaluate("order2", [data, empty])
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text('{"text": "words", "kind": "a"}\n{"text": "", "kind": "b"}\n')
    with pytest.raises(BadInputError, match="the domain 'b' has no text"):
        compgen.evaluate("order2", mixed, domain_field="kind")
    with pytest.raises(
        BadInputError, match=r"web has .* bytes, fewer than one window of 1,901, .* use the protocol full"
    ):
        compgen.evaluate("order2", write_lines(tmp_path / "web.jsonl", ["short"]), protocol="opencompass")
    with pytest.raises(BadInputError, match="no data"):
        compgen.evaluate("order2", [])
    with pytest.raises(UsageError, match="unknown protocol 'fill'; did you mean full"):
        compgen.evaluate("order2", data, protocol="fill")
    for options in ({"batch_size": 0}, {"resamples": -1}, {"confidence": 1.0}, {"block_bytes": 0}):
        with pytest.raises(UsageError, match="must"):
            compgen.evaluate("order2", data, **options)


def test_empty_documents_and_other_encodings_are_said(tmp_path: Path) -> None:
    found = compgen.evaluate("order2", write_lines(tmp_path / "web.jsonl", ["", "some text", ""]))
    assert (found.total.documents, found.total.empty_documents) == (3, 2)
    assert "2 of 3 documents are empty" in found.notes
    (tmp_path / "mixed.txt").write_bytes("naïve ".encode("latin-1") * 9)
    found = compgen.evaluate("order2", tmp_path / "mixed.txt")
    assert found.total.bpc is found.average.bpc is found.total.characters is None
    assert any("not UTF-8" in note for note in found.notes)
    assert json.loads(json.dumps(found.as_dict()))["total"]["bpc"] is None


def test_data_that_change_meanwhile_are_noticed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = compgen.evaluation.survey(data)
    write_lines(data, DOCUMENTS[:3])
    with pytest.raises(BadInputError, match="changed while"):
        compgen.evaluate("order2", corpus)


def test_a_folder_that_cannot_be_written_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="cannot write"):
        compgen.evaluate("order2", data, work=tmp_path / "file")


def test_partial_results_come_back_to_the_last_bit(tmp_path: Path) -> None:
    lines = [{"window": i, "nats": np.random.default_rng(i).normal(size=3).tolist()} for i in range(5)]
    disk.Partial(tmp_path / "new" / "p.jsonl").append(lines)
    assert list(disk.Partial(tmp_path / "new" / "p.jsonl").read()) == lines
