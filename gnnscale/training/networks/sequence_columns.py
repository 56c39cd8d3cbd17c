"""What of a graph the sequence network reads, as a configuration says: the events, their columns, and their kinds."""

from __future__ import annotations

from gnnscale.batches import is_hidden
from gnnscale.config import SequenceSettings
from gnnscale.query import PredictiveQuery
from gnnscale.schema import ConfigError, EdgeType, GraphManifest, TableManifest, nearest


def action_path(query: PredictiveQuery) -> tuple[EdgeType, EdgeType]:
    """From an entity to its events, and on to what these name."""
    return EdgeType(query.entity_link, True), EdgeType(query.target_link, False)


def action_columns(
    sequence: SequenceSettings, manifest: GraphManifest, query: PredictiveQuery
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Places of the columns that are read, among the categorical columns of the events and among the numerical ones.

    Args:
        sequence: names them.
        manifest: of the graph.
        query: bound query.

    Raises:
        ConfigError: the query hides what would be read, events end, or a column is not there.
    """
    table = manifest.table(query.event_table.name)
    if is_hidden(action_path(query), query, manifest):
        raise ConfigError(f"model.network=sequence reads '{table.name}', which the query hides")
    if table.has_end:
        raise ConfigError(f"model.network=sequence reads '{table.name}' whole, and its rows end")
    kinds = () if sequence.action_type is None else (sequence.action_type,)
    categories = _places(table.name, [f.column for f in table.categorical], (*kinds, *sequence.contexts))
    numbers = _places(table.name, [f.column for f in table.numerical], sequence.numbers)
    hidden = {column for name, column in query.hidden_columns if name == table.name}
    for column in (*kinds, *sequence.contexts, *sequence.numbers):
        if column in hidden:
            raise ConfigError(f"model.sequence names '{column}' of '{table.name}', which the query hides")
    return categories, numbers


def positive_codes(sequence: SequenceSettings, table: TableManifest) -> tuple[int, ...]:
    """Codes of the kinds of action that are something to predict; empty where all are.

    Args:
        sequence: names them.
        table: of the events.

    Raises:
        ConfigError: there is no such kind, or no column of kinds.
    """
    if not sequence.positive_types:
        return ()
    if sequence.action_type is None:
        raise ConfigError("model.sequence.positive_types needs model.sequence.action_type, whose values they are")
    column = next(feature for feature in table.categorical if feature.column == sequence.action_type)
    allowed = column.categories
    for value in sequence.positive_types:
        if value not in allowed:
            raise ConfigError(
                f"model.sequence.positive_types has '{value}', which no {sequence.action_type} is."
                f"{nearest(value, allowed)}"
            )
    return tuple(allowed.index(value) + 1 for value in sequence.positive_types)


def _places(table: str, there: list[str], wanted: tuple[str, ...]) -> tuple[int, ...]:
    for column in wanted:
        if column not in there:
            known = ", ".join(there) or "none"
            raise ConfigError(
                f"model.sequence names '{column}', no such column of '{table}'; of this kind it has {known}"
            )
    return tuple(there.index(column) for column in wanted)
