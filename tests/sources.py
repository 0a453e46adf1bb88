"""The package's source files, read and not run: paths, syntax trees, and who imports whom."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "gatework"


def files() -> list[Path]:
    """All Python files of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def module(path: Path) -> str:
    """`src/gatework/compiler/ir.py` is the module gatework.compiler.ir."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path, top: bool = False) -> set[str]:
    """Dotted names that a file imports; with `top`, only those that run when the file itself is imported."""
    found: set[str] = set()
    for node in walk(tree(path), top):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{origin(path, node)}.{alias.name}" for alias in node.names}
    return found


def origin(path: Path, node: ast.ImportFrom) -> str:
    """The whole name of the module in `from ..backends import x`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    start = parts[: len(parts) - node.level] if node.level else ()
    return ".".join([*start, *([node.module] if node.module else [])])


def walk(node: ast.AST, top: bool):
    """All nodes but those under `if TYPE_CHECKING`; with `top`, without the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if top and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from walk(child, top)


def within(path: Path, top: bool = False) -> set[str]:
    """The modules of the package that a file imports."""
    known = {module(f) for f in files()}
    found = set()
    for name in imports(path, top):
        if name.split(".")[0] == "gatework":
            found.add(name if name in known else name.rpartition(".")[0] or name)
    return found - {module(path)}
