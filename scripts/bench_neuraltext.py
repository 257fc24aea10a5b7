"""Bytes a token, and speeds, of neurally compressed text.

    COMPGEN_DATA=... python scripts/bench_neuraltext.py [--model transformer:200k] [--documents 64] [--mixed 10]

Rates are on text that the shipped models have not seen, in documents of 2048 bytes, beside those of Lester et al. 2024.
Speeds are in thousands of bytes a second of CPU time on one core, beside plain scoring of the same documents by M1 with
all positions at once. `--mixed N` encodes and decodes N MB of texts, pictures, sounds and noise and compares them. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import compgen
from compgen.datasets.reading import read_file
from compgen.neuraltext import Encoder, make, paper
from compgen.neuraltext.dictionary import Dictionary
from compgen.neuraltext.windows import Windows

DOCUMENT = 2048
#: What rates are measured on; the models that ship have not learnt the last 5 %.
TEXTS = ("wiki_en_2014_plain_100MB.xz", "novels12.xz", "web_ud_ewt_train.xz")
VARIANTS: dict[str, dict[str, Any]] = {
    **{f"equal-info-{bits}": {"kind": "equal-info", "window_bits": bits} for bits in (16, 24, 32, 64, 128)},
    "equal-info-16, delay": {"kind": "equal-info", "window_bits": 16, "delay": True},
    "equal-info-16, M1 reset at alternate windows": {"kind": "equal-info", "reset_model": "alternate"},
    "equal-info-16, M1 never reset": {"kind": "equal-info", "reset_model": "never"},
    "ac": {"kind": "ac"},
    "static-ac": {"kind": "static-ac"},
    "gzip": {"kind": "gzip"},
}


def documents(data: Path, count: int) -> list[bytes]:
    """Documents from all over what is held out of each text."""
    found = []
    for name in TEXTS:
        content = read_file(data / "text" / name)
        first, room = len(content) * 95 // 100, len(content) * 5 // 100 - DOCUMENT
        starts = first + np.linspace(0, room, max(1, count // len(TEXTS))).astype(int)
        found += [content[start : start + DOCUMENT] for start in starts]
    return found


def rate(encoder: Encoder, texts: list[bytes]) -> float:
    return sum(map(len, texts)) / sum(map(len, encoder.encode(texts)))


def rates(model: str, texts: list[bytes]) -> dict[str, dict[str, Any]]:
    """Bytes a token for both widths, and the uniform model's bits a byte."""
    rows = {}
    for name, options in VARIANTS.items():
        encoder = make(model=model, token_bits=8, learn_from=texts, **options)
        narrow = rate(encoder, texts)
        halved = options["kind"] == "equal-info" and options.get("window_bits", 16) % 16 == 0  # the same windows
        wide = 2 * narrow if halved else rate(make(model=model, token_bits=16, learn_from=texts, **options), texts)
        theirs = paper.row(encoder.as_dict(), 256).get("bytes_per_token")
        rows[name] = {
            "bytes_per_token_256": round(narrow, 4),
            "bytes_per_token_65536": round(wide, 4),
            "uniform_bits_per_byte": round(8 / narrow, 4),
            "paper_bytes_per_token_256": float(theirs) if theirs else None,
        }
        print(
            f"{name:46} {narrow:8.3f} {wide:8.3f} {8 / narrow:8.3f} {theirs or '':>8}",
            flush=True,
        )
    return rows


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def speeds(model: str, texts: list[bytes], rounds: int) -> dict[str, Any]:
    """Thousands of bytes a second, medians of rounds in which all take turns, and ratios to scoring."""
    predictor, size = compgen.predictor(model), sum(map(len, texts))
    wide = {bits: make("equal-info", model=model, window_bits=bits) for bits in (32, 128)}
    windows = Windows(16, 16)
    words_seconds, words = seconds(lambda: Dictionary(predictor, windows))
    codes = {bits: encoder.encode(texts) for bits, encoder in wide.items()}
    known = [words.encode(text) for text in texts]
    work: dict[str, Callable[[], Any]] = {"scoring": lambda: predictor.code_lengths(texts)}
    for bits, encoder in wide.items():
        work[f"encode_{bits}"] = lambda encoder=encoder: encoder.encode(texts)
        work[f"decode_{bits}"] = lambda encoder=encoder, bits=bits: encoder.decode(codes[bits])
    work["encode_16"] = lambda: [words.encode(text) for text in texts for _ in range(20)]
    work["decode_16"] = lambda: [words.decode(code) for code in known for _ in range(20)]
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, do in work.items():
            taken[name].append(seconds(do)[0] / (20 if name.endswith("_16") else 1))
    found: dict[str, Any] = {"dictionary_seconds": round(words_seconds, 2)}
    for name, times in taken.items():
        found[f"{name}_kB_s"] = round(size / statistics.median(times[1:]) / 1000, 2)
        ratios = [base / own for base, own in zip(taken["scoring"][1:], times[1:], strict=True)]
        found[f"{name}_over_scoring"] = round(statistics.median(ratios), 2)
    return found


def mixed(data: Path, size: int) -> bytes:
    """Texts, pictures and sounds as they are in their files, noise and zeros, in turn."""

    def parts() -> Iterator[bytes]:
        pictures, sounds = sorted(data.glob("image/*.JPEG")), sorted(data.glob("audio/*.flac"))
        texts = [read_file(path)[-2_000_000:] for path in sorted(data.glob("text/*.xz"))]
        noise = np.random.default_rng(0)
        for i in range(1 << 20):
            text = texts[i % len(texts)]
            yield text[(i * 100_000) % len(text) :][:100_000]
            yield pictures[i % len(pictures)].read_bytes()[:50_000]
            yield sounds[i % len(sounds)].read_bytes()[:50_000]
            yield noise.bytes(5000) + bytes(5000)

    found = bytearray()
    for part in parts():
        found += part
        if len(found) >= size:
            return bytes(found[:size])
    raise AssertionError


def round_trip(data: bytes, encoder: Encoder) -> dict[str, Any]:
    cut = [data[start : start + 10_240] for start in range(0, len(data), 10_240)]
    encoding, tokens = seconds(lambda: encoder.encode(cut))
    decoding, back = seconds(lambda: encoder.decode(tokens))
    return {
        "encoder": encoder.label,
        "bytes": len(data),
        "same": back == cut,
        "bytes_per_token": round(len(data) / sum(map(len, tokens)), 3),
        "encode_kB_s": round(len(data) / encoding / 1000, 1),
        "decode_kB_s": round(len(data) / decoding / 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="transformer:200k")
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mixed", type=float, default=0, metavar="MB")
    parser.add_argument(
        "--wide", type=float, default=0, metavar="MB", help="of these so many in windows of 64 bits too"
    )
    parser.add_argument("--skip-rates", action="store_true")
    parser.add_argument("--skip-speeds", action="store_true")
    arguments = parser.parse_args()
    data = Path(os.environ["COMPGEN_DATA"])
    result: dict[str, Any] = {"benchmark": "neuraltext", "model": arguments.model, "documents": arguments.documents}
    texts = documents(data, arguments.documents)
    if not arguments.skip_rates:
        print(f"{'bytes a token, of':46} {'256':>8} {'65536':>8} {'uniform':>8} {'paper':>8}")
        result["rates"] = rates(arguments.model, texts)
    if not arguments.skip_speeds:
        result["speeds"] = speeds(arguments.model, texts, arguments.rounds)
        for name, value in result["speeds"].items():
            print(f"{name:46} {value}")
    if arguments.mixed:
        content = mixed(data, int(arguments.mixed * 1e6))
        trips = [(content, make("equal-info", model=arguments.model, token_bits=16))]
        if arguments.wide:
            trips.append(
                (content[: int(arguments.wide * 1e6)], make("equal-info", model=arguments.model, window_bits=64))
            )
        result["round_trips"] = [round_trip(*trip) for trip in trips]
        print(*result["round_trips"], sep="\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
