"""``compgen test``."""

from __future__ import annotations

from typing import Any

import click

from compgen.cli import archives, options, output


@click.command("test", cls=options.Described)
@click.argument("names", metavar="[ARCHIVE]...", nargs=-1)
@options.predictor("Use this predictor and not the one that the archive names.")
@options.workers
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of archives that are right.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
def command(
    names: tuple[str, ...], predictor: str | None, jobs: int | None, backend: str | None, quiet: bool, as_json: bool
) -> None:
    """Decode each ARCHIVE, check everything, and write nothing. With no ARCHIVE, or -, standard input.

    The exit code is 1 if any of them is damaged, truncated, or cannot be decoded here.

    \b
    Examples:
      compgen test notes.txt.cgz
      compgen test --jobs 2 backup/*.cgz
    """
    from compgen import registry
    from compgen.archive import paths

    names = archives.require_input(names)
    model = None if predictor is None else registry.predictor(predictor)

    def work(name: str) -> dict[str, Any]:
        with output.progress(name, of_bytes=True, quiet=quiet) as progress:
            report = paths.check_file(name, model, progress=progress)
        if not quiet and not as_json:
            output.show(output.printable(f"{name}: ok, {report.data_bytes:,} bytes"))
        return archives.row(report)

    with options.working(jobs, backend):
        archives.for_each(names, work, as_json)
