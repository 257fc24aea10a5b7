"""``transformer``: a byte transformer with exact arithmetic, as a predictor and as a coder of blocks."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Protocol, TypeVar, cast

import numpy as np

from compgen import numerics
from compgen.coding.payload import decode_streams, encode_streams
from compgen.errors import MissingExtraError, UsageError
from compgen.interfaces import (
    BlockCoder,
    Done,
    FileName,
    FloatArray,
    IntArray,
    Predictor,
    Progress,
    Session,
    Symbols,
    symbol_array,
)
from compgen.predictors.transformer import fixed, weights
from compgen.predictors.transformer.config import Config
from compgen.predictors.transformer.engine import Engine

#: Blocks up to this many bytes get the largest model that ships, longer ones the smallest.
LARGEST_UP_TO_BYTES = 1 << 22
#: A block is coded as one stream for each of these many bytes, and as MAX_STREAMS at most.
STREAM_BYTES, MAX_STREAMS = 1 << 16, 64
BACKENDS = ("numpy", "torch")
#: Positions of all streams together that are computed at once.
_PIECE = 8192

_C = TypeVar("_C")


class ModelEngine(Protocol[_C]):
    """What a backend offers: caches of streams, and moving them on. See :class:`~.engine.Engine`."""

    config: Config

    def start(self, streams: int) -> _C:
        """Caches of streams that have read nothing."""

    def select(self, caches: _C, streams: IntArray) -> _C:
        """A copy of the caches of some streams."""

    def join(self, parts: list[_C]) -> _C:
        """Caches of several groups of streams as one."""

    def advance(self, symbols: IntArray, caches: _C) -> FloatArray:
        """Read symbols ``(streams, n)``: P(next) after each, float64 ``(streams, n, vocabulary)``."""


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
    """A transformer over bytes whose arithmetic is whole numbers: the same frequencies everywhere.

    - ``file``: the path of a weight file that ``compgen train`` made; or ``size``, one that ships (``200k``, ...),
      which may be written in its place too. Without either the largest that ships, for blocks above 4 MiB the smallest.
    - ``streams``: a block is coded as so many parts in step, which is faster and costs a cold start each; 0 takes one
      for each 64 KiB, 64 at most.
    - ``backend`` (``numpy``, ``torch``) and ``device`` (``cpu``, ``cuda``, for torch) say where it is computed. They do
      not change the numbers and are not part of the spec.
    """

    file: FileName = ""
    size: str = ""
    streams: int = 0
    backend: str = dataclasses.field(default="numpy", compare=False)
    device: str = dataclasses.field(default="cpu", compare=False)

    name = "transformer"
    exact = True
    numerics = fixed.ARITHMETIC

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

    @property
    def spec(self) -> str:
        """See :attr:`Predictor.spec`."""
        arguments = [self.file] if self.file else [f"size={self.size}"] if self.size else []
        arguments += [f"streams={self.streams}"] if self.streams else []
        return self.name + (":" + ",".join(arguments) if arguments else "")

    @property
    def alphabet_size(self) -> int:  # type: ignore[override]
        """The model's vocabulary."""
        return self._engine(0).config.vocabulary

    @cached_property
    def weights_sha256(self) -> str:  # type: ignore[override]
        """Of the weight file; without ``file`` and ``size``, of those that ship, one after the other."""
        digests = [_load(*path).sha256 for path in self._paths()]
        return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()

    def _paths(self) -> list[tuple[Path, int]]:
        """The weight files that may be used, and when each was changed, the smallest first."""
        known = shipped()
        chosen = [Path(self.file)] if self.file else [known[self.size]] if self.size else list(known.values())
        if not chosen:
            raise UsageError("no weights ship with this build; name a weight file: transformer:PATH")
        if not chosen[0].is_file():
            raise UsageError(f"transformer: there is no weight file {self.file!r}; sizes that ship: {', '.join(known)}")
        return [(path, path.stat().st_mtime_ns) for path in chosen]

    def _engine(self, length_bytes: int) -> ModelEngine[object]:
        paths = self._paths()
        path, changed = paths[-1] if length_bytes <= LARGEST_UP_TO_BYTES else paths[0]
        return _engine(path, changed, self.backend, self.device)

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        return _session(self._engine(0), contexts)

    def code_lengths(
        self,
        streams: Sequence[Symbols],
        contexts: Sequence[Symbols] | None = None,
        progress: Progress | None = None,
    ) -> list[FloatArray]:
        """See :meth:`Predictor.code_lengths`; streams of one length are read together, all positions at once."""
        contexts = [b""] * len(streams) if contexts is None else contexts
        lengths: list[FloatArray] = [np.empty(0)] * len(streams)
        total, done = sum(map(len, streams)), 0
        for group in _groups(streams, contexts):
            table = np.stack([symbol_array(streams[i]) for i in group])
            session, piece = self.session([contexts[i] for i in group]), max(1, _PIECE // len(group))
            parts = []
            for first in range(0, table.shape[1], piece):
                part = table[:, first : first + piece]
                rows = session.read(part)
                parts.append(-numerics.log2(np.take_along_axis(rows, part[:, :, None], 2)[:, :, 0]))
                done += part.size
                if progress is not None:
                    progress(done, total)
            for i, row in zip(group, np.concatenate(parts, axis=1) if parts else [], strict=False):
                lengths[i] = np.asarray(row)
        return lengths

    def encode_block(self, data: bytes, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.encode_block`."""
        return encode_streams(self._for(len(data)), data, self._streams(len(data)), done)

    def decode_block(self, code: bytes, length: int, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.decode_block`."""
        return decode_streams(self._for(length), code, length, self._streams(length), done)

    def _for(self, length: int) -> _Coded:
        return _Coded(self._engine(length))

    def _streams(self, length: int) -> int:
        return self.streams or max(1, min(MAX_STREAMS, length // STREAM_BYTES))


def _groups(streams: Sequence[Symbols], contexts: Sequence[Symbols]) -> list[list[int]]:
    """Numbers of streams that are of one length and have contexts of one length, at most 64 together."""
    by_shape: dict[tuple[int, int], list[int]] = {}
    for i, (stream, context) in enumerate(zip(streams, contexts, strict=True)):
        by_shape.setdefault((len(stream), len(context)), []).append(i)
    return [group[first : first + 64] for group in by_shape.values() for first in range(0, len(group), 64)]


@dataclass(frozen=True)
class _Coded(Predictor):
    """The sessions of one engine, for coding streams."""

    engine: ModelEngine[object]
    exact = True

    name = "transformer"

    @property
    def alphabet_size(self) -> int:  # type: ignore[override]
        return self.engine.config.vocabulary

    def session(self, contexts: Sequence[Symbols]) -> Session:
        return _session(self.engine, contexts)


def _session(engine: ModelEngine[object], contexts: Sequence[Symbols]) -> Session:
    """Streams that have read their contexts, those of one length together."""
    by_length: dict[int, list[int]] = {}
    for i, context in enumerate(contexts):
        by_length.setdefault(len(context), []).append(i)
    parts, order = [], np.empty(len(contexts), np.int64)
    place = 0
    for group in by_length.values():
        session = _TransformerSession(engine, engine.start(len(group)), np.empty(0))
        session.push(np.full(len(group), engine.config.vocabulary))
        table = np.stack([symbol_array(contexts[i]) for i in group])
        piece = max(1, _PIECE // len(group))
        for first in range(0, table.shape[1], piece):
            session.read(table[:, first : first + piece])
        parts.append(session)
        order[group] = np.arange(place, place + len(group))
        place += len(group)
    if len(parts) == 1:
        return parts[0]
    joined = engine.select(engine.join([part.caches for part in parts]), order)
    return _TransformerSession(engine, joined, np.concatenate([part.next for part in parts])[order])


class _TransformerSession(Session):
    def __init__(self, engine: ModelEngine[object], caches: object, following: FloatArray) -> None:
        self._engine = engine
        self.caches = caches
        self.next = following  # P(next symbol), (streams, vocabulary)

    def probabilities(self) -> FloatArray:
        return self.next.copy()

    def push(self, symbols: Symbols) -> None:
        self.next = self._engine.advance(symbol_array(symbols)[:, None], self.caches)[:, 0]

    def read(self, symbols: np.typing.ArrayLike) -> FloatArray:
        table = np.ascontiguousarray(symbols, np.int64)
        if not table.shape[1]:
            return self.next[:, None][:, :0]
        after = self._engine.advance(table, self.caches)
        before = np.concatenate([self.next[:, None], after[:, :-1]], axis=1)
        self.next = after[:, -1].copy()
        return before

    def fork(self) -> Session:
        everything = np.arange(len(self.next))
        return _TransformerSession(self._engine, self._engine.select(self.caches, everything), self.next.copy())
