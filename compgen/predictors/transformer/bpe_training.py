"""Learning a vocabulary of byte pairs, with the library ``tokenizers``; what it learns is used without it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from compgen.errors import MissingExtraError, UsageError
from compgen.predictors.transformer.bpe import MAX_TOKEN_BYTES, MAX_TOKENS, WORDS, BytePairs
from compgen.predictors.transformer.corpus import Symbols

#: Bytes that the library is given at once.
_PIECE_BYTES = 1 << 20


def learn(texts: Iterable[Symbols], size: int) -> BytePairs:
    """The vocabulary of ``size`` tokens that merging the most frequent pair, again and again, makes of texts of bytes.

    It is smaller where no pair is left that occurs twice. The same texts give the same vocabulary.
    """
    if not 256 < size <= MAX_TOKENS:
        raise UsageError(f"a vocabulary must have from 257 to {MAX_TOKENS} tokens, not {size}; without one it is bytes")
    try:
        from tokenizers import trainers
    except ImportError:
        raise MissingExtraError("a vocabulary of tokens", "lm") from None
    tokenizer = library_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        initial_alphabet=[chr(byte) for byte in range(256)],
        max_token_length=MAX_TOKEN_BYTES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_pieces(texts), trainer)
    return _from_library(tokenizer)


def library_tokenizer(pairs: BytePairs | None = None):  # type: ignore[no-untyped-def]  # the library's Tokenizer
    """The library's tokenizer for text of one character a byte (Latin-1), with a vocabulary or nothing learnt."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    if pairs is None:
        model = models.BPE()
    else:
        texts = [data.decode("latin-1") for data in pairs.tokens]
        numbers = {text: token for token, text in enumerate(texts)}
        model = models.BPE(vocab=numbers, merges=[(texts[left], texts[right]) for left, right in pairs.merges])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    return tokenizer


def _pieces(texts: Iterable[Symbols]) -> Iterator[str]:
    for text in texts:
        for first in range(0, len(text), _PIECE_BYTES):
            yield text[first : first + _PIECE_BYTES].tobytes().decode("latin-1")


def _from_library(tokenizer) -> BytePairs:  # type: ignore[no-untyped-def]
    """Its merges, as pairs of our numbers: bytes first, then tokens in the order in which they were made."""
    merges, numbers = list[tuple[int, int]](), {bytes((byte,)): byte for byte in range(256)}
    for pair in json.loads(tokenizer.to_str())["model"]["merges"]:
        left, right = (text.encode("latin-1") for text in pair)
        merges.append((numbers[left], numbers[right]))
        numbers.setdefault(left + right, len(numbers))
    return BytePairs(merges)
