"""WebP lossless through Pillow (libwebp)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import PIL
from PIL import Image, UnidentifiedImageError

from baselines._check import corrupt, require_range
from baselines._layout import DEFAULT_WIDTH, as_rows, note_of, recover, require_whole_rows
from compgen.interfaces import Compressor

#: WebP's limit for both sides of an image; more rows go to further images.
_MAX_SIDE = 16383
#: Our chunk beside the image, which other decoders skip: length and CRC-32 of the image's bytes.
_NOTE_CHUNK = b"CGLN"
_NOTE_BYTES = 8 + 12
#: "RIFF", size, "WEBP"; type and size of the VP8L chunk; VP8L's signature, width, height, alpha and version.
_HEADER_BYTES = 12 + 8 + 5


@dataclass(frozen=True)
class Webp(Compressor):
    """WebP lossless of gray pixels, one byte a pixel in rows of ``width``; :meth:`compress` writes a .webp file.

    WebP knows no gray images: a pixel is (x, x, x), which the subtract-green transform turns into (0, x, 0); coding
    (0, x, 0) itself gains 0.03 points on ImageNet tiles. An unfinished last row is filled with the pixels above it,
    and counts. Images have at most 16383 rows, so longer data becomes several files, one after the other; a viewer
    shows the first.

    ``code_length`` counts the VP8L bitstreams in whole bytes: their last bit is not to be had from libwebp. Left out
    are, for each image, the RIFF header (12 bytes), type and size of the VP8L chunk (8), VP8L's own header (5), our
    chunk with length and checksum (20), and padding (0 or 1). See RFC 9649, sections 2.6 and 3.4. The empty file is a
    one-pixel image and costs nothing.

    :param width: pixels a row, 1..16383. A given width is a promise that the data is whole rows, which
        :meth:`compress` checks; None means 64 and any length.
    :param quality: 0..100, effort of the search. The gain from 75 to 100 is 0.6 points on ImageNet tiles at 40 times
        the time.
    :param method: 0..6, effort of the coder.

    >>> Webp().decompress(Webp().compress(b"abc" * 1000)) == b"abc" * 1000
    True
    """

    name: ClassVar[str] = "webp"
    #: Bytes of a file of one image that code lengths leave out, padding (0 or 1 byte) not counted.
    overhead_bytes: ClassVar[int] = _HEADER_BYTES + _NOTE_BYTES

    width: int | None = None
    quality: int = 75
    method: int = 4

    def __post_init__(self) -> None:
        if self.width is not None:
            require_range(self.name, "width", self.width, 1, _MAX_SIDE)
        require_range(self.name, "quality", self.quality, 0, 100)
        require_range(self.name, "method", self.method, 0, 6)

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        return f"Pillow {PIL.__version__}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`. Data that is not whole rows of a given width raises ``BadInputError``."""
        require_whole_rows(len(data), self.width)
        files, remaining = [], len(data)
        for part in self._parts(data) if data else [b""]:
            image = self._encode(part or b"\0")[12:]
            body = b"WEBP" + image + _NOTE_CHUNK + (_NOTE_BYTES - 8).to_bytes(4, "little") + note_of(part, remaining)
            files.append(b"RIFF" + len(body).to_bytes(4, "little") + body)
            remaining -= len(part)
        return b"".join(files)

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`. Reads the files that :meth:`compress` writes."""
        parts: list[bytes] = []
        remaining: int | None = None
        for file in _riff_files(data):
            if remaining == 0:
                raise corrupt("webp", "something follows its end")
            note = file[8 - _NOTE_BYTES :] if file[-_NOTE_BYTES:][:4] == _NOTE_CHUNK else b""
            decoded = recover(_decode(file), note)
            if decoded is None or remaining not in (None, len(decoded[0]) + decoded[1]):
                raise corrupt("webp", "length or checksum are missing or do not match")
            parts.append(decoded[0])
            remaining = decoded[1]
        if remaining:
            raise corrupt("webp", "images are missing at its end")
        return b"".join(parts)

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`. The data need not be whole rows, whatever the width."""
        return sum(8.0 * (int.from_bytes(self._encode(part)[16:20], "little") - 5) for part in self._parts(data))

    def _parts(self, data: bytes) -> list[bytes]:
        """The data of each image."""
        step = _MAX_SIDE * (self.width or DEFAULT_WIDTH)
        return [data[start : start + step] for start in range(0, len(data), step)]

    def _encode(self, data: bytes) -> bytes:
        """libwebp's file of one image."""
        file = io.BytesIO()
        image = Image.fromarray(as_rows(data, self.width)).convert("RGB")
        image.save(file, "WEBP", lossless=True, quality=self.quality, method=self.method)
        return file.getvalue()


def _decode(file: bytes) -> bytes:
    """The gray pixels of one image."""
    try:
        with Image.open(io.BytesIO(file), formats=["WEBP"]) as image:
            return image.convert("RGB").getchannel("G").tobytes()
    except (UnidentifiedImageError, OSError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise corrupt("webp", error) from None


def _riff_files(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data) or not position:
        end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "little")
        if data[position : position + 4] != b"RIFF" or end > len(data):
            raise corrupt("webp", "a part does not start as one, or is cut off")
        yield data[position:end]
        position = end
