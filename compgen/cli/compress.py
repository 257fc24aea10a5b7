"""``compgen compress``."""

from __future__ import annotations

import sys
from typing import Any

import click

from compgen.cli import archives, options, output


@click.command("compress", cls=options.Described)
@click.argument("names", metavar="[FILE]...", nargs=-1)
@click.option("-o", "--out", metavar="OUT", help="Write here, - for standard output.  [default: FILE.cgz]")
@options.predictor("What predicts the next byte, by name or spec; compressors will do.  [default: cm]")
@click.option("--best", is_flag=True, help="The smallest archives, slowly: cm guided by a transformer.")
@click.option("--block-size", type=options.size, metavar="N", help="Code in parts of N bytes.  [default: 16M]")
@click.option("--streams", type=int, default=1, show_default=True, metavar="N", help="Code a block as N in step.")
@options.workers
@click.option("--no-verify", is_flag=True, help="Do not decode each block again to see that it comes out the same.")
@click.option("-f", "--force", is_flag=True, help="Replace an archive that exists.")
@click.option("--rm", "remove", is_flag=True, help="Delete FILE when its archive is on the disk.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
@options.loudness
def command(
    names: tuple[str, ...],
    out: str | None,
    predictor: str | None,
    best: bool,
    block_size: int | None,
    jobs: int | None,
    backend: str | None,
    no_verify: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Compress each FILE to FILE.cgz with any predictor; the file stays. With no FILE, or -, standard input.

    The archive names the predictor and checks every byte. Larger blocks are smaller together; several --jobs code
    several blocks at once, to the same archive, and take the memory of as many.

    \b
    Examples:
      compgen compress notes.txt
      compgen compress --best thesis.tex
      compgen compress --predictor order3 --jobs 2 --block-size 1M book.txt log.txt
      tar c folder | compgen compress -o folder.tar.cgz
      cat notes.txt | compgen compress | compgen decompress | cmp - notes.txt
    """
    from compgen import registry
    from compgen.archive import paths, writer

    names, to_stdout = archives.inputs(names, out, as_json)
    if to_stdout and sys.stdout.isatty():
        raise click.UsageError("a terminal cannot show an archive; name a FILE, or the output with -o OUT")
    if block_size is not None:
        settings["block_bytes"] = block_size
    if best and predictor is not None:
        raise click.UsageError("--best chooses the predictor; give one of --best and --predictor")
    model = registry.predictor(predictor or (writer.BEST_PREDICTOR if best else writer.DEFAULT_PREDICTOR))

    def work(name: str) -> dict[str, Any]:
        with output.progress(name, of_bytes=True, quiet=quiet) as progress:
            report = paths.compress_file(name, out, model, verify=not no_verify, progress=progress, **settings)
        archives.show_summary(report, verbose, quiet)
        return archives.row(report)

    with options.working(jobs, backend):
        archives.for_each(names, work, as_json)
