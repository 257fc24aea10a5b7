"""Codecs by the size of what they write."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from compgen.evaluation.corpus import Corpus
from compgen.evaluation.results import Sums
from compgen.interfaces import Compressor, Progress, adding


def sizes(codec: Compressor, corpus: Corpus, protocol: str, progress: Progress | None) -> list[Sums]:
    """The size of what it writes for all the text of a domain, which is read into memory as a whole; under ``document``
    the code length of each document by itself.
    """
    done = adding(progress, sum(sum(sizes.byte_counts) for sizes in corpus.domains.values()))
    found = []
    for domain, counted in corpus.domains.items():
        lengths = np.zeros(len(counted.byte_counts))
        if protocol != "document":
            text = b"".join(_texts(corpus, domain))
            lengths[0] = 8 * len(codec.compress(text))
            done(len(text))
        else:
            for i, data in enumerate(_texts(corpus, domain)):
                lengths[i] = codec.code_length(data) if data else 0.0
                done(len(data))
        symbols = int(counted.bytes.sum())
        found.append(
            Sums(
                domain,
                lengths * math.log(2),
                counted.bytes,
                counted.characters,
                counted.words,
                attributed=protocol == "document" or len(lengths) == 1,
                counts={"tokens": symbols, "scored": symbols, "windows": 0},
            )
        )
    return found


def notes(protocol: str) -> list[str]:
    """What the numbers are."""
    if protocol != "document":
        return ["a codec by the size of what it writes for all the text of a domain, container included"]
    return ["a codec by its code length of each document by itself, without the container"]


def _texts(corpus: Corpus, domain: str) -> Iterator[bytes]:
    return (document.data for document in corpus if document.domain == domain)
