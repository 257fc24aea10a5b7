"""What is shipped. Run as a program with the name of a wheel, it checks that wheel."""

from __future__ import annotations

import re
import sys
import zipfile
from importlib import metadata
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"compgen", "baselines", "samplers"}
WEIGHTS = "compgen/predictors/transformer/shipped"
DATA = {
    *("compgen/py.typed", "baselines/py.typed", "samplers/py.typed", "compgen/datasets/context.txt"),
    *(f"compgen/evaluation/tables/{name}.csv" for name in ("huang2024_models", "opencompass_bpc")),
    *(f"compgen/benchmark/published/lmic_{name}.csv" for name in ("table1", "table2", "fig2")),
    "compgen/neuraltext/lester2024.csv",
    *(f"{WEIGHTS}/{size}.safetensors" for size in ("200k", "800k")),
}


def expected_files() -> set[str]:
    """Every module of the three packages, and their data."""
    modules = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    return modules | DATA


def check_wheel(path: Path) -> None:
    """Raise AssertionError if the wheel has more or less than it should."""
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
        information = {name for name in names if name.split("/")[0].endswith(".dist-info")}
        text = {name.split("/", 1)[1]: wheel.read(name).decode() for name in information}
    assert names - information == expected_files(), (names - information) ^ expected_files()
    assert "licenses/LICENSE" in text
    assert "Root-Is-Purelib: true" in text["WHEEL"], "it must install without a compiler"
    assert "compgen = compgen.cli:main" in text["entry_points.txt"]
    assert path.stat().st_size < 20_000_000


def project() -> dict[str, object]:
    with open(ROOT / "pyproject.toml", "rb") as file:
        loaded: dict[str, object] = tomllib.load(file)
    return loaded


def test_every_package_folder_is_listed() -> None:
    settings = project()["tool"]["setuptools"]  # type: ignore[index]
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")}
    assert {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in folders} == set(settings["packages"])


def test_versions_agree() -> None:
    import compgen

    version = project()["project"]["version"]  # type: ignore[index]
    assert compgen.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_every_entry_point_is_a_class_of_that_name() -> None:
    for group in ("compgen.compressors", "compgen.predictors", "compgen.samplers"):
        entries = [e for e in metadata.entry_points(group=group) if e.dist is not None and e.dist.name == "compgen"]
        assert entries
        for entry in entries:
            assert entry.load().name == entry.name


def test_constraints_pin_every_dependency() -> None:
    """Whatever pip would fetch for the tests, on this version of Python, is pinned to what is tested with."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {_normal(re.split(r"[=; ]", line)[0]) for line in lines if line and not line.startswith("#")}
    assert all(re.match(r"[\w.-]+==[\w.]+( ; python_version (<|>=) \"3\.\d+\")?$", line) for line in lines[1:])
    needed = set()
    for requirements in (project()["project"]["dependencies"], project()["project"]["optional-dependencies"]["test"]):  # type: ignore[index]
        needed |= {_normal(re.split(r"[\[<>=; ]", requirement)[0]) for requirement in requirements}
    assert needed - {"compgen"} <= pinned


def test_no_folder_of_one_machine_is_named() -> None:
    for path in [p for p in ROOT.rglob("*") if p.suffix in {".py", ".md", ".toml", ".txt", ".cff"}]:
        if not {part for part in path.relative_to(ROOT).parts if part.startswith(".") or part in ("build", "dist")}:
            assert not re.search(r"(?<![\w.])/(root|home|Users)/\w", path.read_text(encoding="utf-8")), path


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    check_wheel(Path(sys.argv[1]))
    print(f"{Path(sys.argv[1]).name}: {len(expected_files())} files of {len(PACKAGES)} packages, and nothing else")
