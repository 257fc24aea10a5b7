"""A causal language model that reads tokens step by step with a cache of keys and values."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from compgen.errors import CompgenError
from compgen.interfaces import IntArray
from compgen.predictors.huggingface.vocabulary import Vocabulary

#: Tokens of all streams together that are read at once.
_PIECE = 8192
#: Tokens that a copy of a cache has room for.
_ROOM = 1


@contextlib.contextmanager
def running(threads: int) -> Iterator[None]:
    """What every computation runs under: no gradients, and a fixed number of threads, on which sums may depend."""
    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        if before != threads:
            torch.set_num_threads(before)


def home(network: Any) -> Any:
    """The device that inputs go to; a network that is spread over several moves them on by itself."""
    device = next(network.parameters()).device
    return torch.device("cpu") if device.type == "meta" else device


class _GrowingLayer(DynamicLayer):
    """A layer's keys and values in a buffer with room to spare; the library's own copies all of them every step."""

    def __init__(self) -> None:
        DynamicLayer.__init__(self)
        self._length = 0
        self._stores: list[Any] = []

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Append keys and values ``(streams, heads, n, size)``; returns all."""
        beyond = self._length + key_states.shape[2]
        if not self.is_initialized:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            self._stores = [_grown([states], 0, 2 * beyond) for states in (key_states, value_states)]
        elif beyond > self._stores[0].shape[2]:
            self._stores = [_grown([store], self._length, 2 * beyond) for store in self._stores]
        for store, new in zip(self._stores, (key_states, value_states), strict=True):
            store[:, :, self._length : beyond] = new
        self._length = beyond
        self.keys, self.values = (store[:, :, :beyond] for store in self._stores)
        return self.keys, self.values

    def get_seq_length(self, *_args: Any) -> int:
        """Tokens that were read."""
        return self._length

    @staticmethod
    def joined(layers: Sequence[_GrowingLayer]) -> _GrowingLayer:
        """A copy of layers of one length as one, with room for a few more tokens."""
        made, first = _GrowingLayer(), layers[0]
        made.dtype, made.device, made.is_initialized, made._length = first.dtype, first.device, True, first._length
        made._stores = [
            _grown([layer._stores[i] for layer in layers], first._length, first._length + _ROOM) for i in (0, 1)
        ]
        return made

    def stream(self, number: int) -> _GrowingLayer:
        """One stream of several. It shares their memory, so nothing more may be read with it: join it first."""
        made = _GrowingLayer()
        made.dtype, made.device, made.is_initialized, made._length = self.dtype, self.device, True, self._length
        made._stores = [store[number : number + 1] for store in self._stores]
        return made


def _grown(parts: Sequence[Any], used: int, length: int) -> Any:
    """A buffer for ``length`` tokens that begins with the ``used`` that buffers hold, stream after stream."""
    like = parts[0]
    streams = sum(part.shape[0] for part in parts)
    larger = like.new_empty((streams, like.shape[1], length, like.shape[3]))
    first = 0
    for part in parts:
        larger[first : first + part.shape[0], :, :used] = part[:, :, :used]
        first += part.shape[0]
    return larger


@dataclass
class TokenModel:
    """A loaded model. ``start`` is the token that is read before all others, None if the tokenizer has none."""

    network: Any
    vocabulary: Vocabulary
    start: int | None
    longest_context: int  # tokens, 0 if there is no limit
    attention: str

    def __post_init__(self) -> None:
        self.device = home(self.network)
        self._banned = torch.from_numpy(self.vocabulary.banned).to(self.device)
        parameters = inspect.signature(self.network.forward).parameters
        self._options: dict[str, Any] = {"use_cache": True, "return_dict": True}
        self._keeps = "logits_to_keep" in parameters
        if self._keeps:
            self._options["logits_to_keep"] = 1

    @property
    def size(self) -> int:
        """Tokens in the vocabulary."""
        return self.vocabulary.size

    def new_cache(self) -> Any:
        """The cache of streams that have read nothing."""
        cache = DynamicCache(config=self.network.config)
        cache.layers = [_GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
        return cache

    @cached_property
    def joinable(self) -> bool:
        """Are its caches keys and values of all tokens, and nothing else, so that those of streams can be joined?"""
        cache = self.new_cache()
        self.feed(np.zeros((1, 1), np.int64), cache)
        return all(type(layer) is _GrowingLayer and layer.is_initialized for layer in cache.layers)

    def copied(self, caches: Sequence[Any]) -> Any:
        """One cache of several streams, from caches of one stream each that have read equally many tokens.

        There must be one only, unless they are :attr:`joinable`.
        """
        if not self.joinable:
            (cache,) = caches
            return copy.deepcopy(cache)
        whole = self.new_cache()
        whole.layers = [_GrowingLayer.joined(layers) for layers in zip(*(c.layers for c in caches), strict=True)]
        return whole

    def split(self, cache: Any, streams: int) -> list[Any]:
        """The cache of each stream, to be copied before anything more is read with it."""
        if streams == 1:
            return [cache]
        parts = [self.new_cache() for _ in range(streams)]
        for number, part in enumerate(parts):
            part.layers = [layer.stream(number) for layer in cache.layers]
        return parts

    def feed(self, tokens: IntArray, cache: Any) -> Any:
        """Read tokens ``(streams, n)``; returns the logits after the last, a float tensor ``(streams, logits)``."""
        ids, piece = torch.from_numpy(np.ascontiguousarray(tokens)).to(self.device), max(1, _PIECE // len(tokens))
        for first in range(0, ids.shape[1], piece):
            read = self.network(input_ids=ids[:, first : first + piece], past_key_values=cache, **self._options)
        return read.logits[:, -1]

    def logits(self, tokens: IntArray, count: int) -> Any:
        """Read tokens ``(streams, n)`` at once: the logits after the last ``count``, or after all, ``(streams, count or
        n, logits)``.
        """
        ids = torch.from_numpy(np.ascontiguousarray(tokens)).to(self.device)
        options = {"logits_to_keep": count} if self._keeps else {}
        return self.network(input_ids=ids, use_cache=False, return_dict=True, **options).logits

    def no_logits(self, streams: int) -> Any:
        """The logits of streams that have read nothing, where nothing can be read first: all tokens alike."""
        return torch.zeros((streams, self.size), device=self.device)

    def distribution(self, logits: Any) -> Any:
        """Probabilities of the next token, a tensor float32 ``(streams, size)``; may overwrite the logits."""
        return torch.softmax(self.without_banned(logits[:, : self.size].float()), 1)

    def without_banned(self, logits: Any) -> Any:
        """Logits ``(n, size)`` with those of tokens that stand for no text overwritten by minus infinity."""
        return logits.index_fill_(1, self._banned, float("-inf")) if len(self._banned) else logits


@dataclass(frozen=True)
class Window:
    """How far a model looks back: at ``context`` tokens it forgets the first ``stride``, and goes on.

    Positions cannot be taken out of a cache, so the tokens that are kept are read again, behind the start token: for
    each ``stride`` tokens, ``context - stride`` are read once more.
    """

    context: int
    stride: int

    def kept(self, tokens: IntArray, start: int | None) -> IntArray:
        """What is read again, of the ``context`` tokens ``(streams, context)``."""
        rest = tokens[:, self.stride :].copy()
        if start is not None:
            rest[:, 0] = start
        return rest


class TokenStreams:
    """Streams of tokens that a model reads in step, all of them at the same position at all times.

    What is computed depends on nothing but the tokens, their number and that of the streams, and the window: coder and
    decoder do the same.
    """

    def __init__(self, model: TokenModel, streams: int, window: Window) -> None:
        self._model, self._window = model, window
        self._tokens = np.empty((streams, window.context), np.int64)
        self._filled = 0
        self._cache = model.new_cache()
        if model.start is None:
            self._logits = model.no_logits(streams)
        else:
            self.push(np.full(streams, model.start))

    def push(self, tokens: IntArray) -> None:
        """Read one token of each stream."""
        if self._filled == self._window.context:
            kept = self._window.kept(self._tokens, self._model.start)
            self._filled = kept.shape[1]
            self._tokens[:, : self._filled] = kept
            self._cache = self._model.new_cache()
            self._model.feed(kept, self._cache)
        self._tokens[:, self._filled] = tokens
        self._filled += 1
        self._logits = self._model.feed(tokens[:, None], self._cache)

    def distribution(self) -> Any:
        """Probabilities of the next tokens, a tensor float32 ``(streams, size)``; to be called once a step."""
        return self._model.distribution(self._logits)


def require_finite(sums: Any) -> None:
    """Raise if a model's probabilities are no numbers."""
    if not np.isfinite(sums).all():
        raise CompgenError("hf: the model's outputs are not finite numbers; try dtype=float32 or dtype=bfloat16")
