"""What full runs cost: the arithmetic of scripts/bench_scale.py, and the page it fills."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(os, "environ", dict(os.environ))  # it sets numbers of threads
    spec = importlib.util.spec_from_file_location("bench_scale", ROOT / "scripts" / "bench_scale.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RATES = {
    "machine": "a machine",
    "python": "3.12",
    "measured": [
        {"what": "chunk", "dataset": "enwik9", "model": "gzip", "cpu_seconds": 20 * 3600 / 488_281},
        {"what": "chunk", "dataset": "imagenet", "model": "gzip", "cpu_seconds": 2 * 3600 / 488_281},
        {"what": "reading", "dataset": "enwik9", "model": "", "cpu_seconds": 0.5 * 3600 / 488_281},
        {"what": "reading", "dataset": "imagenet", "model": "", "cpu_seconds": 0},
        {"what": "whole", "dataset": "enwik9", "model": "gzip", "cpu_seconds": 60 * 3600 / (488_281 * 2048)},
    ],
}


def test_the_tables_are_what_one_would_compute(scale: ModuleType) -> None:
    text = scale.tables(RATES)
    assert "| gzip | 20 h | 2 h | 22 h |" in text
    assert "| reading the data | 30 min | 0 s | 30 min |" in text
    assert "| **all of it** |  |  | **22 h** |" in text
    # 22 hours on 2, 16, 64 and 1280 cores, each at 85 %
    assert "| gzip | 13 h | 97 min | 24 min | 1.2 min |" in text
    assert text.endswith("| gzip |\n| --- |\n| 2.5 d |")


def test_the_page_has_its_tables(scale: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    computed = page.partition("<!-- computed by scripts/bench_scale.py -->")[2].partition("<!-- end -->")[0]
    for model in scale.MODELS:
        assert computed.count(f"\n| {model} |") >= 2, "run  python scripts/bench_scale.py --write"
    copy = tmp_path / "scale.md"
    copy.write_text(page, encoding="utf-8")
    monkeypatch.setattr(scale, "PAGE", copy)
    scale.write(scale.tables(RATES))
    scale.write(computed.strip("\n"))
    assert copy.read_text(encoding="utf-8") == page
