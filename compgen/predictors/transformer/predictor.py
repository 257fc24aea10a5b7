"""``transformer``: a transformer with exact arithmetic, as a predictor of bytes and as a coder of blocks of them."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, cast

import numpy as np

from compgen import numerics
from compgen.coding.payload import decode_streams, encode_streams
from compgen.errors import MissingExtraError, UsageError
from compgen.interfaces import (
    BlockCoder,
    Done,
    FileName,
    FloatArray,
    Predictor,
    Progress,
    Session,
    Symbols,
    adding,
    symbol_array,
)
from compgen.predictors import _covering
from compgen.predictors._covering import ByteSession, Coverings
from compgen.predictors.transformer import fixed, tokens, weights
from compgen.predictors.transformer.bpe import BytePairs
from compgen.predictors.transformer.config import PRESETS, Config
from compgen.predictors.transformer.engine import Engine
from compgen.predictors.transformer.sessions import EnginePredictor, ModelEngine, piece_of

#: Blocks up to this many bytes get the largest model that ships, longer ones the smallest.
LARGEST_UP_TO_BYTES = 1 << 22
#: A block is coded as one stream for each of these many bytes, and as MAX_STREAMS at most.
STREAM_BYTES, MAX_STREAMS = 1 << 16, 64
BACKENDS = ("numpy", "torch")


def shipped() -> dict[str, Path]:
    """The weight files that come with the package, by name, the smallest first."""
    folder = files("compgen.predictors.transformer").joinpath("shipped")
    with as_file(folder) as path:
        found = sorted(path.glob("*.safetensors"), key=lambda file: file.stat().st_size)
    return {file.stem: file for file in found}


@cache
def _load(path: Path, _changed: int) -> weights.Weights:
    return weights.load(path)


@cache
def _engine(path: Path, changed: int, backend: str, device: str) -> ModelEngine[object]:
    loaded = _load(path, changed)
    if backend == "numpy":
        return cast(ModelEngine[object], Engine(loaded))
    try:
        from compgen.predictors.transformer.torch_engine import TorchEngine
    except ImportError:
        raise MissingExtraError("backend=torch", "lm") from None
    return cast(ModelEngine[object], TorchEngine(loaded, device))


@dataclass(frozen=True)
class Transformer(Predictor, BlockCoder):
    """A transformer whose arithmetic is whole numbers: the same frequencies everywhere.

    A weight file may have a vocabulary of tokens. Blocks are coded as tokens then; sessions and code lengths are of
    bytes all the same, summed over the ways to write what was read as tokens.

    - ``file``: the path of a weight file that ``compgen train`` made; or ``size``, one that ships (``200k``, ...),
      which may be written in its place too. Without either the largest that ships, for blocks above 4 MiB the smallest.
    - ``streams``: a block is coded as so many parts in step, which is faster and costs a cold start each; 0 takes one
      for each 64 KiB, 64 at most.
    - ``beam``: how many of these ways are weighed to predict a byte, where the model is of tokens; 0 for all, which is
      for short strings only. Coding blocks does not need it.
    - ``backend`` (``numpy``, ``torch``) and ``device`` (``cpu``, ``cuda``, for torch) say where it is computed. They do
      not change the numbers and are not part of the spec.
    """

    file: FileName = ""
    size: str = ""
    streams: int = 0
    beam: int = 8
    backend: str = dataclasses.field(default="numpy", compare=False)
    device: str = dataclasses.field(default="cpu", compare=False)

    name = "transformer"
    exact = True

    def __post_init__(self) -> None:
        if self.file in shipped():
            object.__setattr__(self, "size", self.file)
            object.__setattr__(self, "file", "")
        if self.size and self.size not in shipped():
            raise UsageError(f"transformer: no size {self.size!r} ships; sizes: {', '.join(shipped()) or 'none'}")
        if self.backend not in BACKENDS:
            raise UsageError(f"backend must be one of {', '.join(BACKENDS)}, not {self.backend!r}")
        if not 0 <= self.streams <= 4096:
            raise UsageError(f"streams must be from 1 to 4096, or 0 for the model's own choice, not {self.streams}")
        if self.beam < 0:
            raise UsageError(f"beam must be at least 1, or 0 for all tokenisations, not {self.beam}")

    @property
    def spec(self) -> str:
        """See :attr:`Predictor.spec`."""
        arguments = [self.file] if self.file else [f"size={self.size}"] if self.size else []
        arguments += [f"streams={self.streams}"] if self.streams else []
        arguments += [f"beam={self.beam}"] if self.beam != 8 else []
        return self.name + (":" + ",".join(arguments) if arguments else "")

    @property
    def alphabet_size(self) -> int:  # type: ignore[override]
        """256 for models of tokens too: they predict bytes."""
        loaded = self._weights(0)
        return loaded.config.vocabulary if loaded.pairs is None else 256

    @property
    def numerics(self) -> str:  # type: ignore[override]
        """See :attr:`Predictor.numerics`."""
        over_tokens = bool(self.file or self.size) and self._weights(0).pairs is not None
        return f"{fixed.ARITHMETIC}, {tokens.CODE}" if over_tokens else fixed.ARITHMETIC

    @cached_property
    def weights_sha256(self) -> str:  # type: ignore[override]
        """Of the weight file; without ``file`` and ``size``, of those that ship, one after the other."""
        digests = [_load(*path).sha256 for path in self._paths()]
        return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()

    @property
    def parameters(self) -> int:  # type: ignore[override]
        """See :attr:`Predictor.parameters`: those of the model that codes short blocks."""
        return self._weights(0).config.parameters

    @property
    def weights_bytes(self) -> int:  # type: ignore[override]
        """See :attr:`Predictor.weights_bytes`."""
        return self._path(0)[0].stat().st_size

    @property
    def card(self) -> Mapping[str, Any]:
        """What the weights say of how they were made: data, recipe, measured rates."""
        return self._weights(0).card

    @property
    def vocabulary(self) -> int:
        """How many symbols the model itself is of: 256 for bytes, else tokens."""
        return self._weights(0).config.vocabulary

    @property
    def shape(self) -> str:
        """The preset of this width and depth, whatever the vocabulary; else width and depth."""
        config = self._weights(0).config
        same = (name for name, one in PRESETS.items() if dataclasses.replace(one, vocabulary=self.vocabulary) == config)
        return next(same, f"{config.width}x{config.layers}")

    def symbols(self, data: bytes) -> int:
        """How many of the model's symbols data are coded as."""
        pairs = self._weights(0).pairs
        return len(data) if pairs is None else len(pairs.encode(data))

    def _paths(self) -> list[tuple[Path, int]]:
        """The weight files that may be used, and when each was changed, the smallest first."""
        known = shipped()
        chosen = [Path(self.file)] if self.file else [known[self.size]] if self.size else list(known.values())
        if not chosen:
            raise UsageError("no weights ship with this build; name a weight file: transformer:PATH")
        if not chosen[0].is_file():
            raise UsageError(f"transformer: there is no weight file {self.file!r}; sizes that ship: {', '.join(known)}")
        return [(path, path.stat().st_mtime_ns) for path in chosen]

    def _path(self, length_bytes: int) -> tuple[Path, int]:
        """The one for a block of some length."""
        paths = self._paths()
        return paths[-1] if length_bytes <= LARGEST_UP_TO_BYTES else paths[0]

    def _weights(self, length_bytes: int) -> weights.Weights:
        return _load(*self._path(length_bytes))

    @property
    def config(self) -> Config:
        """The shape of the model that sessions read with."""
        return self._weights(0).config

    def _model(self, length_bytes: int) -> EnginePredictor:
        """The model over its own symbols."""
        return EnginePredictor(_engine(*self._path(length_bytes), self.backend, self.device))

    def _coverings(self) -> Coverings | None:
        """What sessions over bytes share, if the model is of tokens."""
        pairs = self._weights(0).pairs
        return None if pairs is None else Coverings(tokens.Reader(self._model(0), pairs), self.beam)

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        coverings = self._coverings()
        return self._model(0).session(contexts) if coverings is None else ByteSession.after(coverings, contexts)

    def code_lengths(
        self,
        streams: Sequence[Symbols],
        contexts: Sequence[Symbols] | None = None,
        progress: Progress | None = None,
    ) -> list[FloatArray]:
        """See :meth:`Predictor.code_lengths`; streams of one length are read together, all positions at once.

        By a model of tokens, they are read byte by byte.
        """
        contexts = [b""] * len(streams) if contexts is None else contexts
        tell = adding(progress, sum(map(len, streams)))
        coverings = self._coverings()
        if coverings is not None:
            return _covering.code_lengths(coverings, streams, contexts, tell)
        return self._symbol_lengths(streams, contexts, tell)

    def block_lengths(self, blocks: Sequence[bytes]) -> list[float]:
        """See :meth:`Predictor.block_lengths`: of the tokens that blocks are coded as, if the model is of tokens."""
        pairs = self._weights(0).pairs
        if pairs is None:
            return super().block_lengths(blocks)
        tokens = [pairs.encode(block).astype(np.int64) for block in blocks]
        longest = max(map(len, tokens), default=0)
        # Of one length, to be read together: what follows a symbol does not change what it costs.
        padded = [np.pad(row, (0, longest - len(row))) for row in tokens]
        lengths = self._symbol_lengths(padded, [b""] * len(padded), lambda _: None)
        return [math.fsum(bits[: len(row)]) for row, bits in zip(tokens, lengths, strict=True)]

    def _symbol_lengths(self, streams: Sequence[Symbols], contexts: Sequence[Symbols], tell: Done) -> list[FloatArray]:
        """Of the model's own symbols."""
        lengths: list[FloatArray] = [np.empty(0)] * len(streams)
        for group in _groups(streams, contexts):
            table = np.stack([symbol_array(streams[i]) for i in group])
            session = self._model(0).session([contexts[i] for i in group])
            piece = piece_of(self._model(0).engine, len(group))
            parts = []
            for first in range(0, table.shape[1], piece):
                part = table[:, first : first + piece]
                rows = session.read(part)
                parts.append(-numerics.log2(np.take_along_axis(rows, part[:, :, None], 2)[:, :, 0]))
                tell(part.size)
            for i, row in zip(group, np.concatenate(parts, axis=1) if parts else [], strict=False):
                lengths[i] = np.asarray(row)
        return lengths

    def encode_block(self, data: bytes, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.encode_block`."""
        model, pairs, streams = self._for(len(data))
        if pairs is None:
            return encode_streams(model, data, streams, done)
        return tokens.encode(model, pairs, data, streams, done)

    def decode_block(self, code: bytes, length: int, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.decode_block`."""
        model, pairs, streams = self._for(length)
        if pairs is None:
            return decode_streams(model, code, length, streams, done)
        return tokens.decode(model, pairs, code, length, streams, done)

    def _for(self, length: int) -> tuple[EnginePredictor, BytePairs | None, int]:
        """The model, its tokens if it is of tokens, and the streams for a block of some length."""
        streams = self.streams or max(1, min(MAX_STREAMS, length // STREAM_BYTES))
        return self._model(length), self._weights(length).pairs, streams


def _groups(streams: Sequence[Symbols], contexts: Sequence[Symbols]) -> list[list[int]]:
    """Numbers of streams that are of one length and have contexts of one length, at most 64 together."""
    by_shape: dict[tuple[int, int], list[int]] = {}
    for i, (stream, context) in enumerate(zip(streams, contexts, strict=True)):
        by_shape.setdefault((len(stream), len(context)), []).append(i)
    return [group[first : first + 64] for group in by_shape.values() for first in range(0, len(group), 64)]
