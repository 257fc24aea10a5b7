"""What the commands on archives share: many files on one line, and a summary of each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from compgen.cli import output
from compgen.errors import CompgenError, UsageError

if TYPE_CHECKING:
    from compgen.archive.paths import Report


def inputs(names: tuple[str, ...], out: str | None, as_json: bool) -> tuple[tuple[str, ...], bool]:
    """The names to work on (standard input if there are none), and whether data go to standard output."""
    names = names or ("-",)
    if out is not None and len(names) > 1:
        raise click.UsageError(f"-o {out} is one output, and {len(names)} files are given; leave it out, or give one")
    to_stdout = out == "-" or (out is None and "-" in names)
    if to_stdout and as_json:
        raise click.UsageError("--json and the data cannot both go to standard output; name the output with -o OUT")
    return names, to_stdout


def require_input(names: tuple[str, ...]) -> tuple[str, ...]:
    """The archives to read (standard input if there are none); nobody types one on a terminal."""
    names = names or ("-",)
    if "-" in names and sys.stdin is not None and sys.stdin.isatty():
        raise click.UsageError("an archive cannot be read from a terminal; name a FILE")
    return names


def for_each(names: Sequence[str], work: Callable[[str], dict[str, Any]], as_json: bool) -> None:
    """Do something with each file. One that fails costs one line and, in the end, exit code 1; the others go on."""
    rows, failed = [], False
    for name in names:
        try:
            rows.append(work(name))
        except UsageError:
            raise  # it would be the same for all others
        except (CompgenError, MemoryError) as error:
            output.fail(error)
            rows.append({"source": name, "error": output.message_of(error)})
            failed = True
    if as_json:
        output.show_json(rows)
    if failed:
        raise click.exceptions.Exit(1)


def row(report: Report) -> dict[str, Any]:
    """A report for ``--json``."""
    return asdict(report) | {"bits_per_byte": report.bits_per_byte}


def show_summary(report: Report, verbose: bool, quiet: bool, unpacked: bool = False) -> None:
    """Bytes on both sides, rate and speed, on stderr; unless told otherwise, to a terminal only."""
    if quiet or not (verbose or sys.stderr.isatty()):
        return
    before, after = report.data_bytes, report.archive_bytes
    if unpacked:
        before, after = after, before
    rate = ""
    if report.bits_per_byte is not None:
        rate = f" ({report.bits_per_byte / 0.08:.1f} %), {report.bits_per_byte:.3f} bits/byte"
    speed = report.data_bytes / max(report.seconds, 1e-9) / 1e6
    line = f"{report.source}: {before:,} -> {after:,} bytes{rate}, {speed:.3g} MB/s"
    print(output.printable(line), file=sys.stderr)
