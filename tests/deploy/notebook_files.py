"""Notebooks in Databricks' source form: read, checked, opened as Jupyter's, and run cell by cell."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display
from IPython.utils.capture import capture_output
from nbformat import NotebookNode

HEADER = "# Databricks notebook source"
CELL = "# COMMAND ----------"
MAGIC = "# MAGIC"


class Widgets:
    """Stands for ``dbutils.widgets``, and knows what the notebook has declared alone.

    Args:
        values: what whoever starts the notebook has given, over the defaults; a name that is never declared is told by
            :meth:`check`.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values, self.declared = dict(values), dict[str, str]()

    def text(self, name: str, default: str, label: str = "") -> None:
        """Declare a widget."""
        self.declared[name] = default

    def get(self, name: str) -> str:
        """The value of a widget, as the platform gives it.

        Raises:
            KeyError: the notebook has declared none of that name.
        """
        if name not in self.declared:
            raise KeyError(f"no widget '{name}' was declared; there are {', '.join(self.declared)}")
        return self.values.get(name, self.declared[name])


def read_notebook(path: Path) -> NotebookNode:
    """A notebook as Jupyter has it.

    Raises:
        ValueError: it is none of Databricks' source form.
    """
    text = path.read_text()
    header, _, body = text.partition("\n")
    if header != HEADER:
        raise ValueError(f"{path.name} does not begin with '{HEADER}'")
    cells = [_cell(part.strip("\n").splitlines()) for part in body.split(CELL)]
    # Ids that a notebook would be given anew each time stand in the way of comparing two.
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return nbformat.v4.new_notebook(cells=cells)


def _cell(lines: list[str]) -> NotebookNode:
    if not lines or not lines[0].startswith(MAGIC):
        return nbformat.v4.new_code_cell("\n".join(lines))
    plain = [line.removeprefix(MAGIC).removeprefix(" ") for line in lines]
    if plain[0].strip() == "%md":
        return nbformat.v4.new_markdown_cell("\n".join(plain[1:]))
    return nbformat.v4.new_code_cell("\n".join(plain))


def declared_widgets(notebook: NotebookNode) -> list[str]:
    """Names of the widgets that its cells declare."""
    return [name for kind, name in _widget_calls(notebook) if kind != "get"]


def widget_faults(notebook: NotebookNode) -> list[str]:
    """Widgets that are read without being declared before, and those that are declared and never read."""
    declared, faults = set[str](), []
    calls = _widget_calls(notebook)
    for kind, name in calls:
        if kind != "get":
            declared.add(name)
        elif name not in declared:
            faults.append(f"widget {name} is not declared")
    read = {name for kind, name in calls if kind == "get"}
    return faults + [f"widget {name} is never read" for name in sorted(declared - read)]


def _widget_calls(notebook: NotebookNode) -> list[tuple[str, str]]:
    """Method and widget of every call of ``dbutils.widgets``, cell by cell."""
    found = []
    for cell in _python(notebook):
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner, method = ast.unparse(node.func.value), node.func.attr
                if owner == "dbutils.widgets":
                    found.append((method, ast.literal_eval(node.args[0])))
    return found


def _python(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and not cell.source.startswith("%")]


def installs(notebook: NotebookNode) -> list[str]:
    """What its cells install."""
    found = [cell.source for cell in notebook.cells if cell.source.startswith("%pip install")]
    return [word for line in found for word in line.split()[2:] if not word.startswith("-")]


def run_notebook(notebook: NotebookNode, spark: Any, values: Mapping[str, str]) -> NotebookNode:
    """Run the cells one after the other, but for those that install, and keep what they show.

    Args:
        notebook: gets the outputs.
        spark: the session.
        values: of widgets.

    Raises:
        Exception: that of the cell that fails.
    """
    # What is shown is caught of the one that get_ipython() gives.
    shell = InteractiveShell.instance()
    dbutils = SimpleNamespace(widgets=Widgets(values), library=SimpleNamespace(restartPython=lambda: None))
    shell.user_ns.update(spark=spark, dbutils=dbutils, display=show)
    try:
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type == "code" and not cell.source.startswith("%pip"):
                cell.execution_count, cell.outputs = number, _run_cell(shell, cell.source)
    finally:
        InteractiveShell.clear_instance()
    assert set(values) <= set(dbutils.widgets.declared), "a value was given to a widget that there is not"
    return notebook


def _run_cell(shell: InteractiveShell, source: str) -> list[NotebookNode]:
    with capture_output() as shown:
        done = shell.run_cell(source)
    done.raise_error()
    outputs = [nbformat.v4.new_output("display_data", data=o.data, metadata=o.metadata) for o in shown.outputs]
    printed = [nbformat.v4.new_output("stream", name="stdout", text=shown.stdout)] if shown.stdout else []
    return printed + outputs


def show(value: Any) -> None:
    """What the platform's ``display`` does: a frame of Spark is shown with its rows."""
    display(value.toPandas() if hasattr(value, "toPandas") else value)
