"""What commands print: tables and JSON on stdout, progress on stderr; colour and bars only for a terminal."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import ProgressColumn
    from rich.table import Table

    from compgen.interfaces import Progress


def table(*columns: str, right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """An unboxed table; the columns named in ``right`` hold numbers."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=title, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(
            column, justify="right" if column in right else "left", header_style="dim", no_wrap=column in right
        )
    return made


def show(*parts: Any) -> None:
    """Print tables and lines to stdout: in colour on a terminal, else plain and as wide as they need."""
    from rich.console import Console

    if sys.stdout.isatty():
        console = Console(highlight=False, markup=False)
        for part in parts:
            console.print(part)
        return
    plain = Console(file=io.StringIO(), highlight=False, markup=False, no_color=True, width=1000)
    with plain.capture() as capture:
        for part in parts:
            plain.print(part)
    sys.stdout.writelines(line.rstrip() + "\n" for line in capture.get().splitlines())


def show_json(value: Any) -> None:
    """Print one JSON document."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def note(message: str) -> None:
    """Say something in passing, to a terminal only."""
    if sys.stderr.isatty():
        print(f"compgen: {printable(message)}", file=sys.stderr)


def fail(error: BaseException | str) -> None:
    """Say in one line on stderr what went wrong. Nothing in it can steer a terminal: it may quote hostile input."""
    print("compgen: error:", printable(message_of(error)), file=sys.stderr)


def message_of(error: BaseException | str) -> str:
    """What an error says, in one line."""
    from compgen.files import reason

    text = str(error)
    if isinstance(error, MemoryError):
        text = "not enough memory for this input; give less of it"
    elif isinstance(error, OSError):
        text = f"{error.filename}: {reason(error)}" if error.filename else reason(error)
    return " ".join(text.split())


def printable(text: str) -> str:
    """Text without characters that could steer a terminal or that cannot be written as UTF-8."""
    return readable(text.encode("utf-8", "surrogateescape"))


def readable(data: bytes) -> str:
    """Bytes for a terminal: UTF-8 where it is valid; what could steer the terminal is written as ``\\xNN``."""
    text = data.decode("utf-8", errors="backslashreplace")
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


@contextmanager
def progress(what: str, *, of_bytes: bool = False, quiet: bool = False) -> Iterator[Progress | None]:
    """A progress bar on stderr while the block runs; None where stderr is no terminal. A total of 0 is unknown."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(None, style="bright_black", complete_style="cyan", finished_style="cyan"),
        *_measures(of_bytes),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task(printable(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _measures(of_bytes: bool) -> tuple[ProgressColumn, ...]:
    from rich.progress import DownloadColumn, MofNCompleteColumn, TimeElapsedColumn, TransferSpeedColumn

    if of_bytes:
        return DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn()
    return (MofNCompleteColumn(),)
