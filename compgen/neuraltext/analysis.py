"""What there is to learn from tokens: simple models of them, and how stable the map from text to tokens is.

A token stream that no statistic tells from noise cannot be learnt; Lester et al. 2024 (sec. 6) find that arithmetic
codes are such streams and Equal-Info Windows are not. All lengths are in bits; models are fitted on one part of the
tokens and measured on another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from compgen.errors import BadInputError
from compgen.interfaces import IntArray
from compgen.neuraltext.corpus import Shards
from compgen.neuraltext.encoders import Encoder
from compgen.neuraltext.windows import Tokens

#: The part of the tokens that models are measured on, where no other shards are given.
HELD_OUT = 0.1


def statistics(shards: Shards, held_out: Shards | None = None) -> dict[str, Any]:
    """Code lengths of held-out tokens by the uniform, unigram and bigram models of the others."""
    tokens = shards.tokens()
    if held_out is None:
        cut = len(tokens) - max(1, int(len(tokens) * HELD_OUT))
        known, new, ratio = tokens[:cut], tokens[cut:], shards.bytes_per_token
    else:
        known, new, ratio = tokens, held_out.tokens(), held_out.bytes_per_token
    if len(known) < 2 or len(new) < 2:
        raise BadInputError(f"{len(tokens)} tokens are too few to analyse")
    size = shards.vocab_size
    lengths = {
        "uniform": float(np.log2(size)),
        "unigram": unigram_bits(known, new, size),
        "bigram": bigram_bits(known, new, size),
    }
    return {
        "tokens": len(tokens),
        "held_out_tokens": len(new),
        "vocab_size": size,
        "used": len(np.unique(tokens)),
        "bytes_per_token": ratio,
        **{f"{name}_bits_per_token": bits for name, bits in lengths.items()},
        **{f"{name}_bits_per_byte": bits / ratio for name, bits in lengths.items()},
    }


def unigram_bits(known: Tokens, new: Tokens, size: int) -> float:
    """Bits a token by the frequencies of the known ones, half a token added to each count."""
    return float(-np.log2(_unigram(known, size)[new]).mean())


def bigram_bits(known: Tokens, new: Tokens, size: int) -> float:
    """Bits a token given the one before, interpolated with the unigrams as by Witten and Bell (1991).

    P(b | a) = (n(ab) + t(a) P(b)) / (n(a) + t(a)), n counts and t(a) the number of different tokens after a.
    """
    single = _unigram(known, size)
    pairs, counts = np.unique(_pairs(known, size), return_counts=True)
    after: IntArray = np.bincount(known[:-1], minlength=size)
    different = np.bincount(pairs // size, minlength=size)
    wanted = _pairs(new, size)
    places = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    seen = np.where(pairs[places] == wanted, counts[places], 0)
    first, second = new[:-1], new[1:]
    total = after[first] + different[first]
    smoothed = (seen + different[first] * single[second]) / np.maximum(total, 1)
    return float(-np.log2(np.where(total > 0, smoothed, single[second])).mean())


def _unigram(known: Tokens, size: int) -> np.typing.NDArray[np.float64]:
    counts = np.bincount(known, minlength=size) + 0.5
    return np.asarray(counts / counts.sum())


def _pairs(tokens: Tokens, size: int) -> IntArray:
    wide = tokens.astype(np.int64)
    return wide[:-1] * size + wide[1:]


def stability(encoder: Encoder, documents: Sequence[bytes]) -> dict[str, float]:
    """How much of the tokens of a text depends on what stands before it.

    Each document is encoded as it is, and with one byte (a space) before it. ``same_tokens`` is the part of its tokens
    that end both, and ``bytes_until_same`` how many bytes of text pass before the two go on alike (the whole document,
    where they never do).
    """
    documents = [document for document in documents if document]
    if not documents:
        raise BadInputError("there is no text to look at")
    plain = encoder.encode(documents)
    moved = encoder.encode([b" " + document for document in documents])
    common = [_common_end(one, other) for one, other in zip(plain, moved, strict=True)]
    parts = [count / max(len(tokens), 1) for count, tokens in zip(common, plain, strict=True)]
    until = [(1 - part) * len(document) for part, document in zip(parts, documents, strict=True)]
    return {"same_tokens": float(np.mean(parts)), "bytes_until_same": float(np.mean(until))}


def _common_end(one: Tokens, other: Tokens) -> int:
    count = min(len(one), len(other))
    differ = np.flatnonzero(one[len(one) - count :] != other[len(other) - count :])
    return count if not len(differ) else count - 1 - int(differ[-1])


def repetition(encoder: Encoder, documents: Sequence[bytes], words: int = 100, places: int = 20) -> dict[str, float]:
    """Does the same text become the same tokens? Of the most frequent words, with the space before them.

    For each word, up to ``places`` where it stands are encoded from the start of their document on, with and without
    the word; the tokens that this adds or changes are the word's. ``same_word`` is how often these are the same at two
    places of a word, on average over words that stand at two places or more. 1: always, as with bytes.
    """
    found: dict[bytes, list[tuple[int, int]]] = {}
    for number, document in enumerate(documents):
        start = document.find(b" ")
        while start >= 0:
            end = document.find(b" ", start + 1)
            if end < 0:
                break
            if 3 <= end - start <= 16:
                found.setdefault(document[start:end], []).append((number, end))
            start = end
    several = [word for word in found if len(found[word]) > 1]
    frequent = sorted(several, key=lambda word: (-len(found[word]), word))[:words]
    queries, owners = list[bytes](), list[bytes]()
    for word in frequent:
        for number, end in found[word][:places]:
            queries += [documents[number][: end - len(word)], documents[number][:end]]
            owners.append(word)
    if not owners:
        raise BadInputError("there are no words that stand at two places, between spaces")
    tokens = encoder.encode(queries)
    seen: dict[bytes, dict[bytes, int]] = {}
    for i, word in enumerate(owners):
        before, after = tokens[2 * i], tokens[2 * i + 1]
        kept = _common_start(before, after)
        own = after[kept:].tobytes()
        ways = seen.setdefault(word, {})
        ways[own] = ways.get(own, 0) + 1
    return {"words": len(seen), "same_word": float(np.mean([_alike(list(ways.values())) for ways in seen.values()]))}


def _alike(counts: Sequence[int]) -> float:
    """The chance that two of some things, of which so many are alike, are alike."""
    total = sum(counts)
    return sum(count * (count - 1) for count in counts) / (total * (total - 1))


def _common_start(one: Tokens, other: Tokens) -> int:
    count = min(len(one), len(other))
    differ = np.flatnonzero(one[:count] != other[:count])
    return count if not len(differ) else int(differ[0])
