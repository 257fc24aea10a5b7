"""``compgen decompress``."""

from __future__ import annotations

from typing import Any

import click

from compgen.cli import archives, options, output


@click.command("decompress", cls=options.Described)
@click.argument("names", metavar="[FILE]...", nargs=-1)
@click.option("-o", "--out", metavar="OUT", help="Write here, - for standard output.  [default: FILE without .cgz]")
@options.predictor("Use this predictor and not the one that the archive names.")
@options.workers
@click.option("-f", "--force", is_flag=True, help="Replace a file that exists.")
@click.option("--rm", "remove", is_flag=True, help="Delete FILE when what was in it is on the disk.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
@options.loudness
def command(
    names: tuple[str, ...],
    out: str | None,
    predictor: str | None,
    jobs: int | None,
    backend: str | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Decompress each FILE.cgz to FILE; the archive stays. With no FILE, or -, standard input to standard output.

    A file bears its name only when the whole archive was checked. To standard output each block goes as soon as it was
    checked itself; the exit code says whether all were right. Names inside an archive are never used.

    \b
    Examples:
      compgen decompress notes.txt.cgz
      compgen decompress --jobs 2 book.txt.cgz log.txt.cgz
      compgen decompress folder.tar.cgz -o - | tar t
    """
    from compgen import registry
    from compgen.archive import paths

    names, _ = archives.inputs(archives.require_input(names), out, as_json)
    model = None if predictor is None else registry.predictor(predictor)

    def work(name: str) -> dict[str, Any]:
        with output.progress(name, of_bytes=True, quiet=quiet) as progress:
            report = paths.decompress_file(name, out, model, progress=progress, **settings)
        archives.show_summary(report, verbose, quiet, unpacked=True)
        return archives.row(report)

    with options.working(jobs, backend):
        archives.for_each(names, work, as_json)
