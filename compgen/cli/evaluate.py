"""``compgen evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compgen.cli import options, output

if TYPE_CHECKING:
    from compgen.evaluation import Evaluation, Row
    from compgen.interfaces import Compressor, Predictor


@click.command("evaluate", cls=options.Described)
@options.several("--predictor", "compgen.predictors", "compgen.compressors", text="Predictor, by name or spec.")
@options.several("--compressor", "compgen.compressors", text="Compressor, whose output's size is measured.")
@click.option("--data", multiple=True, metavar="[NAME=]PATH...", help="Files and folders; NAME is that of the domain.")
@click.argument("more", metavar="", nargs=-1)
@click.option("--protocol", default="full", show_default=True, metavar="NAME", help="full, document or opencompass.")
@click.option("--block-size", type=int, metavar="N", help="Tokens of a window.  [default: 1900]")
@click.option("--stride", type=int, metavar="N", help="Tokens from window to window.  [default: 512]")
@click.option("--batch-size", type=int, default=4, show_default=True, metavar="N", help="Windows read together.")
@click.option(
    "--block-bytes", type=options.size, metavar="N", help="Begin anew after N bytes, not hf:.  [default: 16M]"
)
@click.option("--field", metavar="NAME", help="Field with the text.  [default: text or content]")
@click.option("--domain-field", metavar="NAME", help="Field with the name of a document's domain.")
@click.option("--resamples", type=int, default=1000, show_default=True, metavar="N", help="Of the bootstrap.")
@click.option("--confidence", type=float, default=0.95, show_default=True, metavar="P", help="Of the intervals.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of the bootstrap.")
@click.option("--work", type=Path, metavar="DIR", help="Keep tokens and unfinished work here.  [default: the cache]")
@options.workers
@click.option("-o", "--out", type=Path, metavar="FILE", help="Write the results as JSON here too, as they come.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def command(
    predictor: tuple[str, ...],
    compressor: tuple[str, ...],
    data: tuple[str, ...],
    more: tuple[str, ...],
    jobs: int | None,
    backend: str | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    field: str | None,
    domain_field: str | None,
    block_bytes: int | None,
    **settings: Any,
) -> None:
    """Score models by the bits per byte of a text.

    It is their cross entropy in sliding windows, in bits per byte and per character, with perplexities and intervals.
    An hf: model is scored by tokens, other predictors by bytes, a --compressor by the size of what it writes. Data are
    text, JSON lines, Parquet, or folders of datasets, packed or not. A run that was stopped goes on where it was.

    \b
    Examples:
      compgen evaluate --predictor cm --compressor gzip --data notes.txt
      compgen evaluate --predictor hf:models/llama --data web=cc.jsonl code=python.jsonl.zst
      compgen evaluate --predictor hf:models/llama --protocol opencompass --data arxiv.parquet
      compgen evaluate --predictor hf:big,device_map=auto --batch-size 1 --data text/ -o big.json
    """
    from compgen import files
    from compgen.evaluation import survey

    models = _models(predictor, compressor)
    if not (data or more):
        raise click.UsageError("give the text to evaluate on with --data PATH")
    if out is not None:
        files.check_writable(out)
    if block_bytes is not None:
        settings["block_bytes"] = block_bytes
    results: list[Evaluation] = []
    with options.working(jobs, backend):
        with output.progress("reading", of_bytes=True, quiet=quiet) as progress:
            corpus = survey([*data, *more], field, domain_field, progress)
        for model in models:
            results.append(_evaluated(model, corpus, quiet, settings))
            if out is not None:
                files.write(out, (json.dumps([result.as_dict() for result in results], indent=2) + "\n").encode())
    if as_json:
        output.show_json([result.as_dict() for result in results])
    else:
        _show(results)


def _models(predictors: tuple[str, ...], compressors: tuple[str, ...]) -> list[Predictor | Compressor]:
    from compgen import registry

    if not (predictors or compressors):
        raise click.UsageError("name what to evaluate with --predictor SPEC or --compressor SPEC")
    found: list[Predictor | Compressor] = [registry.predictor(spec) for spec in predictors]
    return found + [registry.compressor(spec) for spec in compressors]


def _evaluated(model: Predictor | Compressor, corpus: Any, quiet: bool, settings: dict[str, Any]) -> Evaluation:
    from compgen.bridge import CompressorPredictor
    from compgen.evaluation import evaluate

    if isinstance(model, CompressorPredictor):
        output.note(f"{model.spec} as a predictor is slow; --compressor {model.spec} measures its size")
    with output.progress(f"scoring {model.spec}", quiet=quiet) as progress:
        return evaluate(model, corpus, progress=progress, **settings)


def _show(results: list[Evaluation]) -> None:
    percent = f"{100 * results[0].confidence:g} % interval"
    numbers = ("bits/byte", "bits/char", "byte ppl", "word ppl", "tokens", "bytes", "seconds")
    table = output.table("model", "domain", "bits/byte", percent, *numbers[1:], right=numbers)
    for result in results:
        rows = [*result.rows, result.total] if len(result.rows) > 1 else [result.total]
        for i, row in enumerate(rows):
            seconds = f"{result.seconds:.1f}" if row is rows[-1] else ""
            table.add_row(*map(output.printable, _cells(result, row, _name(result) if i == 0 else "", seconds)))
        if len(result.rows) > 1:
            average = result.average
            rates = f"{average.bpb:.4f}", _interval(average.bpb_interval), _number(average.bpc)
            table.add_row("", "average of domains", *rates)
    output.show(table, "", *map(output.printable, _remarks(results)))


def _cells(result: Evaluation, row: Row, model: str, seconds: str) -> list[str]:
    domain = result.rows[0].domain if len(result.rows) == 1 else row.domain
    word = row.word_perplexity
    perplexities = f"{row.byte_perplexity:.4g}", f"{word:,.0f}" if word < 1e7 else f"{word:.2e}"
    tokens = f"{row.scored:,}" if result.kind == "tokens" else ""
    rates = f"{row.bpb:.4f}", _interval(row.bpb_interval), _number(row.bpc)
    return [model, domain, *rates, *perplexities, tokens, f"{row.bytes:,}", seconds]


def _name(result: Evaluation) -> str:
    return f"{result.model} (size)" if result.kind == "size" else result.model


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _remarks(results: list[Evaluation]) -> list[str]:
    """What was read, and what is worth knowing of each model's numbers."""
    total = results[0].total
    characters = "" if total.characters is None else f"{total.characters:,} characters, "
    lines = [
        f"{results[0].protocol}: {total.documents:,} document{'s' * (total.documents != 1)}, {characters}"
        f"{total.bytes:,} bytes, {total.words:,} words"
    ]
    for result in results:
        geometry, total = result.geometry, result.total
        parts = [f"{total.nats:,.1f} nats, {total.bits:,.1f} bits"]
        if "block_size" in geometry:
            windows = f"{total.windows:,} windows of {geometry['block_size']:,} {geometry['unit']}"
            parts.append(f"{windows}, {geometry['stride']:,} apart")
        if geometry.get("start_token"):
            parts.append(f"start token {geometry['start_token']['text']} ({geometry['start_token']['id']})")
        lines.append(f"{_name(result)}: {'; '.join([*parts, *result.notes])}")
    return lines
