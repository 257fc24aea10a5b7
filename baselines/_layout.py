"""Bytes laid out as gray images for codecs that know only whole rows, and a frame that says how many bytes there
were."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

from compgen.errors import BadInputError

#: Pixels a row where no width is given: that of the image tiles of Deletang et al.
DEFAULT_WIDTH = 64

_NOTE = struct.Struct(">QI")


def require_whole_rows(length: int, width: int | None) -> None:
    """Raise :class:`~compgen.errors.BadInputError` where a width was promised and the data is not whole rows of it."""
    if width is not None and length % width:
        raise BadInputError(
            f"{length} bytes are not whole rows of {width} pixels; give the right width, or none for data of any length"
        )


def as_rows(data: bytes, width: int | None) -> npt.NDArray[np.uint8]:
    """The image ``(rows, width)``. An unfinished last row is filled with the pixels above it; a first row is cut."""
    pixels = np.frombuffer(data, np.uint8)
    width = min(width or DEFAULT_WIDTH, len(data))
    missing = -len(data) % width
    above = pixels[len(data) - width : len(data) - width + missing]
    return np.concatenate([pixels, above]).reshape(-1, width)


def note_of(part: bytes, remaining: int) -> bytes:
    """What a file must say besides an image, 12 bytes: length of the data from the image on, CRC-32 of its part."""
    return _NOTE.pack(remaining, zlib.crc32(part))


def recover(pixels: bytes, note: bytes) -> tuple[bytes, int] | None:
    """The part of the data that an image holds, and how much data further images hold; None for damage."""
    if len(note) != _NOTE.size:
        return None
    remaining, checksum = _NOTE.unpack(note)
    part = pixels[:remaining]
    return (part, remaining - len(part)) if zlib.crc32(part) == checksum else None
