"""Make the golden archives of tests/golden that do not exist yet. Existing ones stay: they must decode for ever.

    python scripts/make_golden_archives.py

A new predictor kind or format version joins by a new row here and its digest in tests/test_archive.py.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from compgen.archive import ArchiveWriter

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"

TEXT = b"".join(b"%d bottles of milk on the shelf, %d bottles of milk. " % (i, i) for i in range(24, 0, -1))
#: Bytes that look random, without a generator that somebody could change.
NOISE = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(10))
MIXED = TEXT[:500] + NOISE + bytes(700) + TEXT[500:]
#: Numbers that change little from one to the next.
SLOPE = bytes((3 * x + 5 * y + NOISE[(24 * y + x) % 320] // 40) % 256 for y in range(40) for x in range(24))

ARCHIVES = {
    "empty": (b"", {"predictor": "order2"}),
    "uniform": (bytes(range(256)), {"predictor": "uniform"}),
    # Zeros are all that a uniform predictor codes in less than it takes: the code is empty.
    "uniform-coded": (bytes(300), {"predictor": "uniform", "streams": 3}),
    **{f"order{n}": (MIXED, {"predictor": f"order{n}"}) for n in range(7)},
    "one-byte": (b"\x00", {"predictor": "order0"}),
    "mix": (MIXED, {"predictor": "mix(order1,order3,uniform)"}),
    "mix-share": (TEXT, {"predictor": "mix(order2,order5):share=0.02", "streams": 3}),
    "blend": (TEXT, {"predictor": "blend(order1,order2)"}),
    "nested": (TEXT, {"predictor": "mix(blend(order2):rate=0.02,order4)", "streams": 2}),
    "blocks": (MIXED, {"predictor": "order2", "block_bytes": 100}),
    "streams": (MIXED, {"predictor": "mix(order2,order0)", "streams": 7, "block_bytes": 1000}),
    "stored": (NOISE, {"predictor": "order6"}),
    "named": (TEXT, {"predictor": "order3", "name": "bötteln.txt", "mtime": 1234567890}),
    "cm": (MIXED, {"predictor": "cm"}),
    "cm-image": (SLOPE, {"predictor": "cm:mode=image,width=24"}),
    "cm-audio": (SLOPE, {"predictor": "cm:mode=audio,bits=16"}),
    "mix-logistic": (MIXED, {"predictor": "mix(order1,order4):method=logistic", "streams": 2}),
    "guided": (MIXED + SLOPE + TEXT, {"predictor": "guided(cm,order2,order4)"}),
    "gzip": (TEXT[:200], {"predictor": "gzip"}),
    "bz2": (TEXT[:40], {"predictor": "bz2"}),
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, (data, options) in ARCHIVES.items():
        path = FOLDER / f"{name}.cgz"
        if path.exists():
            continue
        with path.open("xb") as file, ArchiveWriter(file, **options) as writer:
            writer.write(data)
        print(f"{name!r}: ({len(data)}, {hashlib.sha256(data).hexdigest()[:16]!r}),")


if __name__ == "__main__":
    main()
