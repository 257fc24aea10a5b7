"""Random bytes: what nothing compresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from compgen.datasets.dataset import Skip

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Noise:
    """Independent uniform bytes, the same for a seed on every machine and with every version of NumPy.

    They are the words of Philox-4x64 (Salmon et al., SC 2011) with key (seed, 0), each as 8 little-endian bytes. NumPy
    keeps the raw words of its bit generators for good; the methods of its ``Generator``, which may change, go unused.
    """

    joined: ClassVar[bool] = True

    seed: int
    size_bytes: int

    def pieces(self, chunk_bytes: int, skip: Skip) -> Iterator[bytes]:
        """See :meth:`Source.pieces`."""
        generator = np.random.Philox(key=np.array([self.seed, 0], dtype=np.uint64))
        for start in range(0, self.size_bytes, _BLOCK_BYTES):
            block = generator.random_raw(_BLOCK_BYTES // 8).astype("<u8").tobytes()
            yield block[: self.size_bytes - start]
