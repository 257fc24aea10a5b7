"""``compgen predict``."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import click

from compgen.cli import options, output

if TYPE_CHECKING:
    from compgen.interfaces import Predictor


@click.command("predict", cls=options.Described)
@click.argument("file")
@options.models(multiple=True)
@click.option("--context", type=int, metavar="N", help="Predict from the last N bytes only.")
@click.option("--top", type=int, default=20, show_default=True, metavar="N", help="Show the N likeliest bytes.")
@click.option("--score", is_flag=True, help="Bits per byte over FILE instead, every byte predicted from all before it.")
@click.option("--limit", type=int, metavar="N", help="Read only the first N bytes of FILE.")
@options.workers
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def command(
    file: str,
    compressor: tuple[str, ...],
    predictor: tuple[str, ...],
    context: int | None,
    top: int,
    score: bool,
    limit: int | None,
    jobs: int | None,
    backend: str | None,
    as_json: bool,
) -> None:
    """Show what comes next after FILE (- is standard input), or score how well FILE is predicted.

    The table lists the likeliest next bytes with their probability and its code length in bits. With --score, several
    --compressor and --predictor options make one table that compares them; a compressor's own rate stands beside.

    \b
    Examples:
      compgen predict notes.txt --compressor gzip
      printf 'to be or not to be, to be or not to ' | compgen predict - --top 5
      compgen predict notes.txt --score --limit 2048 --compressor gzip --compressor lzma2
    """
    from compgen import files, registry

    models = [registry.predictor(registry.compressor(spec)) for spec in compressor or (() if predictor else ("gzip",))]
    models += [registry.predictor(spec) for spec in predictor]
    _check(models, score, context, top)
    data = files.read(file, limit)
    with options.working(jobs, backend):
        if score:
            _show_scores([_score(model, data) for model in models], as_json)
        else:
            _show_distribution(models[0], data[-context:] if context else data, top, as_json)


def _check(models: list[Predictor], score: bool, context: int | None, top: int) -> None:
    if not score and len(models) > 1:
        raise click.UsageError("one distribution at a time; to compare several models add --score")
    if score and context is not None:
        raise click.UsageError("--context means nothing with --score, where each byte has all before it as context")
    if context is not None and context < 1:
        raise click.UsageError(f"--context must be at least 1 byte, not {context}")
    if not 1 <= top <= 256:
        raise click.UsageError(f"--top must be from 1 to 256, not {top}")
    for model in models:
        if model.alphabet_size != 256:
            raise click.UsageError(f"{model.spec} predicts {model.alphabet_size} symbols, not bytes")


def _show_distribution(model: Predictor, context: bytes, top: int, as_json: bool) -> None:
    import numpy as np

    p = model.session([context]).probabilities()[0]
    order = np.argsort(-p, kind="stable")
    symbols = [(int(byte), float(p[byte]), float(-np.log2(p[byte]))) for byte in order[:top]]
    rest = float(p[order[top:]].sum())
    entropy_bits = float(-(p * np.log2(p)).sum())
    if as_json:
        names = ("byte", "probability", "bits")
        output.show_json(
            {
                "predictor": model.spec,
                "context_bytes": len(context),
                "entropy_bits": entropy_bits,
                "next": [dict(zip(names, symbol, strict=True)) for symbol in symbols],
                "rest_probability": rest,
            }
        )
        return
    table = output.table("byte", "char", "probability", "bits", "", right=("byte", "probability", "bits"))
    for byte, probability, bits in symbols:
        bar = "█" * round(24 * probability / symbols[0][1])
        table.add_row(f"0x{byte:02x}", _character(byte), f"{probability:.6f}", f"{bits:.2f}", bar)
    if top < 256:
        table.add_row("", f"{256 - top} more", f"{rest:.6f}")
    output.show(table, f"\n{model.spec} after {len(context):,} bytes: entropy {entropy_bits:.3f} bits")


def _character(byte: int) -> str:
    return "space" if byte == 32 else repr(bytes([byte]))[2:-1]


def _score(model: Predictor, data: bytes) -> dict[str, Any]:
    """One row: bits per byte under teacher forcing, and the rate of the codec itself where the model is one."""
    from compgen.bridge import CompressorPredictor

    start = time.perf_counter()
    with output.progress(f"scoring {model.spec}") as progress:
        bits = math.fsum(model.code_lengths([data], progress=progress)[0])
    seconds = time.perf_counter() - start
    codec_bits = model.compressor.code_length(data) if isinstance(model, CompressorPredictor) else None
    return {
        "model": model.spec,
        "bytes": len(data),
        "total_bits": bits,
        "bits_per_byte": bits / len(data),
        "codec_bits_per_byte": None if codec_bits is None else codec_bits / len(data),
        "seconds": seconds,
    }


def _show_scores(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        output.show_json(rows)
        return
    numbers = ("bits/byte", "the codec's own", "bytes", "seconds")
    table = output.table("model", *numbers, right=numbers)
    for row in rows:
        own = row["codec_bits_per_byte"]
        table.add_row(
            row["model"],
            f"{row['bits_per_byte']:.3f}",
            "" if own is None else f"{own:.3f}",
            f"{row['bytes']:,}",
            f"{row['seconds']:.1f}",
        )
    output.show(table)
