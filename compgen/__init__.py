"""compgen: compression is prediction.

>>> import compgen
>>> gzip = compgen.as_predictor(compgen.compressor("gzip"))
>>> compgen.sample(gzip, b"to be or not to be, to be or not to ", 2, greedy=True)
[b'be']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compgen.version import __version__

if TYPE_CHECKING:
    from compgen.archive import ArchiveReader, ArchiveWriter, compress, decompress
    from compgen.bridge import as_compressor, as_predictor
    from compgen.errors import BadInputError, CompgenError, CorruptDataError, MissingExtraError, UsageError
    from compgen.evaluation import correlate, evaluate
    from compgen.interfaces import (
        Compressor,
        ContinuationLengths,
        Decoding,
        Predictor,
        Rendering,
        Sampler,
        Session,
    )
    from compgen.parallel import jobs
    from compgen.registry import compressor, predictor, sampler
    from compgen.sampling import sample

#: Where each public name lives; loaded on first use, so that importing compgen costs nothing.
_HOME = {
    **dict.fromkeys(["ArchiveReader", "ArchiveWriter", "compress", "decompress"], "compgen.archive"),
    **dict.fromkeys(["as_compressor", "as_predictor"], "compgen.bridge"),
    **dict.fromkeys(["correlate", "evaluate"], "compgen.evaluation"),
    "sample": "compgen.sampling",
    "jobs": "compgen.parallel",
    **dict.fromkeys(["compressor", "predictor", "sampler"], "compgen.registry"),
    **dict.fromkeys(
        ["Compressor", "ContinuationLengths", "Decoding", "Predictor", "Rendering", "Sampler", "Session"],
        "compgen.interfaces",
    ),
    **dict.fromkeys(
        ["BadInputError", "CompgenError", "CorruptDataError", "MissingExtraError", "UsageError"], "compgen.errors"
    ),
}

__all__ = [
    "ArchiveReader",
    "ArchiveWriter",
    "BadInputError",
    "CompgenError",
    "Compressor",
    "ContinuationLengths",
    "CorruptDataError",
    "Decoding",
    "MissingExtraError",
    "Predictor",
    "Rendering",
    "Sampler",
    "Session",
    "UsageError",
    "__version__",
    "as_compressor",
    "as_predictor",
    "compress",
    "compressor",
    "correlate",
    "decompress",
    "evaluate",
    "jobs",
    "predictor",
    "sample",
    "sampler",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'compgen' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
