"""Rates and speeds of byte transformers, beside a plain float32 forward pass of the same weights in PyTorch.

    COMPGEN_DATA=... python scripts/bench_transformer.py [WEIGHTS...] [--chunks 100] [--best]

Without WEIGHTS the sizes that ship. Rates are in percent of raw size on held-out chunks of 2048 bytes, each coded for
itself; `adjusted` adds 2 bytes a parameter to 1 GB, as the paper does. `--best` also compresses the first 1,000,000
bytes of enwik8, which takes minutes, and says how fast paq8px would be here, by zpaq where that is installed. Speeds
are in thousands of bytes a second of CPU time, medians over rounds in which the contestants take turns. The last line
is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import compgen
from compgen.archive import BEST_PREDICTOR
from compgen.coding.payload import decode_streams, encode_streams
from compgen.datasets.reading import read_file
from compgen.predictors.transformer import weights
from compgen.predictors.transformer.corpus import split
from compgen.predictors.transformer.export import to_float
from compgen.predictors.transformer.predictor import Transformer, shipped

CHUNK = 2048
#: paq8px -8 packs 7.8 kB/s where zpaq -m5 packs 460, which tells what it would do on another machine.
PAQ8PX_OVER_ZPAQ = 7.8 / 460
#: Deletang et al. 2024, Table 1: enwik9 in chunks of 2048 bytes, percent, raw, by size.
PAPER = {"200k": 30.9, "800k": 21.7, "3.2m": 17.0}
#: What rates are measured on: file, and the part of it that the shipped models have not seen.
HELD_OUT = {
    "xml": "enwiki2016_xml_206pages.xz",
    "enwik8": "enwik8_0_3002913.xz",
    "plain": "wiki_en_2014_plain_100MB.xz",
    "novels": "novels12.xz",
    "python": "python_thealgorithms.xz",
}


def chunks(data: Path, count: int) -> dict[str, list[bytes]]:
    """Up to ``count`` chunks of each text, spread over what is held out; of enwik8, over its first 1,000,000 bytes."""
    found = {}
    for name, file in HELD_OUT.items():
        content = read_file(data / "text" / file)
        held_out = content[:1_000_000] if name == "enwik8" else split(name, np.frombuffer(content, np.uint8)).held_out
        whole = bytes(held_out)
        starts = np.linspace(0, len(whole) // CHUNK - 1, count).astype(int) * CHUNK
        found[name] = [whole[start : start + CHUNK] for start in starts]
    return found


def rates(model: Transformer, float_network: torch.nn.Module, texts: dict[str, list[bytes]]) -> dict[str, Any]:
    """Percent of raw size by text, and how much longer codes are than with the float network, in percent."""
    row: dict[str, Any] = {}
    ours = theirs = 0.0
    for name, parts in texts.items():
        bits = sum(float(lengths.sum()) for lengths in model.code_lengths(parts))
        symbols = np.stack([np.frombuffer(part, np.uint8) for part in parts]).astype(np.int64)
        with torch.no_grad():
            float_bits = sum(
                float(float_network.code_lengths(torch.from_numpy(symbols[i : i + 8])).double().sum())  # type: ignore[operator]
                for i in range(0, len(symbols), 8)
            )
        row[name] = round(100 * bits / 8 / symbols.size, 3)
        ours, theirs = ours + bits, theirs + float_bits
    row["fixed_over_float_percent"] = round(100 * (ours / theirs - 1), 4)
    return row


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def speeds(model: Transformer, float_network: torch.nn.Module, text: bytes, rounds: int) -> dict[str, float]:
    """Thousands of bytes a second, and ratios to the float forward pass."""
    symbols = torch.from_numpy(np.frombuffer(text[: 4 * CHUNK], np.uint8).reshape(4, CHUNK).astype(np.int64))
    many = text[: 64 * 400]
    code = encode_streams(model, many, 64)
    work = {
        "float": (4 * CHUNK, lambda: float_network(symbols)),
        "encode": (4 * CHUNK, lambda: encode_streams(model, text[: 4 * CHUNK], 4)),
        "decode_64": (len(many), lambda: decode_streams(model, code, len(many), 64)),
        "decode_1": (600, lambda: decode_streams(model, code_one, 600, 1)),
    }
    code_one = encode_streams(model, text[:600], 1)
    assert decode_streams(model, code, len(many), 64) == many
    taken: dict[str, list[float]] = {name: [] for name in work}
    with torch.no_grad():
        for _ in range(rounds):
            for name, (_, do) in work.items():
                taken[name].append(seconds(do))
    speed = {name: count / statistics.median(taken[name]) / 1000 for name, (count, _) in work.items()}
    ratios = {
        f"{name}_over_float": statistics.median(
            (work[name][0] / own) / (work["float"][0] / base)
            for own, base in zip(taken[name], taken["float"], strict=True)
        )
        for name in work
        if name != "float"
    }
    return {name: round(value, 3) for name, value in {**speed, **ratios}.items()}


def best(data: Path) -> dict[str, float]:
    """`compress --best` on the first 1,000,000 bytes of enwik8, there and back, and where it is installed zpaq -m5."""
    text = read_file(data / "text" / HELD_OUT["enwik8"])[:1_000_000]
    model = compgen.predictor(BEST_PREDICTOR)
    start = time.process_time()
    archive = compgen.compress(text, model, verify=False)
    packed = time.process_time()
    same = compgen.decompress(archive, model) == text
    done = time.process_time()
    row = {
        "bytes": len(archive),
        "same": same,
        "compress_kB_s": round(len(text) / (packed - start) / 1000, 2),
        "decompress_kB_s": round(len(text) / (done - packed) / 1000, 2),
    }
    if shutil.which("zpaq"):
        speed = zpaq(text)
        row["zpaq_m5_kB_s"] = round(speed, 1)
        row["paq8px_kB_s_here"] = round(speed * PAQ8PX_OVER_ZPAQ, 2)
    return row


def zpaq(text: bytes) -> float:
    """Thousands of bytes a second of CPU time that zpaq -m5 packs with one thread."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "text").write_bytes(text)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["zpaq", "a", "text.zpaq", "text", "-m5", "-t1"], cwd=name, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return len(text) / 1000 / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="*", type=Path)
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--best", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = Path(os.environ["COMPGEN_DATA"])
    texts = chunks(data, arguments.chunks)
    result: dict[str, Any] = {"benchmark": "transformer", "chunks": arguments.chunks, "models": {}}
    for path in arguments.weights or shipped().values():
        loaded = weights.load(path)
        model, network = Transformer(str(path)), to_float(loaded)
        parameters = loaded.config.parameters
        row = {"parameters": parameters, **rates(model, network, texts)}
        row["adjusted_xml"] = round(row["xml"] + 100 * 2 * parameters / 1e9, 3)
        row["paper_enwik9"] = PAPER.get(path.stem)
        row |= speeds(model, network, texts["plain"][0] * 40, arguments.rounds)
        result["models"][path.stem] = row
        print(f"\n{path.stem}")
        for name, value in row.items():
            print(f"  {name:28} {value}")
    if arguments.best:
        result["best"] = best(data)
        print("\n--best on the first 1,000,000 bytes of enwik8:", result["best"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
