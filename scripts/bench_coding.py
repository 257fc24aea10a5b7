"""How fast is the arithmetic coder, next to constriction 0.5.0 on the same pmfs, and how many bits does it lose?

Run:  pip install constriction==0.5.0;  python scripts/bench_coding.py [--repeats N] [--symbols N]

Both code the same symbols with the same pmfs, in turns in one run, from floats to bytes and back: quantisation is in
all times. Rows: a pmf a symbol, given as a 2-D array. One: a Python call a symbol, with the pmf of that step only.
Shared: one pmf for all symbols. Rates are medians, in millions of symbols a second of processor time (all of it is on
one thread, and other work on the machine does not count). Prints a table and one last line of JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from compgen.coding import BatchDecoder, BatchEncoder, Decoder, Encoder, quantise

try:
    import constriction
except ImportError:
    sys.exit("this comparison needs constriction:  pip install constriction==0.5.0")

PRECISION_BITS = 24
Pmf = npt.NDArray[Any]
Work = Callable[[], object]


def rates(works: list[Work], symbols: int, repeats: int) -> list[float]:
    """Median millions of symbols a second of each, taking turns."""
    times: list[list[float]] = [[] for _ in works]
    for repeat in range(repeats + 1):  # the first turn compiles
        for work, mine in zip(works, times, strict=True):
            start = time.process_time()
            work()
            if repeat > 0:
                mine.append(time.process_time() - start)
    return [symbols / statistics.median(mine) / 1e6 for mine in times]


def their_encoder(symbols: npt.NDArray[np.int32], pmf: Pmf, mode: str) -> Callable[[], npt.NDArray[np.uint32]]:
    encoder, categorical = constriction.stream.queue.RangeEncoder, constriction.stream.model.Categorical

    def work() -> npt.NDArray[np.uint32]:
        coder = encoder()
        if mode == "rows":
            coder.encode(symbols, categorical(perfect=False), pmf)
        elif mode == "shared":
            coder.encode(symbols, categorical(pmf, perfect=False))
        else:
            for symbol, row in zip(symbols.tolist(), pmf, strict=True):
                coder.encode(symbol, categorical(row, perfect=False))
        return coder.get_compressed()

    return work


def their_decoder(code: npt.NDArray[np.uint32], pmf: Pmf, mode: str, count: int) -> Work:
    decoder, categorical = constriction.stream.queue.RangeDecoder, constriction.stream.model.Categorical

    def work() -> object:
        coder = decoder(code)
        if mode == "rows":
            return coder.decode(categorical(perfect=False), pmf)
        if mode == "shared":
            return coder.decode(categorical(pmf, perfect=False), count)
        return [coder.decode(categorical(row, perfect=False)) for row in pmf]

    return work


def our_encoder(symbols: npt.NDArray[np.int64], pmf: Pmf, mode: str) -> Callable[[], bytes]:
    def work() -> bytes:
        coder = Encoder(PRECISION_BITS)
        if mode == "one":
            for symbol, row in zip(symbols.tolist(), pmf, strict=True):
                coder.encode(symbol, row)
        else:
            coder.encode_many(symbols, pmf)
        return coder.finish()

    return work


def our_decoder(code: bytes, pmf: Pmf, mode: str, count: int) -> Work:
    def work() -> object:
        coder = Decoder(code, PRECISION_BITS)
        if mode == "one":
            return [coder.decode(row) for row in pmf]
        return coder.decode_many(pmf, count)

    return work


def compare(alphabet: int, mode: str, dtype: str, count: int, repeats: int) -> dict[str, float]:
    """Rates of both, and the bits that ours are over the entropy of the sample."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(alphabet, 0.3), 1 if mode == "shared" else count)
    cdf = np.cumsum(rows, axis=1)
    symbols = np.minimum((cdf < rng.random((count, 1)) * cdf[:, -1:]).sum(axis=1), alphabet - 1)
    pmf = (rows[0] if mode == "shared" else rows).astype(dtype)
    ours, theirs = our_encoder(symbols, pmf, mode), their_encoder(symbols.astype(np.int32), pmf, mode)
    our_code, their_code = ours(), theirs()
    our_back, their_back = our_decoder(our_code, pmf, mode, count), their_decoder(their_code, pmf, mode, count)
    if not np.array_equal(np.array(our_back()), symbols) or not np.array_equal(np.array(their_back()), symbols):
        sys.exit("a round trip failed")
    encode, their_encode, decode, their_decode = rates([ours, theirs, our_back, their_back], count, repeats)
    ideal_bits = -np.log2(rows[np.arange(count) if mode != "shared" else 0, symbols]).sum()
    return {
        "encode": encode,
        "constriction_encode": their_encode,
        "decode": decode,
        "constriction_decode": their_decode,
        "bits_over_pmf": 8 * len(our_code) - float(ideal_bits),
        "constriction_bits_over_pmf": 32 * len(their_code) - float(ideal_bits),
    }


def many_streams(streams: int, steps: int, repeats: int) -> dict[str, float]:
    """Rates of streams in step, a call for one symbol of each, 256-ary."""
    rng = np.random.default_rng(1)
    pmf = rng.dirichlet(np.full(256, 0.3), (steps, streams))
    symbols = rng.integers(0, 256, (steps, streams))

    def encode() -> list[bytes]:
        coder = BatchEncoder(streams, PRECISION_BITS)
        for row, rows in zip(symbols, pmf, strict=True):
            coder.encode(row, rows)
        return coder.finish()

    def decode() -> None:
        coder = BatchDecoder(codes, PRECISION_BITS)
        for rows in pmf:
            coder.decode(rows)

    codes = encode()
    quantised, encoded, decoded = rates(
        [lambda: quantise(pmf, PRECISION_BITS), encode, decode], steps * streams, repeats
    )
    return {"quantise": quantised, "encode": encoded, "decode": decoded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="turns that count (default 9)")
    parser.add_argument("--symbols", type=int, default=8192, help="symbols at alphabet 256 (default 8192)")
    options = parser.parse_args()
    table = Table(
        "alphabet", "pmfs", "type", "encode", "constriction", "decode", "constriction", "bits over", "constriction"
    )
    results: dict[str, dict[str, float]] = {}
    for alphabet, count in ((256, options.symbols), (50_000, 128)):
        for mode in ("rows", "one", "shared"):
            for dtype in ("float64", "float32"):
                many = count * (50 if alphabet == 256 else 20) if mode == "shared" else count
                result = compare(alphabet, mode, dtype, many, options.repeats)
                results[f"{alphabet} {mode} {dtype}"] = {key: round(value, 4) for key, value in result.items()}
                table.add_row(str(alphabet), mode, dtype, *(f"{value:.3f}" for value in result.values()))
    batch = many_streams(64, 128, options.repeats)
    Console(width=120).print(table)
    print("64 streams in step, 256-ary:", ", ".join(f"{name} {rate:.2f} M/s" for name, rate in batch.items()))
    results["streams"] = {key: round(value, 4) for key, value in batch.items()}
    print(json.dumps({"machine": platform.machine(), "precision_bits": PRECISION_BITS, "M_symbols_per_s": results}))


if __name__ == "__main__":
    main()
