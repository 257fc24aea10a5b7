"""``compgen inspect``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from compgen.cli import archives, options, output

if TYPE_CHECKING:
    from compgen.archive.format import Block
    from compgen.archive.paths import Inspection

#: Lines of the table of blocks, unless all are asked for.
_BLOCKS_SHOWN = 10


@click.command("inspect", cls=options.Described)
@click.argument("names", metavar="[ARCHIVE]...", nargs=-1)
@click.option("--all", "all_blocks", is_flag=True, help=f"Show all blocks, not the first {_BLOCKS_SHOWN} only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with all blocks.")
def command(names: tuple[str, ...], all_blocks: bool, as_json: bool) -> None:
    """Show what each ARCHIVE says of itself, and whether it can be decoded here. With no ARCHIVE, standard input.

    Checksums of the header, of each block's code and of the end are checked; nothing is decoded, which is what the
    command test is for.

    \b
    Examples:
      compgen inspect notes.txt.cgz
      compgen inspect --json *.cgz
    """
    from compgen.archive import paths

    def work(name: str) -> dict[str, Any]:
        inspection = paths.inspect_file(name)
        if not as_json:
            output.show(*_page(name, inspection, all_blocks), *("",) * (len(names) > 1))
        return _row(name, inspection)

    names = archives.require_input(names)
    archives.for_each(names, work, as_json)


def _page(name: str, inspection: Inspection, all_blocks: bool) -> list[Any]:
    from rich.text import Text

    table = output.table("", "")
    table.show_header = False
    for key, value in _facts(inspection):
        table.add_row(Text(key, style="dim"), output.printable(value))
    parts: list[Any] = [Text(output.printable(name), style="bold"), table]
    blocks = inspection.summary.blocks
    if blocks:
        parts += ["", _blocks_table(blocks if all_blocks else blocks[:_BLOCKS_SHOWN])]
    if not all_blocks and len(blocks) > _BLOCKS_SHOWN:
        parts.append(f"{len(blocks) - _BLOCKS_SHOWN:,} more; --all shows them")
    return parts


def _facts(inspection: Inspection) -> Iterator[tuple[str, str]]:
    from compgen.archive.paths import bits_per_byte

    summary, header = inspection.summary, inspection.summary.header
    rate = bits_per_byte(summary.archive_bytes, summary.data_bytes)
    yield "predictor", header.spec
    if header.weights:
        yield "weights", f"SHA-256 {header.weights}"
    silent = "unknown: not exact, and it does not say what it depends on"
    exact = "exact, the same on every machine"
    yield "numerics", header.numerics or (silent if inspection.exact is False else exact)
    yield "here", inspection.problem or "can be decoded"
    if header.name:
        yield "original name", header.name
    if header.mtime is not None:
        yield "original time", _time(header.mtime)
    percent = "" if rate is None else f" ({rate / 0.08:.1f} %), {rate:.3f} bits/byte"
    yield "size", f"{summary.data_bytes:,} bytes, {summary.archive_bytes:,} as archive{percent}"
    streams = "" if header.streams == 1 else f", each as {header.streams} streams"
    yield "blocks", f"{len(summary.blocks):,} of up to {header.block_bytes:,} bytes{streams}"


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):  # an archive may claim any
        return f"{seconds} seconds since 1970"


def _blocks_table(blocks: list[Block]) -> Any:
    from compgen.archive.paths import bits_per_byte

    numbers = ("block", "bytes", "code bytes", "bits/byte")
    table = output.table("block", "kind", *numbers[1:], right=numbers)
    for block in blocks:
        rate = bits_per_byte(block.code_bytes, block.data_bytes) or 0.0
        kind = _kind(block)
        table.add_row(str(block.number), kind, f"{block.data_bytes:,}", f"{block.code_bytes:,}", f"{rate:.3f}")
    return table


def _kind(block: Block) -> str:
    from compgen.archive.format import CODED

    return "coded" if block.kind == CODED else "stored"


def _row(name: str, inspection: Inspection) -> dict[str, Any]:
    from compgen.archive.paths import bits_per_byte

    summary = inspection.summary
    return {
        "source": name,
        "header": asdict(summary.header),
        "exact": inspection.exact,
        "numerics_here": inspection.numerics_here,
        "problem_here": inspection.problem,
        "data_bytes": summary.data_bytes,
        "archive_bytes": summary.archive_bytes,
        "bits_per_byte": bits_per_byte(summary.archive_bytes, summary.data_bytes),
        "blocks": [
            {
                "number": block.number,
                "kind": _kind(block),
                "data_bytes": block.data_bytes,
                "code_bytes": block.code_bytes,
                "bits_per_byte": bits_per_byte(block.code_bytes, block.data_bytes),
            }
            for block in summary.blocks
        ],
    }
