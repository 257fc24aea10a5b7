"""The archive of ``compgen compress``: any predictor as a file compressor that can be trusted with files.

>>> from compgen.archive import compress, decompress
>>> archive = compress(b"to be or not to be" * 10, "order2")
>>> decompress(archive) == b"to be or not to be" * 10, len(archive) < 180
(True, True)
"""

from compgen.archive.format import Header as Header
from compgen.archive.reader import ArchiveReader as ArchiveReader
from compgen.archive.reader import Summary as Summary
from compgen.archive.reader import decompress as decompress
from compgen.archive.reader import summarise as summarise
from compgen.archive.writer import BEST_PREDICTOR as BEST_PREDICTOR
from compgen.archive.writer import DEFAULT_PREDICTOR as DEFAULT_PREDICTOR
from compgen.archive.writer import ArchiveWriter as ArchiveWriter
from compgen.archive.writer import compress as compress

__all__ = [
    "BEST_PREDICTOR",
    "DEFAULT_PREDICTOR",
    "ArchiveReader",
    "ArchiveWriter",
    "Header",
    "Summary",
    "compress",
    "decompress",
    "summarise",
]
