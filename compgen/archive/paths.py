"""Archives as files on disk and in pipes: what ``compgen compress`` and its relatives do with names.

``-`` is standard input or output. Whatever fails, the input is untouched and nothing half-made bears the final name.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from compgen import files, registry
from compgen.archive import format as form
from compgen.archive.reader import ArchiveReader, Summary, summarise
from compgen.archive.writer import ArchiveWriter
from compgen.errors import BadInputError, CompgenError, UsageError
from compgen.interfaces import Compressor, Predictor, Progress

SUFFIX = ".cgz"
#: Bytes that are read at once: few, so that progress is told often.
_PIECE_BYTES = 1 << 16

Model = Predictor | Compressor | str


@dataclass(frozen=True)
class Report:
    """What was done with one file. ``target`` is None where nothing was to be written."""

    source: str
    target: str | None
    predictor: str
    data_bytes: int
    archive_bytes: int
    seconds: float

    @property
    def bits_per_byte(self) -> float | None:
        """Bits of archive for each byte of data, None if there is no data."""
        return bits_per_byte(self.archive_bytes, self.data_bytes)


def bits_per_byte(code_bytes: int, data_bytes: int) -> float | None:
    """Bits of code for each byte of data, None if there is no data."""
    return 8 * code_bytes / data_bytes if data_bytes else None


@dataclass(frozen=True)
class Inspection:
    """What an archive says of itself, and whether it would decode here: ``problem`` says why not, None if it would."""

    summary: Summary
    exact: bool | None
    numerics_here: str | None
    problem: str | None


def compress_file(
    source: str,
    target: str | None,
    predictor: Model,
    *,
    block_bytes: int = form.DEFAULT_BLOCK_BYTES,
    streams: int = 1,
    verify: bool = True,
    force: bool = False,
    remove: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Compress a file; without ``target``, to its name with ``.cgz`` after it, and standard input to standard output.

    The archive gets the permissions and the time of the input. With ``remove`` the input is deleted when the archive
    is safely on the disk. ``progress`` gets bytes coded and bytes in all (0 where that is unknown).

    Raises :class:`~compgen.errors.CompgenError`.
    """
    target = compressed_name(source) if target is None else target
    _require_removable(remove, source, target)
    progress = progress or _nobody
    start = time.perf_counter()
    with files.reading(source) as data:
        progress(0, data.size or 0)
        _require_another(data, target)
        name, mtime = _origin(source, data)
        with (
            _writing(target, force, data) as out,
            _naming(data.label),
            ArchiveWriter(
                out,
                predictor,
                block_bytes=block_bytes,
                streams=streams,
                verify=verify,
                name=name,
                mtime=mtime,
                done=lambda count: progress(count, data.size or 0),
            ) as writer,
        ):
            while piece := data.read(_PIECE_BYTES):
                writer.write(piece)
        if remove:
            _remove(source, data)
    seconds = time.perf_counter() - start
    return Report(source, target, writer.header.spec, writer.data_bytes, writer.archive_bytes, seconds)


def decompress_file(
    source: str,
    target: str | None,
    predictor: Model | None = None,
    *,
    force: bool = False,
    remove: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Decompress an archive; without ``target``, to its own name without ``.cgz``, whatever name it says it has.

    The output gets the permissions of the archive and the time of the original. ``predictor`` replaces the spec in the
    archive. ``progress`` gets bytes of the archive read and bytes in all (0 where that is unknown).

    Raises :class:`~compgen.errors.CompgenError`; what was written to standard output until then is right.
    """
    target = decompressed_name(source) if target is None else target
    _require_removable(remove, source, target)
    start = time.perf_counter()
    with files.reading(source) as archive:
        _require_another(archive, target)
        with _naming(archive.label):
            reader = ArchiveReader(cast("BinaryIO", archive), predictor)
        with _writing(target, force, archive, reader.header.mtime) as out, _naming(archive.label):
            data_bytes = _decode(reader, archive, out, progress)
        if remove:
            _remove(source, archive)
    return Report(source, target, reader.header.spec, data_bytes, archive.count, time.perf_counter() - start)


def check_file(source: str, predictor: Model | None = None, *, progress: Progress | None = None) -> Report:
    """Decompress an archive to nowhere. Raises :class:`~compgen.errors.CompgenError` if anything is wrong with it."""
    start = time.perf_counter()
    with files.reading(source) as archive, _naming(archive.label):
        reader = ArchiveReader(cast("BinaryIO", archive), predictor)
        data_bytes = _decode(reader, archive, None, progress)
    return Report(source, None, reader.header.spec, data_bytes, archive.count, time.perf_counter() - start)


def inspect_file(source: str) -> Inspection:
    """What an archive says of itself; nothing is decoded. Raises :class:`~compgen.errors.CompgenError`."""
    with files.reading(source) as archive, _naming(archive.label):
        summary = summarise(cast("BinaryIO", archive))
    header = summary.header
    try:
        ArchiveReader(io.BytesIO(header.pack()))  # its checks come first: a spec from anybody may ask for anything
        predictor = registry.predictor(header.spec)
    except CompgenError as error:
        return Inspection(summary, None, None, str(error))
    problem = None
    if header.numerics != predictor.numerics:
        problem = "the numerics differ: blocks may not decode, but never to wrong bytes"
    return Inspection(summary, predictor.exact, predictor.numerics, problem)


def compressed_name(source: str) -> str:
    """The archive's name: ``notes.txt`` becomes ``notes.txt.cgz``."""
    if source == "-":
        return "-"
    if source.lower().endswith(SUFFIX):
        raise BadInputError(f"{source} ends in {SUFFIX} already; to compress it again, name the output with -o")
    if Path(source).is_dir():
        raise BadInputError(
            f"{source} is a directory; compress a tar file of it, as in  tar c {source} | compgen compress -o OUT"
        )
    return source + SUFFIX


def decompressed_name(source: str) -> str:
    """The data's name: ``notes.txt.cgz`` becomes ``notes.txt``."""
    if source == "-":
        return "-"
    name = Path(source).name
    if not name.lower().endswith(SUFFIX) or len(name) == len(SUFFIX):
        raise BadInputError(f"{source} does not end in {SUFFIX}; name the output with -o")
    return source[: -len(SUFFIX)]


def _decode(reader: ArchiveReader, archive: files.Input, out: BinaryIO | None, progress: Progress | None) -> int:
    """Copy all that a reader has, to nowhere without ``out``; returns how many bytes that is."""
    progress = progress or _nobody
    count = 0
    progress(0, archive.size or 0)
    while piece := reader.read1(_PIECE_BYTES):
        count += len(piece)
        if out is not None:
            out.write(piece)
        progress(archive.count, archive.size or 0)
    return count


def _nobody(_done: int, _total: int) -> None:
    """Who listens where nobody asked for progress."""


def _origin(source: str, data: files.Input) -> tuple[str, int | None]:
    """What the header tells of a file: its name without folders, in Unicode, and when it was last written."""
    if source == "-":
        return "", None
    return os.fsencode(Path(source).name).decode("utf-8", "replace"), data.status.st_mtime_ns // 10**9


@contextmanager
def _writing(target: str, force: bool, source: files.Input, mtime: int | None = None) -> Iterator[BinaryIO]:
    """The output, with the permissions of the source and its time, or the given one in seconds since 1970."""
    if target == "-":
        out = sys.stdout.buffer
        yield out
        out.flush()
        return
    if source.size is None:  # a pipe has neither
        mode, mtime_ns = None, None
    else:
        mode, mtime_ns = source.status.st_mode, source.status.st_mtime_ns
    if mtime is not None and (mtime_ns is None or mtime_ns // 10**9 != mtime):  # it knows no parts of a second
        mtime_ns = mtime * 10**9
    with files.writing(Path(target), force=force, mode=mode, mtime_ns=mtime_ns) as file:
        yield file


def _require_another(source: files.Input, target: str) -> None:
    """Raise if output and input are one file, which would be destroyed or grow without end."""
    if target != "-":
        same = source.is_same_as(Path(target))
    else:
        same = source.size is not None and os.path.samestat(source.status, os.fstat(sys.stdout.fileno()))
    if same and source.size is not None:
        raise UsageError(f"the output is the input itself, {source.label}; choose another name")


def _require_removable(remove: bool, source: str, target: str) -> None:
    if remove and ("-" in (source, target) or (Path(target).exists() and not Path(target).is_file())):
        raise UsageError("--rm needs a file on both sides: it deletes one only when the other is on the disk")


def _remove(source: str, opened: files.Input) -> None:
    """Delete an input whose output is safe, if it is still what was read."""
    path = Path(source)
    if opened.has_changed() or not opened.is_same_as(path):
        raise BadInputError(f"{source} was changed while it was read; it is kept, and so is the output")
    try:
        path.unlink()
    except OSError as error:
        raise BadInputError(f"cannot delete {source}: {files.reason(error)}; the output is whole") from None


@contextmanager
def _naming(label: str) -> Iterator[None]:
    """Put the file's name before what is wrong with its content."""
    try:
        yield
    except (UsageError, BadInputError):
        raise  # about the request, or about a file that it names
    except CompgenError as error:
        error.args = (f"{label}: {error}",)
        raise
