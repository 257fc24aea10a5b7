"""Scoring windows with a language model: batches of windows, one forward pass each, the loss in float32 or better."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from compgen import parallel
from compgen.coding.payload import leb128
from compgen.datasets.documents import Document
from compgen.errors import CompgenError, UsageError
from compgen.evaluation import windows
from compgen.evaluation.corpus import Encoded
from compgen.evaluation.scorers import UNSCORED, Piece, Scorer
from compgen.evaluation.windows import Geometry
from compgen.interfaces import Done, FloatArray, IntArray
from compgen.predictors.huggingface import HuggingFace, coder, loading
from compgen.predictors.huggingface.model import TokenModel, require_finite, running

#: Logits that are turned into losses at once, so that what lies between stays in the processor's cache.
_LOGITS = 1 << 19


def token_scorer(predictor: HuggingFace, protocol: str, block_size: int | None, stride: int | None) -> TokenScorer:
    """The scorer of a model, with the geometry that is asked for, else that of its spec, else OpenCompass's.

    Raises :class:`~compgen.errors.UsageError` where the model cannot look back as far as the block.
    """
    limit = predictor.load().longest_context
    geometry = _geometry(predictor, protocol, limit, block_size, stride)
    if limit and geometry.block_size > limit:
        remark = ", which other results do not compare with" if protocol == "opencompass" else ""
        raise UsageError(
            f"{predictor.spec} looks back at most {limit:,} tokens, less than the block of {geometry.block_size:,}; "
            f"give a block size of up to {limit:,}{remark}"
        )
    jobs = parallel.n_jobs()
    if jobs > 1 and not predictor.threads:  # or each of several processes would want all of the processor
        predictor = dataclasses.replace(predictor, threads=max(1, predictor.thread_count // jobs))
    return TokenScorer(predictor, protocol, geometry)


def _geometry(
    predictor: HuggingFace, protocol: str, limit: int, block_size: int | None, stride: int | None
) -> Geometry:
    """OpenCompass's own numbers for its protocol, whatever the spec; for the others what fits spec and model."""
    block, usual = windows.BLOCK_SIZE, windows.STRIDE
    if protocol != "opencompass":
        block = predictor.context or min(block, limit or block)
    block = block if block_size is None else block_size
    if protocol == "full":
        usual = predictor.stride or (usual if block > usual else max(1, block // 4))
    elif protocol == "document":
        usual = predictor.stride or block
    return Geometry(block, usual if stride is None else stride)


@dataclass(frozen=True)
class TokenScorer(Scorer):
    """A language model over the tokens of its tokenizer.

    ``opencompass`` and ``document`` take the tokenizer's own tokens, with and without the special tokens that it adds,
    and score them among all logits. ``full`` takes the tokens that archives code (:mod:`~..huggingface.coder`), which
    stand for exactly the bytes of the text, and scores them among the tokens that stand for text, as archives do.
    """

    predictor: HuggingFace
    protocol: str
    geometry: Geometry

    unit = "tokens"

    @cached_property
    def key(self) -> str:  # type: ignore[override]
        """See :attr:`Encoder.key`."""
        return f"{self.predictor.weights_sha256} {self.protocol}"

    @property
    def model_key(self) -> str:  # type: ignore[override]
        """See :attr:`Scorer.model_key`."""
        return (
            f"{self.predictor.weights_sha256} {self.predictor.dtype} {self.predictor.streams} {self.predictor.numerics}"
        )

    @property
    def dtype(self) -> Any:  # type: ignore[override]
        """The smallest that holds the vocabulary."""
        return np.uint16 if self._logits <= 1 << 16 else np.uint32

    @property
    def _model(self) -> TokenModel:
        return self.predictor.load()

    @property
    def _logits(self) -> int:
        return int(self._model.network.get_output_embeddings().weight.shape[0])

    @property
    def _start(self) -> int | None:
        return None if self.protocol == "opencompass" else self._model.start

    def encode(self, batch: Sequence[Document]) -> list[Encoded]:
        """See :meth:`Encoder.encode`."""
        if self.protocol == "full":
            return [self._cut(document) for document in batch]
        texts = [document.characters() for document in batch]
        with loading.quiet():
            found = self._model.vocabulary.tokenizer(texts, add_special_tokens=self.protocol == "opencompass")
        rows = [np.array(ids, np.int64) for ids in found["input_ids"]]
        beyond = max((int(row.max()) for row in rows if len(row)), default=0)
        if beyond >= self._logits:
            raise CompgenError(
                f"{self.predictor.spec}: the tokenizer gives token {beyond}, the model has {self._logits}"
            )
        return [Encoded(row) for row in rows]

    def _cut(self, document: Document) -> Encoded:
        found = coder.cut(document.data, self._model.vocabulary)
        places = b"".join(leb128(gap) + leb128(len(run)) for gap, run in found.plain)
        return Encoded(found.tokens, b"".join(run for _, run in found.plain), 8.0 * len(places))

    def windows(self, offsets: IntArray) -> IntArray:
        """See :meth:`Scorer.windows`. ``full`` begins anew in as many parts as the spec has streams."""
        length, start = int(offsets[-1]), self._start is not None
        if self.protocol == "opencompass":
            return windows.opencompass(length, self.geometry)
        if self.protocol == "document":
            bounds = offsets
        else:
            streams = max(1, min(self.predictor.streams or 1, length))
            sizes = [length // streams + (i < length % streams) for i in range(streams)]
            bounds = np.concatenate([[0], np.cumsum(sizes)])
        cut = windows.document if self.protocol == "document" else windows.full
        parts = [
            cut(int(end - origin), self.geometry, start, int(origin)) for origin, end in itertools.pairwise(bounds)
        ]
        return np.concatenate(parts)

    def score(self, pieces: Sequence[Piece], done: Done | None = None) -> list[FloatArray]:
        """See :meth:`Scorer.score`: one forward pass for all pieces."""
        results: list[FloatArray] = [np.empty(0)] * len(pieces)
        read = [i for i, piece in enumerate(pieces) if piece.start or len(piece.inputs)]
        for i in set(range(len(pieces))) - set(read):
            results[i] = np.full(len(pieces[i].targets), math.log(self._choices))
        if read:
            try:
                with loading.quiet(), running(self.predictor.thread_count):
                    scored = self._forward([pieces[i] for i in read])
            except torch.OutOfMemoryError:
                raise CompgenError(
                    f"{self.predictor.spec}: not enough memory on the device for {len(read)} windows at once; "
                    "give a smaller batch size"
                ) from None
            for i, nats in zip(read, scored, strict=True):
                results[i] = nats
        if done is not None:
            done(sum(map(len, results)))
        return results

    @property
    def _choices(self) -> int:
        """How many tokens there are to choose from."""
        model = self._model
        return model.size - len(model.vocabulary.banned) if self.protocol == "full" else self._logits

    def _forward(self, pieces: Sequence[Piece]) -> list[FloatArray]:
        rows = [self._inputs(piece) for piece in pieces]
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for row, filled in zip(ids, rows, strict=True):
            row[: len(filled)] = filled  # what follows a window changes nothing before it: the model is causal
        # The last of the inputs of a piece predicts the last of its targets.
        lasts = [len(row) for row in rows]
        firsts = [last - len(piece.targets) for last, piece in zip(lasts, pieces, strict=True)]
        logits = self._model.logits(ids, ids.shape[1] - min(firsts))
        origin = ids.shape[1] - logits.shape[1]
        if len(set(firsts)) == len(set(lasts)) == 1:
            targets = np.stack([piece.targets for piece in pieces]).astype(np.int64)
            nats = self._losses(logits.flatten(0, 1), targets.ravel()).reshape(targets.shape)
            return list(nats)
        return [
            self._losses(logits[i, firsts[i] - origin : lasts[i] - origin], piece.targets.astype(np.int64))
            for i, piece in enumerate(pieces)
        ]

    def _inputs(self, piece: Piece) -> IntArray:
        ids = piece.inputs.astype(np.int64)
        return np.append(np.int64(self._start or 0), ids) if piece.start else ids

    def _losses(self, logits: torch.Tensor, targets: IntArray) -> FloatArray:
        """Nats of targets ``(n,)`` under logits ``(n, vocabulary)``, which may be overwritten."""
        model, chosen = self._model, torch.from_numpy(targets).to(logits.device)
        if self.protocol == "full":
            logits = logits[:, : model.size]
        rows, losses = max(1, _LOGITS // logits.shape[1]), []
        for first in range(0, len(logits), rows):
            part = logits[first : first + rows]
            part = part if part.dtype == torch.float64 else part.float()
            if self.protocol == "full":
                part = model.without_banned(part)
            losses.append(torch.nn.functional.cross_entropy(part, chosen[first : first + rows], reduction="none"))
        nats: FloatArray = torch.cat(losses).double().cpu().numpy()
        require_finite(nats)
        return nats

    def is_special(self, symbols: npt.NDArray[np.integer[Any]]) -> Any:
        """See :meth:`Scorer.is_special`."""
        return np.isin(symbols, self._model.vocabulary.tokenizer.all_special_ids)

    def facts(self) -> dict[str, Any]:
        """See :meth:`Scorer.facts`."""
        start, tokenizer = self._start, self._model.vocabulary.tokenizer
        facts = {
            "unit": "tokens",
            "block_size": self.geometry.block_size,
            "stride": self.geometry.stride,
            "start_token": None if start is None else {"id": start, "text": tokenizer.convert_ids_to_tokens(start)},
        }
        if self.protocol == "full":
            facts["streams"] = self.predictor.streams or 1
        return facts | {"notes": self._notes()}

    def _notes(self) -> list[str]:
        if self.protocol == "opencompass":
            return [UNSCORED]
        if self._model.start is None:
            where = "each document" if self.protocol == "document" else "the text"
            return [
                f"there is no start token: the first token of {where} is scored as one of {self._choices:,}, all alike"
            ]
        where = "each document" if self.protocol == "document" else "each window"
        return [f"the start token is read before {where} and not scored"]
