"""Equal-Info Windows (Lester et al. 2024, sec. 3): bytes cut so that each window of ``W`` bits holds about as much
information, and a reset of the coder, and of the model M1, between two windows. In this form every window says by
itself what it stands for.

**The interval.** The bytes of a window narrow [0, 1) as in arithmetic coding, in whole numbers of 2**-(W+32). M1's
probabilities become frequencies that sum to 2**p (:func:`compgen.coding.quantise`, ``p = precision_bits``), each at
least 1. Byte b, with frequency f(b) and s(b) the sum of those before it, narrows [low, low + width) to

    low + unit * s(b)  ...  low + unit * (s(b) + f(b)),        unit = floor(width / 2**p)

and byte 255 up to the old end.

**Points.** What a window can be is one of the 2**W points k * 2**-W, 0 <= k < 2**W: bit strings of W bits, or shorter
ones that go on in zeros. A string of bytes can be written while its interval has a point. As the intervals of the 256
bytes that may follow have all points of the string between them, a point alone does not tell where the string ends:
this is what keeps the published code from decoding all it encodes. Here **every string of at least a byte keeps its
last free point for itself**, and leaves the others to its continuations:

    points(root)  =  all 2**W
    points(x b)   =  those in the interval of x b that x does not keep        (the root keeps none)
    kept(x)       =  the last of points(x)

A string with points(x) not empty is a **word**. The encoder takes the longest word that the data go on with, and writes
the point that it keeps; the decoder walks from the root along the point until it meets the string that keeps it.

*Lossless for any M1 and any bytes.* Each point is kept by exactly one word: walking along it, either the string keeps
it, or it is left to the one byte whose interval has it; strings have fewer and fewer points, so the walk ends. So
windows and words are in bijection, and decoding needs nothing but the window: neither lengths nor the next window, and
nothing is ever tried twice. Every byte is a word, as its interval has at least 2**(W-p) points, at least 2 as W > p; so
any data are a sequence of words.

*Bounds.* A string that is continued has two points or more, so its width exceeds 2**32 units; every byte narrows it at
least by the factor (1 - 255 / 2**p). A word has therefore at most 2 + W / -log2(1 - 255 / 2**p) bytes: 44.2 W for p =
14. Decoding takes one prediction of M1 a byte at most, whatever the tokens are.

**Delay.** The variant of the paper that decodes without look-ahead writes the shortest bit string in the interval, and
leaves bytes that only add zeros to it to the next window. Strings keep nothing; round(x) is the point of x with the
most trailing zeros; the encoder goes on while there is a point (and from strings with two or more), and then goes back
to the first n bytes, n >= 1, that have the same round point. The decoder walks along the point to the first string of
at least a byte whose round point it is. That is the encoder's, as the encoder had passed through the same strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compgen.errors import CorruptDataError, UsageError

#: When M1 starts anew: at every window, at every other one, or only with a document.
RESETS = {"every": 1, "alternate": 2, "never": 0}
MAX_WINDOW_BITS = 4096
Tokens = npt.NDArray[np.unsignedinteger]
Bytes = npt.NDArray[np.uint8]


def token_type(token_bits: int) -> np.dtype[Any]:
    """The type of tokens of 8 or 16 bits, as they are written: little-endian."""
    if token_bits not in (8, 16):
        raise UsageError(f"tokens must be of 8 or 16 bits, not {token_bits}")
    return np.dtype("<u2" if token_bits == 16 else "u1")


def checked_tokens(tokens: npt.ArrayLike, vocab_size: int) -> npt.NDArray[np.int64]:
    """Token ids ``(n,)`` as int64. Raises :class:`~compgen.errors.CorruptDataError` for ids outside the vocabulary."""
    array = np.asarray(tokens)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UsageError(f"tokens must be integers of shape (n,), not {array.dtype} of shape {array.shape}")
    wrong = np.flatnonzero((array < 0) | (array >= vocab_size))
    if len(wrong):
        place = int(wrong[0])
        raise CorruptDataError(f"token {array[place]} at place {place} is not in a vocabulary of {vocab_size}")
    return array.astype(np.int64)


@dataclass(frozen=True)
class Windows:
    """The shape of Equal-Info Windows: ``window_bits`` (W) as tokens of ``token_bits`` (N), W / N tokens a window.

    Where that is no whole number, as for 24 and 16, a document's windows are tokens together, and the last one may end
    in a byte of zeros.

    ``delay`` selects the variant without look-ahead; ``reset_model`` says when M1 starts anew. ``precision_bits``: see
    the module.
    """

    window_bits: int = 16
    token_bits: int = 16
    delay: bool = False
    reset_model: str = "every"
    precision_bits: int = 14

    def __post_init__(self) -> None:
        token_type(self.token_bits)
        if not 9 <= self.precision_bits <= 24:
            raise UsageError(f"precision must be from 9 to 24 bits, not {self.precision_bits}")
        if self.window_bits <= self.precision_bits:
            raise UsageError(
                f"a window of {self.window_bits} bits is too narrow: a byte can need {self.precision_bits + 1} at a "
                f"precision of {self.precision_bits}; take wider windows"
            )
        if self.window_bits > MAX_WINDOW_BITS or self.window_bits % 8:
            raise UsageError(
                f"a window must be a whole number of bytes, up to {MAX_WINDOW_BITS} bits, not {self.window_bits} bits"
            )
        if self.reset_model not in RESETS:
            raise UsageError(f"reset_model must be one of {', '.join(RESETS)}, not {self.reset_model!r}")
        if not isinstance(self.delay, bool):
            raise UsageError(f"delay must be true or false, not {self.delay!r}")
        if self.delay and self.reset_model != "every":
            raise UsageError("with delay M1 must start anew at every window: the bytes put off are read again")

    @property
    def window_bytes(self) -> int:
        """Bytes of a window as it is written."""
        return self.window_bits // 8

    @property
    def longest_word(self) -> int:
        """No word has more bytes: see the module."""
        return 2 + int(self.window_bits / -np.log2(1 - 255 / 2**self.precision_bits))

    def to_tokens(self, code: Bytes) -> Tokens:
        """Windows, one after the other, as tokens; the first bits of a window are the highest of its first token."""
        if self.token_bits == 8:
            return code.copy()
        return np.append(code, np.zeros(len(code) % 2, np.uint8)).view(">u2").astype("<u2")

    def from_tokens(self, tokens: npt.ArrayLike) -> Bytes:
        """The inverse. Raises :class:`~compgen.errors.CorruptDataError` for what is cut within a window."""
        ids = checked_tokens(tokens, 1 << self.token_bits)
        code = np.frombuffer(ids.astype("u1" if self.token_bits == 8 else ">u2").tobytes(), np.uint8)
        over = len(code) % self.window_bytes
        if over >= self.token_bits // 8 or code[len(code) - over :].any():
            raise CorruptDataError(
                f"{len(ids)} tokens end within a window of {self.window_bits} bits: the stream is cut"
            )
        return code[: len(code) - over]
