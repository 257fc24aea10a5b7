"""Blocks of bytes as tokens, coded with a language model; what the tokenizer cannot give back as bytes, coded plainly.

    code   = 2 * tokens, + 1 if there are plain runs [plain] | the streams' codes
    plain  = number of runs | for each: token-coded bytes before it, its own bytes | size of their code + 1, kind, code

The numbers are LEB128; the streams' codes stand behind the lengths of all but the last. The tokens are dealt out
evenly, a contiguous part to each stream, so that all streams end together; how many there are is known beforehand, so
that no token has to say that the text ends.

**Two steps a token.** Quantising the probabilities of 64 streams and 50,000 tokens takes longer than some models need
to compute them. So a token is coded as the group of 256 neighbours that it is in, by the sums of the groups'
probabilities, and then as one of the group. That costs nothing in length, puts no limit on the vocabulary, and only 256
probabilities a stream leave the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from compgen import registry
from compgen.coding import BatchDecoder, BatchEncoder
from compgen.coding.payload import decode_streams, encode_streams, leb128, read_leb128, split_codes
from compgen.errors import CorruptDataError
from compgen.interfaces import Done, FloatArray, IntArray
from compgen.predictors.huggingface.model import TokenModel, TokenStreams, Window, require_finite
from compgen.predictors.huggingface.vocabulary import Vocabulary

#: Of the quantised probabilities: the most the coder has, as rare tokens are far below 2**-24.
PRECISION_BITS = 32
#: What is tokenised at once, and the smallest part of it that is coded plainly by itself: a failure costs no more than
#: halving so often, and the work stays in proportion to the data.
SEGMENT_BYTES, SMALLEST_SEGMENT_BYTES = 1 << 13, 1 << 6
#: Tokens that make a group, and the vocabulary up to which there are no groups.
GROUP, UNGROUPED = 256, 2048
#: What codes the plain runs, all of a block together.
PLAIN = "order2"
_STORED, _MODELLED = 0, 1


@dataclass(frozen=True)
class Cut:
    """A block as tokens ``(n,)``, and runs that are none: (token-coded bytes since the run before, data)."""

    tokens: IntArray
    plain: list[tuple[int, bytes]]


def cut(data: bytes, vocabulary: Vocabulary) -> Cut:
    """Tokens for as much of the data as the tokenizer gives back exactly."""
    tokens, plain, gap = [], list[tuple[int, bytes]](), 0
    for segment, found in _segments(data, vocabulary):
        if found is not None:
            tokens.append(found)
            gap += len(segment)
        elif gap == 0 and plain:
            plain[-1] = plain[-1][0], plain[-1][1] + segment
        else:
            plain.append((gap, segment))
            gap = 0
    return Cut(np.concatenate(tokens) if tokens else np.empty(0, np.int64), plain)


def _segments(data: bytes, vocabulary: Vocabulary) -> Iterator[tuple[bytes, IntArray | None]]:
    """Parts of the data, in order, with their tokens if they have any."""
    first = 0
    while first < len(data):
        beyond = _place_to_cut(data, first, first + SEGMENT_BYTES)
        yield from _halved(data[first:beyond], vocabulary)
        first = beyond


def _halved(segment: bytes, vocabulary: Vocabulary) -> Iterator[tuple[bytes, IntArray | None]]:
    found = vocabulary.tokenise(segment)
    if found is not None:
        yield segment, found
    elif len(segment) <= SMALLEST_SEGMENT_BYTES:
        yield segment, _forced(segment, vocabulary)
    else:
        middle = _place_to_cut(segment, 0, len(segment) // 2)
        yield from _halved(segment[:middle], vocabulary)
        yield from _halved(segment[middle:], vocabulary)


def _forced(segment: bytes, vocabulary: Vocabulary) -> IntArray | None:
    """Tokens that the tokenizer would not give, if so few will do that most of the segment is text all the same."""
    tokens = vocabulary.greedy(segment)
    return tokens if tokens is not None and len(tokens) <= len(segment) // 2 else None


def _place_to_cut(data: bytes, first: int, beyond: int) -> int:
    """A place near ``beyond``, and after ``first``: before a space if there is one, else not inside a character."""
    if beyond >= len(data):
        return len(data)
    near = max(first + 1, beyond - 24)
    space = data.rfind(b" ", near, beyond + 1)
    if space > 0:
        return space
    place = beyond
    while place > max(near, beyond - 3) and 0x80 <= data[place] < 0xC0:
        place -= 1
    return place


def encode(data: bytes, model: TokenModel, streams: int, window: Window, done: Done | None = None) -> bytes:
    """The code of a block of at least a byte."""
    parts = cut(data, model.vocabulary)
    head = leb128(2 * len(parts.tokens) + bool(parts.plain))
    if parts.plain:
        head += leb128(len(parts.plain)) + b"".join(leb128(gap) + leb128(len(run)) for gap, run in parts.plain)
        head += _encode_plain(b"".join(run for _, run in parts.plain))
    if not len(parts.tokens):
        return head
    codes = _encode_tokens(parts.tokens, model, streams, window, done, len(data))
    return head + b"".join([*(leb128(len(code)) for code in codes[:-1]), *codes])


def decode(
    code: bytes, length: int, model: TokenModel, streams: int, window: Window, done: Done | None = None
) -> bytes:
    """The inverse, given the number of bytes. Any code decodes to ``length`` bytes, or raises
    :class:`~compgen.errors.CorruptDataError`.
    """
    count, position = read_leb128(code, 0)
    runs, plain = list[tuple[int, int]](), b""
    if count % 2:
        runs, position = _read_runs(code, position, length)
        size, position = read_leb128(code, position)
        plain = _decode_plain(code[position : position + size], sum(run_bytes for _, run_bytes in runs))
        position += size
    count, text_bytes = count // 2, length - len(plain)
    if count > text_bytes or (count == 0) != (text_bytes == 0):  # a token is a byte at least
        raise CorruptDataError("its number of tokens makes no sense")
    text = b""
    if count:
        codes = split_codes(code[position:], min(streams, count))
        text = model.vocabulary.join(_decode_tokens(codes, count, model, window, done, length))
    return _joined(text[:text_bytes].ljust(text_bytes, b"\0"), plain, runs)


def _read_runs(code: bytes, position: int, length: int) -> tuple[list[tuple[int, int]], int]:
    count, position = read_leb128(code, position)
    runs = []
    for _ in range(count):
        gap, position = read_leb128(code, position)
        size, position = read_leb128(code, position)
        length -= gap + size
        if length < 0 or size == 0:
            raise CorruptDataError("its runs of bytes make no sense")
        runs.append((gap, size))
    return runs, position


def _joined(text: bytes, plain: bytes, runs: list[tuple[int, int]]) -> bytes:
    parts, at, plain_at = [], 0, 0
    for gap, size in runs:
        parts += [text[at : at + gap], plain[plain_at : plain_at + size]]
        at, plain_at = at + gap, plain_at + size
    return b"".join([*parts, text[at:]])


def _encode_plain(data: bytes) -> bytes:
    code = encode_streams(registry.predictor(PLAIN), data, 1)
    kind, code = (_MODELLED, code) if len(code) < len(data) else (_STORED, data)
    return leb128(1 + len(code)) + bytes((kind,)) + code


def _decode_plain(code: bytes, length: int) -> bytes:
    kind, code = code[:1], code[1:]
    if kind == bytes((_MODELLED,)):
        return decode_streams(registry.predictor(PLAIN), code, length, 1, None)
    if kind != bytes((_STORED,)) or len(code) != length:
        raise CorruptDataError("its runs of bytes make no sense")
    return code


def _encode_tokens(
    tokens: IntArray, model: TokenModel, streams: int, window: Window, done: Done | None, length: int
) -> list[bytes]:
    parts = np.array_split(tokens, min(streams, len(tokens)))
    read = TokenStreams(model, len(parts), window)
    encoder = BatchEncoder(len(parts), PRECISION_BITS)
    for step in range(len(parts[0])):
        # The longer parts come first, by one token at most; a part that has ended keeps its place and is not coded.
        going = sum(step < len(part) for part in parts)
        symbols = np.array([part[min(step, len(part) - 1)] for part in parts], np.int64)
        _encode_step(encoder, read.distribution(), symbols, going)
        if step + 1 < len(parts[0]):
            read.push(symbols)
        if done is not None:
            done(length * (step + 1) // len(parts[0]))
    return encoder.finish()


def _decode_tokens(
    codes: list[bytes], count: int, model: TokenModel, window: Window, done: Done | None, length: int
) -> IntArray:
    parts = np.array_split(np.zeros(count, np.int64), len(codes))
    read = TokenStreams(model, len(parts), window)
    decoder = BatchDecoder(codes, PRECISION_BITS)
    for step in range(len(parts[0])):
        going = sum(step < len(part) for part in parts)
        symbols = np.array([part[-1] for part in parts], np.int64)
        symbols[:going] = _decode_step(decoder, read.distribution(), going)
        for part, symbol in zip(parts[:going], symbols, strict=False):
            part[step] = symbol
        if step + 1 < len(parts[0]):
            read.push(symbols)
        if done is not None:
            done(length * (step + 1) // len(parts[0]))
    return np.concatenate(parts)


def _encode_step(encoder: BatchEncoder, probabilities: torch.Tensor, symbols: IntArray, going: int) -> None:
    streams = np.arange(going)
    if probabilities.shape[1] <= UNGROUPED:
        encoder.encode(symbols[:going], _on_host(probabilities)[:going], streams)
        return
    groups = symbols // GROUP
    encoder.encode(groups[:going], _group_sums(probabilities)[:going], streams)
    encoder.encode((symbols % GROUP)[:going], _members(probabilities, groups)[:going], streams)


def _decode_step(decoder: BatchDecoder, probabilities: torch.Tensor, going: int) -> IntArray:
    streams, size = np.arange(going), probabilities.shape[1]
    if size <= UNGROUPED:
        return decoder.decode(_on_host(probabilities)[:going], streams)
    groups = np.zeros(len(probabilities), np.int64)
    groups[:going] = decoder.decode(_group_sums(probabilities)[:going], streams)
    members = decoder.decode(_members(probabilities, groups)[:going], streams)
    # Every symbol has a frequency, so a forged code may name one beyond the last token.
    found: IntArray = np.minimum(groups[:going] * GROUP + members, size - 1)
    return found


def _on_host(values: torch.Tensor) -> FloatArray:
    rows: FloatArray = values.cpu().numpy()
    require_finite(rows)
    return rows


def _group_sums(probabilities: torch.Tensor) -> FloatArray:
    """Probabilities of the groups, float32 ``(streams, groups)``."""
    whole = probabilities.shape[1] // GROUP
    sums = probabilities[:, : whole * GROUP].unflatten(1, (whole, GROUP)).sum(2)
    if whole * GROUP < probabilities.shape[1]:
        sums = torch.cat([sums, probabilities[:, whole * GROUP :].sum(1, keepdim=True)], 1)
    return _on_host(sums)


def _members(probabilities: torch.Tensor, groups: IntArray) -> FloatArray:
    """Probabilities of the members of one group each, given the group: float64 ``(streams, GROUP)``."""
    chosen = groups[:, None] * GROUP + np.arange(GROUP)
    beyond = chosen >= probabilities.shape[1]
    chosen[beyond] = 0
    inside = torch.gather(probabilities, 1, torch.from_numpy(chosen).to(probabilities.device)).cpu().numpy()
    weights = np.where(beyond, 0.0, inside.astype(np.float64))
    totals = weights.sum(axis=1, keepdims=True)
    # A group may be so improbable that float32 has no number for it; all its members are alike then.
    return np.where(totals > 0.0, weights / np.where(totals > 0.0, totals, 1.0), 1.0 / GROUP)
