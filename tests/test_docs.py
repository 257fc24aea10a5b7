"""What README.md and docs/ show is what happens."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
REMEDY = "run  python scripts/update_docs.py  and look at what changed"


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_docs", ROOT / "scripts" / "update_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "docs/compressing.md", "docs/sampling.md", "docs/transformer.md", "docs/plugins.md"),
        *("docs/parallel.md", "docs/evaluating.md", "docs/datasets.md", "docs/benchmark.md", "docs/classify.md"),
        "docs/neuraltext.md",
    ],
)
def test_examples_run_and_print_what_is_shown(
    name: str, docs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    docs.prepare(tmp_path)
    page = (ROOT / name).read_text(encoding="utf-8")
    assert docs.updated(page, tmp_path) == page, REMEDY


def test_every_page_is_checked(docs: ModuleType) -> None:
    pages = {str(path.relative_to(ROOT).as_posix()) for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
    generated = {"docs/cli.md", "docs/codecs.md"}
    with_examples = {
        name
        for name in pages - generated
        if re.search(r"^```(python|console)$", (ROOT / name).read_text(encoding="utf-8"), re.M)
    }
    assert with_examples <= set(docs.PAGES)


def test_the_command_reference_is_the_program_s_help(docs: ModuleType) -> None:
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == docs.command_reference(), REMEDY


def test_the_codec_reference_is_what_codecs_say(docs: ModuleType) -> None:
    assert (ROOT / "docs/codecs.md").read_text(encoding="utf-8") == docs.codec_reference(), REMEDY


def test_the_readme_has_one_line_to_run_and_one_to_test() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [
        line for block in re.findall(r"^```bash\n(.*?)^```$", readme, re.M | re.S) for line in block.splitlines()
    ]
    assert len([line for line in commands if line.startswith("pip install . && cgen ")]) == 1
    assert len([line for line in commands if line.startswith("pip install ") and " && pytest" in line]) == 1


def test_links_lead_somewhere() -> None:
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")]:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not target.startswith(("http://", "https://")):
                assert (path.parent / target).exists(), f"{path.name} links to {target}"
