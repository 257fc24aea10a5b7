"""Make tests/golden/neuraltext.json: what each encoder makes of a short text. What is there must never change.

    python scripts/make_golden_tokens.py

Only for encoders that are new: those that the file has already are left as they are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from compgen.neuraltext import make  # noqa: E402

TEXT = "to be or not to be\x00\xff, to be or not to be: that is the question"


def main() -> None:
    from test_neuraltext import GOLDEN, SETTINGS, made

    known = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    encoders = {name: lambda name=name: made(name) for name in SETTINGS}
    encoders["200k"] = lambda: make("equal-info", token_bits=16)
    for name in encoders.keys() - known.keys():
        encoder = encoders[name]()
        tokens = encoder.encode([TEXT.encode("latin-1")])[0].tolist()
        known[name] = {"encoder": encoder.as_dict(), "text": TEXT, "tokens": tokens}
    GOLDEN.write_text(json.dumps(known, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
