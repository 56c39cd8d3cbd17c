"""No module of the package imports itself by way of others, at its top or inside a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import gnnscale

ROOT = Path(gnnscale.__file__).parent


def modules_of(root: Path) -> dict[str, Path]:
    """Name -> file of every module, packages by their ``__init__``."""
    found = {}
    for file in root.rglob("*.py"):
        parts = [root.name, *file.relative_to(root).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All below a node, without what is there for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from statements(child)


def imports_of(content: str, known: set[str]) -> set[str]:
    """Modules that a file names in its imports; what a front door exports counts as the door, which is lazy."""
    found = set()
    for node in statements(ast.parse(content)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known


def import_graph(root: Path) -> dict[str, set[str]]:
    """Module -> modules that it imports."""
    modules = modules_of(root)
    return {name: imports_of(file.read_text(), set(modules)) - {name} for name, file in modules.items()}


def test_nothing_imports_itself_by_way_of_others():
    graph = import_graph(ROOT)
    assert len(graph) > 200 and sum(map(len, graph.values())) > 1_000
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' -> '.join(error.args[1])}")


def test_a_circle_is_seen_through_functions_and_not_where_types_are_checked():
    known = {"a", "b", "c", "c.d"}
    content = """
if TYPE_CHECKING:
    from a import x
def later():
    from b import y
from c import d
import elsewhere
"""
    assert imports_of(content, known) == {"b", "c.d"}
