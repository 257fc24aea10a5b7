"""``compgen bench``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compgen.cli import options, output

if TYPE_CHECKING:
    from compgen.benchmark.engine import Run
    from compgen.benchmark.rows import Row

F = TypeVar("F", bound=Callable[..., Any])


class _Group(options.Described, click.Group):
    pass


@click.group("bench", cls=_Group)
def command() -> None:
    """Measure compression as the paper does, on any data: its tables and figures, one command each.

    Every experiment leaves rows (JSON lines, CSV) and a report (Markdown, one HTML page) in a folder. Stopped at any
    time, the same command goes on from where it was. A DATASET is enwik8, enwik9, imagenet, librispeech, random, or the
    path of a file or folder.

    \b
    Examples:
      compgen bench rates notes.txt --model gzip --model cm
      compgen bench rates enwik8 imagenet --limit-chunks 1500 --jobs 2
      compgen bench all --limit-chunks 64 --out bench
    """


def _data(function: F) -> F:
    """Which data, and how much of them."""
    for option in (
        click.option("--limit-chunks", type=int, metavar="N", help="The first N chunks of each.  [default: 512]"),
        click.option("--limit-bytes", type=options.size, metavar="N", help="The first N bytes of each instead."),
        click.option(
            "--chunk-size",
            "chunk_bytes",
            type=options.size,
            default="2048",
            show_default=True,
            metavar="N",
            help="Bytes a chunk.",
        ),
        click.option(
            "--layout",
            type=click.Choice(["compgen", "paper"]),
            default="compgen",
            show_default=True,
            help="paper: the habits of the paper's public code.",
        ),
        click.option(
            "--bits", type=click.Choice(["8", "16"]), default="8", show_default=True, help="Bits a sample of audio."
        ),
        click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of random data and samples."),
    ):
        function = option(function)
    return function


def _running(function: F) -> F:
    """How it is run, and what it leaves."""
    for option in (
        options.workers,
        click.option(
            "--out",
            type=Path,
            default=Path("bench"),
            show_default=True,
            metavar="DIR",
            help="Folder of rows and report.",
        ),
        click.option(
            "--cache",
            type=Path,
            metavar="DIR",
            help="Keep results here too, for other runs.  [default: in the user's cache]",
        ),
        click.option("--no-cache", is_flag=True, help="Keep results in the folder of the run only."),
        click.option("--json", "as_json", is_flag=True, help="Print the rows as one JSON document."),
        click.option("-q", "--quiet", is_flag=True, help="No progress bar, and no tables."),
    ):
        function = option(function)
    return function


@command.command("rates", cls=options.Described)
@click.argument("datasets", metavar="[DATASET]...", nargs=-1)
@click.option("--model", "models", multiple=True, metavar="SPEC", help="A codec or predictor; several times for more.")
@_data
@click.option(
    "--whole",
    type=click.Choice(["none", "weightless", "all"]),
    default="weightless",
    show_default=True,
    help="What is coded as one stream too.",
)
@click.option("--only-whole", is_flag=True, help="No chunks.")
@click.option(
    "--charge",
    type=click.Choice(["parameters", "files"]),
    default="parameters",
    show_default=True,
    help="What adjusted rates add: 2 bytes a parameter, or the size of the weight files.",
)
@_running
def rates(
    datasets: tuple[str, ...], models: tuple[str, ...], only_whole: bool, whole: str, charge: str, **rest: Any
) -> None:
    """Table 1: rates of codecs and models on each DATASET, in chunks and whole, raw and adjusted.

    \b
    Examples:
      compgen bench rates notes.txt --model gzip --model lzma2 --model cm
      compgen bench rates imagenet --model png --layout paper --limit-chunks 1500
      compgen bench rates enwik9 --limit-bytes 1G --jobs 64 --backend dask:tcp://10.0.0.1:8786
    """
    from compgen.benchmark import rates as module

    def work(run: Run, settings: dict[str, Any]) -> list[Row]:
        return module.rates(
            datasets or module.DATASETS,
            models or module.MODELS,
            chunked=not only_whole,
            whole=whole,
            charge=charge,
            run=run,
            **settings,
        )

    _run("rates", work, rest, limit_chunks=module.CHUNKS)


def _run(name: str, work: Callable[[Run, dict[str, Any]], list[Row]], rest: dict[str, Any], limit_chunks: int) -> None:
    from compgen.benchmark import report
    from compgen.benchmark.tables import failures

    out, as_json, quiet = rest["out"], rest["as_json"], rest["quiet"]
    settings = _settings(rest, limit_chunks)
    report.prepare(out)
    with _running_as(name, rest) as run:
        rows = work(run, settings)
        report.write(out, {name: rows}, run.seconds)
    _show(rows, out, as_json, quiet)
    if lines := failures(rows):
        for line in lines:
            output.fail(line)
        raise click.exceptions.Exit(1)


def _settings(rest: dict[str, Any], limit_chunks: int) -> dict[str, Any]:
    names = ("limit_chunks", "limit_bytes", "chunk_bytes", "layout", "bits", "seed")
    settings = {key: rest[key] for key in names}
    settings["bits"] = int(settings["bits"])
    if settings["limit_chunks"] is None and settings["limit_bytes"] is None:
        settings["limit_chunks"] = limit_chunks
    return settings


@contextmanager
def _running_as(name: str, rest: dict[str, Any]) -> Iterator[Run]:
    """A run with its folders, jobs and progress bar."""
    from compgen.benchmark.engine import Run
    from compgen.benchmark.store import Store, default_folder

    own = rest["out"] / "results"
    if rest["no_cache"] and rest["cache"]:
        raise click.UsageError("give --cache or --no-cache, not both")
    folders = [own] if rest["no_cache"] else [own, rest["cache"] or default_folder()]
    store = Store(folders)
    with options.working(rest["jobs"], rest["backend"]), output.progress(name, quiet=rest["quiet"]) as progress:
        yield Run(store, progress)
    if store.damaged:
        output.note(f"{store.damaged:,} stored results were damaged and have been computed again")


def _show(rows: list[Row], out: Path, as_json: bool, quiet: bool) -> None:
    from compgen.benchmark.tables import tables

    if as_json:
        output.show_json(rows)
        return
    if quiet:
        return
    for table in tables(rows):
        drawn = output.table(*table.columns, right=table.columns[table.left :], title=table.title)
        for row in table.rows:
            drawn.add_row(*map(output.printable, row))
        output.show(drawn, "")
    output.show(f"rows and report: {out}")
