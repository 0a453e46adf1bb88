"""What each way to install brings, and what is said where something is missing: nothing else can be imported here."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from children import child
from gatework import extras, tasks
from sources import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WITHOUT = """
import sys
finders = sys.meta_path[:]
class Rest:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in {missing!r}:
            return next((spec for each in finders if (spec := each.find_spec(name, path, target))), None)
sys.meta_path[:] = [Rest]
sys.argv = ["gatework", *{arguments!r}]
from gatework.cli import main
main()
"""
IMPORTED = {"scikit-learn": "sklearn", "psycopg2-binary": "psycopg2", "prometheus-client": "prometheus_client"}
IMPORTED |= {"biopython": "Bio", "pillow": "PIL", "mlflow-skinny": "mlflow"}


def names(extra: str) -> dict[str, str]:
    """Module -> requirement of an extra."""
    pairs = [(re.split(r"[\[<>=]", each)[0], each) for each in PROJECT["optional-dependencies"][extra]]
    return {IMPORTED.get(name, name): requirement for name, requirement in pairs}


def run(*arguments: str, missing: set[str]) -> tuple[int, str]:
    """Exit code and all that is said by a command where these packages are not installed."""
    code = WITHOUT.format(missing=missing, arguments=arguments)
    with child("-c", code, OMP_NUM_THREADS="1", NO_COLOR="1", COLUMNS="100") as process:
        printed, said = process.communicate(timeout=200)
    return process.returncode, printed + said


@pytest.mark.parametrize("extra", sorted(set(PROJECT["optional-dependencies"]) - {"dev", "demo", "docs"}))
def test_every_package_of_an_extra_is_known_by_it(extra: str) -> None:
    """So that an error names an extra that brings the package."""
    for module in names(extra):
        assert module in names(extras.EXTRAS[module]), f"{module} of {extra}: extras.py says {extras.EXTRAS[module]}"


def brought(*requirements: str) -> set[str]:
    """The distributions that these bring, with what those need in turn."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        needed = waiting.pop()
        name = re.sub(r"[-_.]+", "-", needed.name).lower()
        new = {(name, extra) for extra in ("", *needed.extras)} - found
        found |= new
        for each in map(Requirement, metadata.requires(name) or () if new else ()):
            if not each.marker or any(each.marker.evaluate({"extra": extra}) for _, extra in new):
                waiting.append(each)
    return {name for name, _ in found}


def test_what_the_tests_import_comes_with_make_test() -> None:
    """A machine where something else brought a package would hide that."""
    asked = [each for extra in ("train", "keras", "dev") for each in PROJECT["optional-dependencies"][extra]]
    brings, dealers = brought(*PROJECT["dependencies"], *asked), metadata.packages_distributions()
    known = set(dealers) - sys.stdlib_module_names - {"gatework"}
    for path in Path(__file__).parent.glob("*.py"):
        for line in ast.parse(path.read_text(encoding="utf-8")).body:
            lines = [each.name for each in line.names] if isinstance(line, ast.Import) else []
            lines += [line.module or ""] if isinstance(line, ast.ImportFrom) else []
            for module in {each.partition(".")[0] for each in lines} & known:
                names_of = {re.sub(r"[-_.]+", "-", each).lower() for each in dealers[module]}
                assert names_of & brings, f"{path.name} imports {module}: not in the extras that make test installs"


def test_the_demo_has_an_extra_of_its_own() -> None:
    demo, others = names("demo"), names("train") | names("translate") | names("speech") | names("pictures")
    assert demo.items() <= others.items()
    assert tuple(demo) == extras.DEMO


def test_the_demo_runs_with_its_extra_alone(tmp_path: Path) -> None:
    missing = set(extras.EXTRAS) - set(extras.DEMO)
    line = f"demo --quiet --out {tmp_path}/demo --job digits --job dates --time-limit 0.2"
    code, said = run(*line.split(), missing=missing)
    assert code == 0, said
    assert sorted(path.parent.name for path in tmp_path.glob("demo/*/report.html")) == ["dates", "digits"]


def test_the_demo_refuses_before_it_writes(tmp_path: Path) -> None:
    for gone in ("torch", "rapidfuzz"):
        code, said = run("demo", "--out", str(tmp_path / "demo"), missing={gone})
        assert code == 1
        assert re.fullmatch(rf"error: this needs {gone}, which is not installed; run: pip install .*\[demo\]'\n", said)
    assert not any(tmp_path.iterdir())


def test_help_lists_the_jobs_without_their_libraries(tmp_path: Path) -> None:
    code, said = run("train", "--help", missing=set(extras.EXTRAS))
    assert code == 0, said
    for task in tasks.names():
        assert re.search(rf"^  {task} +[A-Z]\w+", said, re.MULTILINE), said
    assert re.search(r"This needs \w+, which is not installed; run: pip install .*\[train\]'", said)


@pytest.mark.parametrize(
    "line",
    ["train classify x.csv", "train classify --help", "check tag x", "runs", "compare a b", "evaluate x", "predict x",
     "explain x", "diagnose x", "tune forecast x", "validate classify x", "export x", "serve x", "init classify x",
     "resume x"],
)  # fmt: skip
def test_a_bare_install_says_what_to_type(line: str, tmp_path: Path) -> None:
    code, said = run(*line.split(), missing=set(extras.EXTRAS))
    assert code == 1
    pattern = r"error: this needs \w+, which is not installed; run: pip install .*\[\w+\]'\n"
    assert re.fullmatch(pattern, said), said


def test_the_metadata_tell_who_and_what() -> None:
    assert PROJECT["authors"] and PROJECT["license"] == "Apache-2.0" and len(PROJECT["keywords"]) > 5
    kinds = {each.partition(" :: ")[0] for each in PROJECT["classifiers"]}
    assert {"Development Status", "Intended Audience", "Operating System", "Programming Language", "Topic"} <= kinds
