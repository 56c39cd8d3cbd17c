"""What can be asked: the task of a question, and why there is none, each with a form that there is."""

from __future__ import annotations

from collections.abc import Callable

from gnnscale.query.bound import Aggregate, Column
from gnnscale.query.syntax.tree import QueryTree
from gnnscale.query.syntax.writing import write_name, write_window
from gnnscale.query.task_spec import Question, TaskSpec, task_of
from gnnscale.schema import ColumnType, GraphSchema, QueryError, Table, ValueKind

Fail = Callable[[str, int], QueryError]
"""Makes an error at a place of the query."""


def infer_task(question: Question, tree: QueryTree, graph: GraphSchema, fail: Fail) -> TaskSpec:
    """The task that a query's form implies.

    Args:
        question: what the form says.
        tree: of the query, for places in its text.
        graph: tables and links.
        fail: makes an error.

    Raises:
        QueryError: no answer of that form can be given.
    """
    if refusal := _refusal(question, graph):
        raise fail(refusal, tree.target.position)
    task = task_of(question)
    if task is None:
        raise fail(_unanswerable(question), tree.target.position)
    at = tree.positions
    if question.frames is not None and task.answer != "values":
        raise fail(
            "FORECAST needs a numeric aggregate, as in SUM(t.amount, 0, 7, days) FORECAST 4 TIMEFRAMES", at["FORECAST"]
        )
    one = not (task.predicts_links or task.predicts_classes)
    if one and (question.form == "RANK" or question.top is not None):
        word = "RANK" if question.form == "RANK" else "TOP"
        raise fail(f"{word} needs several answers an entity, and {task} gives one", at[word])
    if task.predicts_values and question.form == "CLASSIFY":
        raise fail(f"CLASSIFY needs classes, and the target is a number ({task})", at["CLASSIFY"])
    if task.predicts_links and (question.form != "RANK" or question.top is None):
        raise fail("a foreign key has too many values for classes: rank them, as in RANK TOP 10", tree.target.position)
    return task


def aggregate_of(column: Column, table: Table, event_table: Table) -> str:
    """An aggregation of a column over events that can be a target.

    Args:
        column: of the event table or a table that it has a foreign key to.
        table: of the column.
        event_table: whose rows are aggregated.
    """
    name = write_name(column.table, column.name)
    timed = bool(event_table.time_column or event_table.time_from)
    window = ", 0, 7, days" if timed else ""
    if column.kind is ValueKind.TIME or column.name == table.primary_key or column.meaning is ColumnType.TEXT:
        return f"COUNT({name}{window})"
    if timed and column.meaning is not ColumnType.MULTICATEGORICAL:
        return f"FIRST({name}{window})"
    return f"AVG({name})" if column.meaning is ColumnType.NUMERICAL else f"LIST_DISTINCT({name}{window}) CLASSIFY"


def _refusal(question: Question, graph: GraphSchema) -> str | None:
    """Why the values of a column are no answers; None where they are, or where the target is no column's."""
    column, target = question.column, question.target
    if column is None:
        return None
    if isinstance(target, Aggregate):
        if target.reference is not None and target.reference == target.link:
            return _names_itself(target, graph)
        if question.function in ("FIRST", "LAST") and target.window is None:
            return (
                f"{question.function} needs times, and table '{target.event_table}' has no time_column: declare it, or "
                f"count, as in COUNT({write_name(column.table, column.name)})"
            )
    table = graph.table(column.table)
    keys = {table.primary_key} | {link.column for link in graph.links if link.table == table.name}
    counted = isinstance(target, Aggregate)
    if column.name in keys and not question.names_rows:
        way_out = f"count, as in {_count(target)}" if isinstance(target, Aggregate) else "predict another column"
        return f"{column} is a key, whose values are neither classes nor amounts: {way_out}"
    if column.meaning is ColumnType.TEXT:
        condition = f"{write_name(column.table, column.name)} LIKE '%...%'"
        where = f"COUNT({write_name(_events(target), '*')} WHERE {condition}{_window(target)}) > 0"
        return (
            f"{column} is prose (declared text), whose values are no classes: ask whether it has a word, as in "
            f"{where if counted else condition}, or declare it categorical"
        )
    return None


def _names_itself(target: Aggregate, graph: GraphSchema) -> str:
    table, entity = target.event_table, target.link.parent
    others = [k for k in graph.links if k.table == table and k != target.link]
    listed = [f"{target.function}({write_name(table, k.column)}{_window(target)}) RANK TOP 10" for k in others]
    return (
        f"{target.column} names the row of '{entity}' that is asked about, so that each would be its own answer: "
        + (f"rank what else {table} name, as in {listed[0]}, or " if listed else "")
        + f"count them, as in {_count(target)}"
    )


def _count(target: Aggregate) -> str:
    return f"COUNT({write_name(target.event_table, '*')}{_window(target)})"


def _events(target: object) -> str:
    return target.event_table if isinstance(target, Aggregate) else ""


def _window(target: object) -> str:
    return write_window(target.window) if isinstance(target, Aggregate) else ""


def _unanswerable(question: Question) -> str:
    column = question.column
    assert column is not None
    if question.function == "LIST_DISTINCT":
        return (
            f"LIST_DISTINCT needs a foreign key or a categorical column, and {column} is {column.meaning}; if its "
            f"numbers are keys of another table, tables.{column.table}.foreign_keys.{column.name}=TABLE says so; "
            "declare it categorical if they are names"
        )
    return (
        f"{column} is {column.meaning or 'of no known type'}; numbers and categories can be predicted: say which in "
        "the table's columns"
    )
