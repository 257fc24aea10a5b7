"""The bytes of a ``.cgz`` archive: header, blocks, end. ``docs/format.md`` has the same for readers without Python.

    magic | header | block 0 | block 1 | ... | end

Everything is checked before it is believed: the header, each block's own header, its code and its data bear checksums,
a block's number is part of them, and the end holds the length and a digest of the whole. Integers are little-endian. An
archive may come from anybody, so no length is used before it was compared with what is allowed.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Protocol

from compgen.errors import CorruptDataError, UsageError

#: A byte that is no text, the name, and line ends that a transfer in text mode would change.
MAGIC = b"\x93CGZ\r\n\x1a\n"
VERSION = 1
MAX_BLOCK_BYTES = 1 << 30
DEFAULT_BLOCK_BYTES = 1 << 24
MAX_STREAMS = 4096
DIGEST_BYTES = 16

_START = struct.Struct("<8sBHI")  # magic, version, length of the fields, CRC-32 of version, length and fields
_FIXED = struct.Struct("<IHq")  # block bytes, streams, mtime in seconds since 1970 or _NO_TIME
_NO_TIME = -(1 << 63)
_FIRST_TIME, _LAST_TIME = -62135596800, 253402300799  # the years 1 to 9999, which every calendar can show
_TEXTS = ("spec", "numerics", "weights", "name")
_MAX_TEXT_BYTES = 4096
#: Characters that could break a line or steer a terminal when a text is shown.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]")
_BLOCK = struct.Struct("<BIIIIII")  # kind, number, data bytes, code bytes, CRC-32 of code, of data; then of all these
_END = struct.Struct("<BIQ16sI")  # kind, blocks, data bytes, digest of the data, CRC-32 of all these

END, STORED, CODED = 0, 1, 2


class Readable(Protocol):
    """All that reading an archive needs of a file."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; none at the end."""


@dataclass(frozen=True)
class Header:
    """What an archive says of itself before the first block.

    ``spec`` makes the predictor again; ``numerics`` names what its probabilities depend on beside the spec (empty for
    exact predictors); ``weights`` is the SHA-256, in hexadecimal, of the weights and the tokenizer it was used with
    (empty if it has none). ``name`` and ``mtime`` (seconds since 1970) are the original file's, if there was one; a
    reader uses them for information only.
    """

    spec: str
    block_bytes: int = DEFAULT_BLOCK_BYTES
    streams: int = 1
    numerics: str = ""
    weights: str = ""
    name: str = ""
    mtime: int | None = None

    def pack(self) -> bytes:
        """The bytes of magic and header."""
        known = self.mtime is not None and _FIRST_TIME <= self.mtime <= _LAST_TIME
        fields = _FIXED.pack(self.block_bytes, self.streams, self.mtime if known else _NO_TIME)
        for key in _TEXTS:
            text = _name_bytes(self.name) if key == "name" else _text_bytes(key, getattr(self, key))
            fields += struct.pack("<H", len(text)) + text
        checked = struct.pack("<BH", VERSION, len(fields)) + fields
        return _START.pack(MAGIC, VERSION, len(fields), zlib.crc32(checked)) + fields


def _text_bytes(key: str, text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > _MAX_TEXT_BYTES or _CONTROL.search(text):
        raise UsageError(
            f"{key} {text[:40]!r}... has control characters or over {_MAX_TEXT_BYTES} bytes: no archive can hold it"
        )
    return encoded


def _name_bytes(name: str) -> bytes:
    """A file's name as far as it is text: it is for information, and no reason to refuse a file."""
    encoded = _CONTROL.sub("?", name).encode("utf-8", "replace")
    return encoded[:_MAX_TEXT_BYTES].decode("utf-8", "ignore").encode()


@dataclass(frozen=True)
class Block:
    """A block's own header. ``kind`` is STORED (the code is the data) or CODED."""

    kind: int
    number: int
    data_bytes: int
    code_bytes: int
    code_crc: int
    data_crc: int

    def pack(self) -> bytes:
        """The bytes before the code."""
        packed = _BLOCK.pack(self.kind, self.number, self.data_bytes, self.code_bytes, self.code_crc, self.data_crc, 0)[
            :-4
        ]
        return packed + struct.pack("<I", zlib.crc32(packed))


@dataclass(frozen=True)
class End:
    """What follows the last block."""

    blocks: int
    data_bytes: int
    digest: bytes

    def pack(self) -> bytes:
        """The last bytes of the archive."""
        packed = _END.pack(END, self.blocks, self.data_bytes, self.digest, 0)[:-4]
        return packed + struct.pack("<I", zlib.crc32(packed))


def read_exactly(file: Readable, count: int, what: str) -> bytes:
    """``count`` bytes, in small steps so that a wrong length takes no memory."""
    parts = []
    while count:
        part = file.read(min(count, 1 << 20))
        if not part:
            raise CorruptDataError(f"the archive ends inside {what}; it is truncated")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_header(file: Readable) -> Header:
    """Read magic and header. Raises :class:`~compgen.errors.CorruptDataError`."""
    start = b""
    while len(start) < _START.size and (more := file.read(_START.size - len(start))):
        start += more
    if start[: len(MAGIC)] != MAGIC[: len(start)] or not start:
        raise CorruptDataError("this is not a compgen archive; compgen compress makes one")
    if len(start) < _START.size:
        raise CorruptDataError("the archive ends inside its header; it is truncated")
    _, version, length, crc = _START.unpack(start)
    if version != VERSION:
        raise CorruptDataError(
            f"the archive has format version {version}, this compgen reads {VERSION}; "
            "it is damaged or needs a newer compgen"
        )
    fields = read_exactly(file, length, "its header")
    if zlib.crc32(start[8:11] + fields) != crc:
        raise CorruptDataError("the archive's header is damaged: its checksum does not match")
    return _unpack_fields(fields)


def _unpack_fields(fields: bytes) -> Header:
    try:
        block_bytes, streams, mtime = _FIXED.unpack_from(fields)
        position, texts = _FIXED.size, []
        for _ in _TEXTS:
            (length,) = struct.unpack_from("<H", fields, position)
            position += 2 + length
            if length > _MAX_TEXT_BYTES or position > len(fields):
                raise ValueError
            texts.append(fields[position - length : position].decode())
            if _CONTROL.search(texts[-1]):
                raise ValueError
    except (struct.error, ValueError):
        raise CorruptDataError("the archive's header makes no sense, though its checksum matches") from None
    if position != len(fields) or not 1 <= block_bytes <= MAX_BLOCK_BYTES or not 1 <= streams <= MAX_STREAMS:
        raise CorruptDataError("the archive's header has values out of range")
    if mtime != _NO_TIME and not _FIRST_TIME <= mtime <= _LAST_TIME:
        raise CorruptDataError("the archive's header has values out of range")
    spec, numerics, weights, name = texts
    return Header(spec, block_bytes, streams, numerics, weights, name, None if mtime == _NO_TIME else mtime)


def read_block(file: Readable, number: int, block_bytes: int) -> tuple[Block, bytes] | End:
    """Read the next block, which must be block ``number``, or the end; its code is checked, its data not yet made."""
    what = f"block {number}"
    kind = read_exactly(file, 1, what)
    if kind[0] == END:
        return _read_end(kind + read_exactly(file, _END.size - 1, "its end"))
    packed = kind + read_exactly(file, _BLOCK.size - 1, what)
    *fields, crc = _BLOCK.unpack(packed)
    block = Block(*fields)
    if zlib.crc32(packed[:-4]) != crc:
        raise CorruptDataError(f"{what} is damaged: the checksum of its header does not match")
    if block.number != number:
        raise CorruptDataError(f"{what} is missing or out of place: block {block.number} stands there")
    if block.kind not in (STORED, CODED) or not 1 <= block.data_bytes <= block_bytes:
        raise CorruptDataError(f"{what} has values out of range")
    if block.code_bytes > block.data_bytes or (block.kind == STORED and block.code_bytes != block.data_bytes):
        raise CorruptDataError(f"{what} has values out of range")
    code = read_exactly(file, block.code_bytes, what)
    if zlib.crc32(code) != block.code_crc:
        raise CorruptDataError(f"{what} is damaged: the checksum of its code does not match")
    return block, code


def _read_end(packed: bytes) -> End:
    _, blocks, data_bytes, digest, crc = _END.unpack(packed)
    if zlib.crc32(packed[:-4]) != crc:
        raise CorruptDataError("the archive's end is damaged: its checksum does not match")
    return End(blocks, data_bytes, digest)
