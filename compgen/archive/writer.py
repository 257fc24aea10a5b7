"""Writing archives: data in, blocks out, in bounded memory."""

from __future__ import annotations

import hashlib
import io
import zlib
from typing import Any, BinaryIO

from compgen import parallel, registry
from compgen.archive import format as form
from compgen.coding.payload import decode_block, encode_block
from compgen.errors import CompgenError, CorruptDataError, UsageError
from compgen.interfaces import Compressor, Done, Predictor

#: What ``compgen compress`` uses unless told otherwise.
DEFAULT_PREDICTOR = "cm"
#: What it uses for the smallest archives, whatever the time.
BEST_PREDICTOR = "guided(cm:level=3,transformer)"


def compress(
    data: bytes,
    predictor: Predictor | Compressor | str = DEFAULT_PREDICTOR,
    *,
    block_bytes: int = form.DEFAULT_BLOCK_BYTES,
    streams: int = 1,
    verify: bool = True,
) -> bytes:
    """The archive of ``data``; see :class:`ArchiveWriter` for the parameters."""
    file = io.BytesIO()
    with ArchiveWriter(file, predictor, block_bytes=block_bytes, streams=streams, verify=verify) as writer:
        writer.write(data)
    return file.getvalue()


class ArchiveWriter(io.BufferedIOBase):
    """A file that what is written to is compressed into another, binary, file.

    - ``predictor``: a predictor over bytes, a compressor used as one, or the spec of either.
    - ``block_bytes``: data is cut into blocks of this size, 1 to 2**30, coded independently: damage to one loses no
      other, and with ``compgen.jobs`` several are coded at once. Larger blocks are smaller together.
    - ``streams``: a block is coded as this many parts in step, for predictors that gain speed by that.
    - ``verify``: decode each block again before it is written, and raise :class:`~compgen.errors.CompgenError` if it
      does not come out the same.
    - ``name``, ``mtime``: of the original file, for information.
    - ``done`` is called with the bytes of data coded so far, also within a block where there is one job.

    At most ``jobs`` blocks, their codes and the predictor's own state are in memory. :meth:`close` writes the end
    without which no reader takes the archive for whole; after an exception in a ``with`` block, or in :meth:`write`, it
    is left out. The other file is not closed.
    """

    def __init__(
        self,
        file: BinaryIO,
        predictor: Predictor | Compressor | str = DEFAULT_PREDICTOR,
        *,
        block_bytes: int = form.DEFAULT_BLOCK_BYTES,
        streams: int = 1,
        verify: bool = True,
        name: str = "",
        mtime: int | None = None,
        done: Done | None = None,
    ) -> None:
        if not 1 <= block_bytes <= form.MAX_BLOCK_BYTES:
            raise UsageError(f"block size must be from 1 to {form.MAX_BLOCK_BYTES} bytes, not {block_bytes}")
        if not 1 <= streams <= form.MAX_STREAMS:
            raise UsageError(f"streams must be from 1 to {form.MAX_STREAMS}, not {streams}")
        self._predictor = registry.predictor(predictor)
        if self._predictor.alphabet_size != 256:
            raise UsageError(f"{self._predictor.spec} predicts {self._predictor.alphabet_size} symbols, not bytes")
        spec, numerics = self._predictor.spec, self._predictor.numerics
        self.header = form.Header(spec, block_bytes, streams, numerics, self._predictor.weights_sha256, name, mtime)
        self._file = file
        self._done = done
        self._verify = verify
        self._pending = bytearray()
        self._digest = hashlib.blake2b(digest_size=form.DIGEST_BYTES)
        self._blocks = 0
        self._whole = True
        self.data_bytes = 0
        self.archive_bytes = 0
        self._put(self.header.pack())

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any, /) -> int:
        """Take more data; blocks are coded as soon as there is one for each job."""
        if self.closed:
            raise ValueError("write to a closed archive")
        view = memoryview(data).cast("B")
        wave = self.header.block_bytes * parallel.n_jobs()
        for start in range(0, len(view), wave):
            self._pending += view[start : start + wave]
            if len(self._pending) >= wave:
                self._code(wave)
        return len(view)

    def close(self) -> None:
        """Code what is left and write the end."""
        if self.closed or not self._whole:
            return super().close()
        try:
            self._code(len(self._pending))
            self._put(form.End(self._blocks, self.data_bytes, self._digest.digest()).pack())
        finally:
            super().close()

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self.close()
        else:
            super().close()

    def __del__(self) -> None:
        """Nothing is written by the garbage collector: an archive that was not closed is not whole."""

    def _code(self, count: int) -> None:
        """Code and write the first ``count`` pending bytes."""
        size = self.header.block_bytes
        self._whole = False  # an error on the way leaves data out, even if somebody catches it
        chunks = [bytes(self._pending[start : min(start + size, count)]) for start in range(0, count, size)]
        del self._pending[:count]
        within = self._tell if self._done is not None and parallel.n_jobs() == 1 else None
        tasks = [(self._predictor, chunk, self.header.streams, self._verify, within) for chunk in chunks]
        for chunk, code in zip(chunks, parallel.run(_block_code, tasks), strict=True):
            kind, code = (form.STORED, chunk) if code is None else (form.CODED, code)
            crcs = zlib.crc32(code), zlib.crc32(chunk)
            self._put(form.Block(kind, self._blocks, len(chunk), len(code), *crcs).pack() + code)
            self._blocks += 1
            self.data_bytes += len(chunk)
            self._digest.update(chunk)
            self._tell(0)
        self._whole = True

    def _tell(self, count: int) -> None:
        """How far coding has come: all that is written, and ``count`` bytes of the block in work."""
        if self._done is not None:
            self._done(self.data_bytes + count)

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self.archive_bytes += len(data)


def _block_code(predictor: Predictor, data: bytes, streams: int, verify: bool, done: Done | None) -> bytes | None:
    """The code of a block, None if it is no shorter than the data."""
    encoded = verified = done
    if done is not None and verify:  # which is half of the work
        encoded, verified = (lambda count: done(count // 2)), (lambda count: done((len(data) + count) // 2))
    code = encode_block(predictor, data, streams, encoded)
    if len(code) >= len(data):
        return None
    if verify and not _decodes_to(predictor, code, data, streams, verified):
        raise CompgenError(
            f"{predictor.spec} does not give the same probabilities twice here, so what it codes cannot be decoded; "
            "nothing was written: use another predictor"
        )
    return code


def _decodes_to(predictor: Predictor, code: bytes, data: bytes, streams: int, done: Done | None) -> bool:
    try:
        return decode_block(predictor, code, len(data), streams, done) == data
    except CorruptDataError:
        return False
