"""A query bound to a graph: every name exists and the question can be answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace

from gnnscale.query.answerable import aggregate_of, infer_task
from gnnscale.query.binding import Binder, WindowRule, future, past
from gnnscale.query.bound import Aggregate, Column, Condition, Test, aggregates, operands
from gnnscale.query.horizon import Horizon
from gnnscale.query.syntax.parser import parse
from gnnscale.query.syntax.tree import Aggregation, ColumnName, Entities, Literal, QueryTree, aggregations
from gnnscale.query.syntax.writing import write, write_name
from gnnscale.query.task_spec import Question, TaskSpec
from gnnscale.query.window import Window
from gnnscale.schema import ConfigError, GraphSchema, Link, QueryError, Table, ValueKind, nearest


class PredictiveQuery:
    """A predictive query, parsed and bound.

    Args:
        graph: tables and links; links must be declared or inferred already.
        text: the query.

    Attributes:
        task_type: the task that the query's form implies.
        entity: table of the rows that are predicted for.
        keys: of the entities that predictions are wanted of; None for all.
        expression: what is predicted: a condition, an aggregate, or a column of the entity.
        where: which entities are asked about, at each anchor.
        assuming: what is taken as true of the future; filters labelled examples.
        frames: consecutive windows to forecast; 1 but for forecasting.
        top: answers an entity gets; None for all.
        positions: of the clauses in the text, by keyword.
        target_position: of the target in the text.
        class_column: the column whose values are the classes; None where the target is no class.
        split_column: of the event table, which says of each event whether it trains, validates or tests; None where
            that goes by time, or by parts at random.
        new_only: whether what an entity has had by the anchor is no target.
        known_after: when the answer of a row is known: a column of its table, or days after the row's own time; None
            where that is not said, so that no answer is an input to another.
        hidden_columns: (table, column) pairs that are no inputs, because the target is made of them.
        hidden_tables: tables that are not sampled, because a target without window is made of them.

    Raises:
        QueryError: the text can't be read, or a name in it does not fit the graph; with line, column and caret.
    """

    def __init__(self, graph: GraphSchema, text: str) -> None:
        self.graph = graph
        self.text = text
        tree = parse(text)
        self.entity: Table = self._bind_entity(tree.entities.column)
        self._binder = Binder(graph, text, self.entity)
        self.keys = _keys(tree.entities, self.entity, self._fail)
        self.expression: Condition | Aggregate | Column = self._bind_target(tree)
        self.where = self._clause(tree, "WHERE", past(self._fail, static=self.is_static))
        self.assuming = self._clause(tree, "ASSUMING", future(self._fail, "ASSUMING"))
        self.positions = tree.positions
        self.target_position = tree.target.position
        self.frames = tree.frames or 1
        self.top = tree.top
        question = Question(self.expression, tree.frames, tree.form, tree.top)
        self.task_type: TaskSpec = infer_task(question, tree, graph, self._fail)
        self.class_column = question.column if self.task_type.predicts_classes else None
        if self.assuming is not None and self.is_static:
            raise self._fail(
                "ASSUMING takes something as true of the future, and the target has no window that it could come true "
                "in: say in WHERE which rows are asked about",
                tree.positions["ASSUMING"],
            )
        self._untimed_links = self.task_type.predicts_links and self.is_static and question.function == "LIST_DISTINCT"
        own = [o for o in operands(self.expression) if isinstance(o, Column)]
        self.hidden_columns = frozenset((o.table, o.name) for o in own)
        untimed = {a.event_table for a in aggregates(self.expression) if a.window is None}
        self.hidden_tables = frozenset() if self.pseudo_timed_tables else frozenset(untimed)
        self.split_column: str | None = None
        self.new_only = False
        self.known_after: Column | float | None = None

    @property
    def is_static(self) -> bool:
        """Whether the target has no window, so that there is nothing to ask of the past."""
        return not any(a.window for a in aggregates(self.expression))

    @property
    def asks_at_own_time(self) -> bool:
        """Whether each entity is asked about at its own time: a target without a window, of rows that have times."""
        timed = bool(self.entity.time_column or self.entity.time_from)
        return self.is_static and timed and not self._untimed_links

    @property
    def target_columns(self) -> tuple[Column, ...]:
        """Columns of the entity that the target asks for the values of; where they are missing, nothing is known."""
        found = [o for o in operands(self.expression, values=True) if isinstance(o, Column)]
        return tuple(dict.fromkeys(found))

    @property
    def deciding_column(self) -> Column | None:
        """The one column whose missing values are the rows that make no example; None where more takes part."""
        asked = set(operands(self.expression))
        decides = asked == set(self.target_columns) == set(operands(self.expression, values=True))
        return self.target_columns[0] if decides and len(asked) == 1 and self.where is None else None

    @property
    def pseudo_timed_tables(self) -> str | None:
        """Table whose rows are put in an order to be learned from, for links without a window; else None."""
        return self.aggregate.event_table if self._untimed_links else None

    @property
    def horizon(self) -> Horizon:
        """The future that labels are made of: windows of the target, its frames and ASSUMING."""
        windows = [w for a in aggregates(self.expression) if a.window for w in self.frame_windows(a.window)]
        windows += [a.window for a in aggregates(self.assuming) if a.window]
        return Horizon(tuple(dict.fromkeys(windows)))

    def frame_windows(self, window: Window) -> tuple[Window, ...]:
        """The window of each timeframe, the first first."""
        if self.frames == 1:
            return (window,)
        return tuple(window.moved(i * window.length) for i in range(self.frames))

    @property
    def timed_event_tables(self) -> list[str]:
        """Tables whose times bound the anchors: those that labels are made of."""
        made = aggregates(self.expression, self.assuming)
        return list(dict.fromkeys(a.event_table for a in made if a.window))

    def with_window(self, window: Window) -> PredictiveQuery:
        """The same query with a window on its one aggregate, for events that were given an order."""
        bound = copy(self)
        bound.expression = replace(self.aggregate, window=window)
        return bound

    def with_split(self, column: str) -> PredictiveQuery:
        """The same query, its events split as a column of their table says.

        Raises:
            ConfigError: events are not put in an order for it, since they have times or the target is no ranking.
        """
        if self.pseudo_timed_tables is None:
            raise ConfigError(
                f"query.split={column} is for rankings without a window, whose events have no times; others are split "
                "in time, by section anchors"
            )
        bound = copy(self)
        bound.split_column = column
        return bound

    def with_new_only(self) -> PredictiveQuery:
        """The same query, of whose targets only those count that the entity has not had by the anchor.

        Raises:
            ConfigError: it is no ranking by a list of what comes in a window.
        """
        listed = self.task_type.predicts_links and self.aggregate.function == "LIST_DISTINCT"
        if not listed or self.aggregate.window is None:
            raise ConfigError("query.new_only=true is for rankings by LIST_DISTINCT with a window")
        bound = copy(self)
        bound.new_only = True
        return bound

    def with_known_after(self, known: str | float) -> PredictiveQuery:
        """The same query, the answers of whose rows are known from then on; a column that tells it is no input.

        Args:
            known: name of a column of the entity's table that holds times, or days after the row's own time.

        Raises:
            ConfigError: rows are not asked about at their own time, or there is no such column.
        """
        table = self.entity
        if not self.asks_at_own_time:
            raise ConfigError(
                f"query.known_after={known} is for targets without a window of rows that have times; others see what "
                "came true before each anchor"
            )
        bound = copy(self)
        if isinstance(known, str):
            times = [name for name, kind in table.kinds.items() if kind is ValueKind.TIME and name != table.time_column]
            if known not in times:
                why = "holds no times" if known in table.kinds else "is not there"
                if known == table.time_column:
                    why = "is the row's own time, which query.known_after=0 says"
                have = nearest(known, times) if times and known not in table.kinds else ""
                if known in table.kinds and times:
                    have = f" Columns of times: {', '.join(times)}."
                raise ConfigError(
                    f"query.known_after={known}: column '{known}' of '{table.name}' {why}.{have} Give a column of "
                    "times, or days"
                )
            bound.known_after = Column(table.name, known, None, ValueKind.TIME, None)
            bound.hidden_columns = self.hidden_columns | {(table.name, known)}
        else:
            bound.known_after = known
        return bound

    def judged_by(self, headline: str | None, baselines: Sequence[str]) -> PredictiveQuery:
        """The same query with another first metric, and other baselines.

        Args:
            headline: metric that comes first, also where epochs are chosen; None for that of the task.
            baselines: names; none for those of the task.

        Raises:
            ConfigError: it ranks no rows.
        """
        task = self.task_type
        if not task.predicts_links:
            raise ConfigError(
                f"evaluation.headline and evaluation.baselines are for rankings, and this asks for {task}"
            )
        first = (headline,) if headline else ()
        bound = copy(self)
        bound.task_type = replace(
            task,
            metrics=tuple(dict.fromkeys((*first, *task.metrics))),
            validation=tuple(dict.fromkeys((*first, *task.validation))),
            baselines=tuple(dict.fromkeys(baselines)) or task.baselines,
        )
        return bound

    # What link prediction is made of.

    @property
    def aggregate(self) -> Aggregate:
        """The target, where it is one aggregate.

        Raises:
            TypeError: it is a condition or a column.
        """
        if not isinstance(self.expression, Aggregate):
            raise TypeError(f"the target of a {self.task_type} query is no aggregate")
        return self.expression

    @property
    def event_table(self) -> Table:
        """The event table that a link-prediction target lists."""
        return self.graph.table(self.aggregate.event_table)

    @property
    def entity_link(self) -> Link:
        """Foreign key from the event table to the entity."""
        return self.aggregate.link

    @property
    def target_link(self) -> Link:
        """Foreign key from the event table to the rows that are ranked.

        Raises:
            TypeError: the query ranks no rows.
        """
        if self.aggregate.reference is None:
            raise TypeError(f"a {self.task_type} query has no target table")
        return self.aggregate.reference

    @property
    def top_k(self) -> int:
        """Length of a ranking.

        Raises:
            TypeError: the query says no TOP.
        """
        if self.top is None:
            raise TypeError(f"a {self.task_type} query without TOP has no length of a ranking")
        return self.top

    @property
    def target(self) -> Table:
        """The table whose rows are ranked."""
        return self.graph.table(self.target_link.parent)

    @property
    def ranks_own_table(self) -> bool:
        """Whether rows of one table are ranked for each other; none is then an answer to itself."""
        return self.target.name == self.entity.name

    @property
    def entity_embeddings(self) -> str:
        """What embeddings of entities are named after: their table, ``<table>_as_entity`` where it is the targets'."""
        return f"{self.entity.name}_as_entity" if self.ranks_own_table else self.entity.name

    def explain(self) -> str:
        """The query in plain words: task, entity, target, windows and conditions."""
        from gnnscale.query.explanation import explain

        return explain(self)

    def _fail(self, message: str, position: int) -> QueryError:
        return QueryError(message, self.text, position)

    def _bind_entity(self, name: ColumnName) -> Table:
        table = Binder(self.graph, self.text, Table(name="none")).table(name)
        if name.column != table.primary_key:
            fault = f"'{table.name}' has no primary key"
            if table.primary_key:
                fault = f"that of '{table.name}' is {table.primary_key}, not '{name.column}'"
            raise self._fail(
                f"FOR takes the primary key of a table; {fault}",
                name.column_position,
            )
        return table

    def _bind_target(self, tree: QueryTree) -> Condition | Aggregate | Column:
        rule = future(self._fail, "a target")

        def target_rule(node: Aggregation) -> None:
            rule(node)
            listed = node.function == "LIST_DISTINCT" and node is tree.target
            if node.window is None and not listed:
                self._want_window(node, "a target")

        if isinstance(tree.target, ColumnName):
            return self._own_column(tree.target)
        if isinstance(tree.target, Aggregation):
            found = self._binder.aggregate(tree.target, target_rule)
            if found.window is None and found.reference is None:
                self._want_window(tree.target, "a target")
            return found
        condition = self._binder.condition(tree.target, target_rule)
        for operand in operands(condition):
            if isinstance(operand, Column) and operand.via is not None:
                raise self._fail(
                    f"a target's columns are of '{self.entity.name}' itself, and {operand} is not", tree.target.position
                )
        return condition

    def _own_column(self, name: ColumnName) -> Condition | Column:
        table = self._binder.table(name)
        if table.name != self.entity.name:
            raise self._fail(
                f"a target without aggregation is a column of '{self.entity.name}', and {name} is not: "
                f"{self._aggregated(name)}",
                name.position,
            )
        if name.column == "*":
            raise self._fail("* stands only in COUNT", name.column_position)
        column = self._binder.row_column(name, self.entity, lists=True)
        linked = {k.column for k in self.graph.links if k.table == table.name}
        if name.column in (table.primary_key, table.time_column, table.end_time, *linked):
            raise self._fail(f"{name} is a key or a time of the table, and can't be predicted", name.column_position)
        if column.kind is ValueKind.TIME:
            raise self._fail(f"{name} holds times; numbers and categories can be predicted", name.column_position)
        # What is either true or false is asked as a condition.
        return Test(column, "=", (True,), False) if column.kind is ValueKind.BOOLEAN else column

    def _aggregated(self, name: ColumnName) -> str:
        """What can be predicted instead of another table's column."""
        node = Aggregation("COUNT", name, None, None, name.position)
        try:
            link, via = self._binder.event_table(name, node)
        except QueryError:
            return (
                f"only tables that lead to '{self.entity.name}' can be aggregated ({self._binder.event_table_names()})"
            )
        events = self.graph.table(link.table)
        if name.column == "*":
            window = ", 0, 7, days" if events.time_column or events.time_from else ""
            return f"count it, as in COUNT({write_name(name.table, '*')}{window})"
        table = self.graph.table(name.table)
        column = self._binder.column(name, table, via, lists=True)
        return f"aggregate it, as in {aggregate_of(column, table, events)}"

    def _want_window(self, node: Aggregation, clause: str) -> None:
        name = node.argument
        if not isinstance(name, ColumnName):
            return
        event_table, _ = self._binder.event_table(name, node)
        table = self.graph.table(event_table.table)
        if table.time_column or table.time_from:
            raise self._fail(
                f"{node.function} over '{table.name}' in {clause} needs a window, as in "
                + write(replace(node, window=Window(-30, 0) if clause == "WHERE" else Window(0, 30))),
                node.position,
            )

    def _clause(self, tree: QueryTree, word: str, rule: WindowRule) -> Condition | None:
        expression = tree.where if word == "WHERE" else tree.assuming
        if expression is None:
            return None
        for node in aggregations(expression):
            if node.window is None:
                self._want_window(node, word)
        return self._binder.condition(expression, rule)


def _keys(
    entities: Entities, table: Table, fail: Callable[[str, int], QueryError]
) -> tuple[float | int | str, ...] | None:
    if entities.keys is None:
        return None
    kind = table.kind(table.primary_key or "")
    return tuple(_key(literal, entities.column, kind, fail) for literal in entities.keys)


def _key(
    literal: Literal, column: ColumnName, kind: ValueKind | None, fail: Callable[[str, int], QueryError]
) -> float | int | str:
    value = literal.value
    if value is None or isinstance(value, bool):
        raise fail(f"{column} is a key, and {literal} is none", literal.position)
    if kind is ValueKind.NUMBER and isinstance(value, str):
        raise fail(f"{column} holds numbers, and {literal} is text (write it without quotes)", literal.position)
    if kind is ValueKind.TEXT and not isinstance(value, str):
        raise fail(f"{column} holds text, and {literal} is a number (write '{value}')", literal.position)
    return value
