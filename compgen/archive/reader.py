"""Reading archives: every byte that comes out was checked, or an error says what is wrong and where."""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import zlib
from collections import deque
from dataclasses import dataclass
from typing import BinaryIO

from compgen import parallel, registry
from compgen.archive import format as form
from compgen.coding.payload import decode_block
from compgen.errors import CompgenError, CorruptDataError, UsageError
from compgen.interfaces import Compressor, Predictor


def decompress(archive: bytes, predictor: Predictor | Compressor | str | None = None) -> bytes:
    """The data in an archive; see :class:`ArchiveReader`."""
    with ArchiveReader(io.BytesIO(archive), predictor) as reader:
        return reader.read()


@dataclass(frozen=True)
class Summary:
    """What :func:`summarise` finds without decoding anything."""

    header: form.Header
    blocks: list[form.Block]
    data_bytes: int
    archive_bytes: int


def summarise(file: BinaryIO) -> Summary:
    """Header and blocks of an archive, all checksums but those of the data checked."""
    counted = _Counted(file)
    header = form.read_header(counted)
    blocks: list[form.Block] = []
    while not isinstance(part := form.read_block(counted, len(blocks), header.block_bytes), form.End):
        blocks.append(part[0])
    _check_end(part, len(blocks), sum(block.data_bytes for block in blocks), counted)
    return Summary(header, blocks, part.data_bytes, counted.count)


class ArchiveReader(io.BufferedIOBase):
    """A file that reads what an archive, a binary file that need not be seekable, holds.

    ``predictor`` replaces the spec in the header; it is needed where that names a file, since no path from an archive
    is followed. With ``compgen.jobs`` several blocks are decoded at once; as many are in memory.

    Raises :class:`~compgen.errors.CorruptDataError` that names the block, if what is read is damaged, truncated, or out
    of place. What was read before an error is right; that it was all, only the end says.
    """

    def __init__(self, file: BinaryIO, predictor: Predictor | Compressor | str | None = None) -> None:
        self._file = file
        self.header = form.read_header(file)
        self._predictor = _predictor_of(self.header, predictor)
        self._digest = hashlib.blake2b(digest_size=form.DIGEST_BYTES)
        self._blocks = 0
        self._data_bytes = 0
        self._ready: deque[bytes] = deque()
        self._offset = 0  # in the first that is ready
        self._ended = False
        self._failure: CompgenError | None = None

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes, all without one; nothing at the end."""
        parts, missing = [], float("inf") if size is None or size < 0 else size
        while missing > 0:
            part = self.read1(int(min(missing, form.MAX_BLOCK_BYTES)))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes of one block."""
        if self.closed:
            raise ValueError("read from a closed archive")
        if not self._ready and (self._failure or not self._ended):
            self._decode_or_fail()
        if not self._ready:
            return b""
        block = self._ready[0]
        stop = len(block) if size < 0 else min(self._offset + size, len(block))
        part = block[self._offset : stop]
        self._offset = stop
        if stop == len(block):
            self._ready.popleft()
            self._offset = 0
        return part

    def _decode_or_fail(self) -> None:
        """Once something was wrong it stays wrong: reading on must not look like the end of the data."""
        if self._failure is None:
            try:
                return self._decode()
            except CompgenError as error:
                self._ready.clear()
                self._failure = error
        raise self._failure

    def _decode(self) -> None:
        """Decode the next blocks, one for each job."""
        wave: list[tuple[form.Block, bytes]] = []
        while len(wave) < parallel.n_jobs() and not self._ended:
            part = form.read_block(self._file, self._blocks + len(wave), self.header.block_bytes)
            if isinstance(part, form.End):
                self._ended = True
                end = part
            else:
                wave.append(part)
        tasks = [(self._predictor, block, code, self.header) for block, code in wave]
        for (block, _), data in zip(wave, parallel.run(_block_data, tasks), strict=True):
            self._digest.update(data)
            self._ready.append(data)
            self._blocks += 1
            self._data_bytes += block.data_bytes
        if self._ended:
            _check_end(end, self._blocks, self._data_bytes, self._file)
            if end.digest != self._digest.digest():
                raise CorruptDataError("the archive's digest does not match its data; blocks were exchanged")


def _block_data(predictor: Predictor, block: form.Block, code: bytes, header: form.Header) -> bytes:
    """The data of a block whose code was found undamaged."""
    try:
        coded = block.kind == form.CODED
        data = decode_block(predictor, code, block.data_bytes, header.streams) if coded else code
    except CorruptDataError as error:
        made = _what_differs(predictor, header)
        raise CorruptDataError(f"block {block.number} is damaged: {error}{made and '; ' + made}") from None
    if zlib.crc32(data) != block.data_crc:
        reason = _what_differs(predictor, header) or "the archive was forged or made by a defective program"
        raise CorruptDataError(f"block {block.number} decodes to other data than was coded: {reason}")
    return data


def _what_differs(predictor: Predictor, header: form.Header) -> str:
    """Between where an archive was made and here, as far as the header tells; empty if nothing does."""
    there, here = header.numerics, predictor.numerics
    made = [f"the predictor {header.spec!r}"], [repr(predictor.spec)]
    if header.spec == predictor.spec:
        made = [], []
    if there != here:
        for words, text, other in ((made[0], there, here), (made[1], here, there)):
            words.append(", ".join(_fields_without(text, other)) or "exact arithmetic")
    if made[0]:
        return f"it was made with {' and '.join(made[0])}, here is {' and '.join(made[1])}"
    return ""


def _fields_without(numerics: str, other: str) -> list[str]:
    """The fields of numerics, separated by commas and semicolons, that the other does not have."""
    fields, others = (re.split("[,;] ", text) for text in (numerics, other))
    return [field for field in fields if field not in others] or fields


def _check_end(end: form.End, blocks: int, data_bytes: int, file: form.Readable) -> None:
    if end.blocks != blocks:
        raise CorruptDataError(f"block {blocks} is missing: the archive had {end.blocks} blocks")
    if end.data_bytes != data_bytes:
        raise CorruptDataError(f"the archive's blocks hold {data_bytes} bytes, not the {end.data_bytes} it had")
    if file.read(1):
        raise CorruptDataError("something follows the end of the archive; it is damaged or has been appended to")


def _predictor_of(header: form.Header, given: Predictor | Compressor | str | None) -> Predictor:
    try:
        if given is None:
            _require_harmless(header.spec, header.streams)
        predictor = registry.predictor(header.spec if given is None else given)
    except UsageError as error:
        raise CompgenError(f"the archive needs the predictor {header.spec!r}: {error}") from None
    if predictor.alphabet_size != 256:
        raise CompgenError(f"{predictor.spec} predicts {predictor.alphabet_size} symbols, not bytes")
    if predictor.weights_sha256 != header.weights:
        raise CompgenError(
            f"the archive was made with {header.spec!r} and {_weights(header.weights)}, "
            f"here are {_weights(predictor.weights_sha256)}; give the right ones with --predictor"
        )
    return predictor


def _weights(sha256: str) -> str:
    return f"weights {sha256[:16]}..." if sha256 else "weights none"


#: An archive may come from anybody: what its spec may ask for.
_MAX_NESTING, _MAX_COMMAS, _MAX_NUMBER, _MAX_MODELS = 4, 64, 1 << 28, 4096
_WORD = re.compile("[A-Za-z0-9][A-Za-z0-9_]*")


def _require_harmless(text: str, streams: int) -> None:
    """Raise for a spec that names a file, is nested without end, or asks for memory without measure."""
    trust = f"if you trust it, name it with --predictor {text}"
    depths = itertools.accumulate((character == "(") - (character == ")") for character in text)
    if max(depths, default=0) > _MAX_NESTING or text.count(",") > _MAX_COMMAS:
        raise CorruptDataError("the archive's predictor is too complicated to be true")
    pending, models = [registry.parse_spec(text)], 0
    while pending:
        spec = pending.pop()
        pending += spec.parts
        models += streams
        if models > _MAX_MODELS:
            raise CompgenError(f"the archive's predictor wants a model for each of {streams} streams and part; {trust}")
        for key, value in spec.options:
            if not _is_harmless(value):
                raise CompgenError(f"the archive's predictor wants {key}={value}; {trust}")
        # A name of a file may look as harmless as any word.
        if spec.values or (spec.options and registry.file_parameters(spec.name) & dict(spec.options).keys()):
            raise CompgenError(
                f"the archive was made with {text!r}, and no path from an archive is followed; "
                "name the predictor yourself with --predictor"
            )


def _is_harmless(value: str) -> bool:
    """A number of moderate size, or a word: what an option may be that is no file and no mass of memory."""
    try:
        return abs(float(value)) <= _MAX_NUMBER  # reads all that int() reads
    except ValueError:
        return _WORD.fullmatch(value) is not None


class _Counted:
    """A file that counts what is read from it."""

    def __init__(self, file: form.Readable) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data
