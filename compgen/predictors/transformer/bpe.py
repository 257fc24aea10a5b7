"""Byte pair encoding (Gage 1994; Sennrich et al. 2016) of bytes, any bytes: tokens from 0 to 255 are the single bytes.

A merge joins two tokens to a new one. To encode, the data is cut into words, and in each of them the earliest merge
that applies is carried out, the leftmost one first, until none applies. No word is longer than ``WORD_BYTES`` and a
space, so the work grows with the data alone.

>>> pairs = BytePairs([(ord("a"), ord("b")), (256, ord("c"))])
>>> pairs.tokens[256:]
(b'ab', b'abc')
>>> pairs.encode(b"abcab c").tolist()
[257, 256, 32, 99]
>>> pairs.decode(pairs.encode(b"abcab c"))
b'abcab c'
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from compgen.predictors._covering import Trie

Tokens = npt.NDArray[np.uint16]

#: A vocabulary has at most so many tokens, a token so many bytes.
MAX_TOKENS, MAX_TOKEN_BYTES = 65535, 64
WORD_BYTES = 64
#: Words: letters or bytes beyond ASCII, digits, or signs, each with a space before them if there is one; and runs of
#: what is left, without the last space before a word. ASCII only, so that on text of one character a byte the
#: library that learns vocabularies reads it as ``re`` does on bytes. Every byte is in some word.
WORDS = (
    r" ?(?:[A-Za-z]|[^\x00-\x7F]){1,64}| ?[0-9]{1,64}| ?[!-/:-@\[-`{-~]{1,64}"
    r"|[\x00-\x20\x7F]{1,64}(?![^\x00-\x20\x7F])|[\x00-\x20\x7F]"
)
_WORDS = re.compile(WORDS.encode(), re.DOTALL)
#: Words whose tokens are remembered at once.
_REMEMBERED = 1 << 17


class BytePairs:
    """A vocabulary of tokens, given by ``merges``: pairs of tokens, each of which joins two tokens made before it.

    Raises ``ValueError`` for merges that are none.
    """

    def __init__(self, merges: Sequence[tuple[int, int]]) -> None:
        tokens = [bytes((byte,)) for byte in range(256)]
        numbers = {data: token for token, data in enumerate(tokens)}
        self._merged: dict[tuple[int, int], tuple[int, int]] = {}  # pair of tokens to rank and token
        for rank, (left, right) in enumerate(merges):
            if not (type(left) is type(right) is int and 0 <= left < len(tokens) and 0 <= right < len(tokens)):
                raise ValueError(f"merge {rank} is not of two tokens made before it")
            data = tokens[left] + tokens[right]
            if len(data) > MAX_TOKEN_BYTES or (left, right) in self._merged:
                raise ValueError(f"merge {rank} is there already, or makes a token of over {MAX_TOKEN_BYTES} bytes")
            token = numbers.setdefault(data, len(tokens))  # two ways to the same bytes are one token
            if token == len(tokens):
                tokens.append(data)
            self._merged[left, right] = rank, token
        if len(tokens) > MAX_TOKENS:
            raise ValueError(f"{len(tokens)} tokens; there may be {MAX_TOKENS}")
        #: The bytes of each token.
        self.tokens = tuple(tokens)

    @property
    def merges(self) -> list[tuple[int, int]]:
        """The pairs, in order."""
        return list(self._merged)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BytePairs) and self.merges == other.merges

    def __hash__(self) -> int:
        return hash(self.tokens)

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.tokens)

    @cached_property
    def lengths_bytes(self) -> npt.NDArray[np.uint8]:
        """Bytes of each token, ``(tokens,)``."""
        return np.array([len(data) for data in self.tokens], np.uint8)

    @cached_property
    def trie(self) -> Trie:
        """The tokens by their bytes."""
        return Trie(self.tokens)

    def encode(self, data: bytes) -> Tokens:
        """The tokens of any bytes, uint16 ``(n,)``."""
        found, known = array("H"), dict[bytes, "array[int]"]()
        for match in _WORDS.finditer(data):
            word = match.group()
            tokens = known.get(word)
            if tokens is None:
                if len(known) >= _REMEMBERED:
                    known.clear()
                tokens = known[word] = array("H", self._merge(word))
            found.extend(tokens)
        return np.array(found, np.uint16)

    def bytes_of(self, tokens: npt.NDArray[np.integer]) -> int:
        """How many bytes tokens stand for."""
        return int(self.lengths_bytes[tokens].sum(dtype=np.int64))

    def decode(self, tokens: npt.NDArray[np.integer]) -> bytes:
        """The bytes that tokens stand for."""
        return b"".join([self.tokens[token] for token in tokens.tolist()])

    def _merge(self, word: bytes) -> list[int]:
        """The tokens of a word."""
        tokens = list(word)
        before, after = list(range(-1, len(word) - 1)), list(range(1, len(word) + 1))  # of each place, the next ones
        waiting = [
            (self._merged[pair][0], place) for place, pair in enumerate(pairwise(tokens)) if pair in self._merged
        ]
        heapify(waiting)
        while waiting:
            rank, place = heappop(waiting)
            right = after[place]
            if tokens[place] < 0 or right == len(tokens):
                continue
            # What stands here may have been merged with something else meanwhile.
            rank_now, token = self._merged.get((tokens[place], tokens[right]), (-1, -1))
            if rank_now != rank:
                continue
            tokens[place], tokens[right], after[place] = token, -1, after[right]
            if after[right] < len(tokens):
                before[after[right]] = place
            for left in (before[place], place):
                if left >= 0 and after[left] < len(tokens):
                    pair = tokens[left], tokens[after[left]]
                    if pair in self._merged:
                        heappush(waiting, (self._merged[pair][0], left))
        return [token for token in tokens if token >= 0]
