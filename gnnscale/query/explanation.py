"""A query in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gnnscale.query.anchors import AnchorPlan, OwnTimes, show_time
from gnnscale.query.bound import Aggregate, All, Any, Column, Condition, Not
from gnnscale.query.left_out import LeftOut
from gnnscale.query.window import Window
from gnnscale.schema import ValueKind

if TYPE_CHECKING:
    from gnnscale.query.predictive_query import PredictiveQuery

WORDS = {
    "SUM": "sum",
    "AVG": "mean",
    "MIN": "least",
    "MAX": "greatest",
    "COUNT": "number",
    "COUNT_DISTINCT": "number of distinct values",
    "FIRST": "first",
    "LAST": "last",
    "LIST_DISTINCT": "distinct values",
}


def explain(query: PredictiveQuery, plan: AnchorPlan | None = None, left_out: LeftOut | None = None) -> str:
    """What is predicted, for whom, from what; one line each.

    Args:
        query: bound query.
        plan: its anchors, to say when it is asked too.
        left_out: how many make no example because nobody knows the answer, where that was counted.
    """
    lines = [("task", str(query.task_type)), ("predicts", _target(query)), ("for", _population(query))]
    if query.assuming is not None:
        lines.append(
            ("assuming", f"{_condition(query.assuming)}; other examples are left out of training and evaluation")
        )
    told = query.known_after
    late = {(told.table, told.name)} if isinstance(told, Column) else set()
    hidden = [f"{t}.{c}" for t, c in sorted(query.hidden_columns - late)] + sorted(query.hidden_tables)
    if hidden:
        lines.append(("not seen", f"{', '.join(hidden)}: the target is made of it"))
    if query.target_columns:
        lines.append(("no label", _unknown(query, left_out)))
    if query.asks_at_own_time:
        lines.append(("answers", _earlier_answers(query)))
    if plan is not None:
        lines += _anchors(query, plan)
    return "\n".join(f"{name:<11} {text}" for name, text in lines)


def _target(query: PredictiveQuery) -> str:
    expression = query.expression
    if query.task_type.predicts_links:
        which = f"the {query.top} rows of {query.target.name} most likely to be named"
        when = f" {_when(query.aggregate.window)}" if query.aggregate.window else ""
        where = f" where {_condition(query.aggregate.where)}" if query.aggregate.where else ""
        first = {"FIRST": " first", "LAST": " last"}.get(query.aggregate.function, "")
        by = f"{query.event_table.name}" + (f" by {query.aggregate.link.column}" if query.aggregate.chosen else "")
        return f"{which}{first} by {by}{where}{when}"
    if isinstance(expression, Column | Aggregate):
        text = _operand(expression)
        if query.task_type.answer == "values" and isinstance(expression, Aggregate) and expression.window:
            more = "window" if query.frames == 2 else f"{query.frames - 1} windows"
            text += f", and in the {more} of {_amount(expression.window.length, expression.window.unit)} after"
        return text
    return f"whether {_condition(expression)}"


def _population(query: PredictiveQuery) -> str:
    text = f"each row of {query.entity.name}"
    if query.asks_at_own_time:
        text += f" at its own time ({_time_of(query)})"
    elif query.entity.time_column or query.entity.end_time:
        text += " that is there at the anchor"
    if query.where is not None:
        text += f", where {_condition(query.where)}"
    if query.keys is not None:
        shown = ", ".join(str(key) for key in query.keys[:5]) + (", ..." if len(query.keys) > 5 else "")
        text += f"; predictions for {query.entity.primary_key} {shown} alone"
    return text


def _time_of(query: PredictiveQuery) -> str:
    return query.entity.time_column or f"that of its {query.entity.time_from}"


def _unknown(query: PredictiveQuery, left_out: LeftOut | None) -> str:
    columns = " or ".join(str(column) for column in query.target_columns)
    if left_out is None:
        return f"where {columns} is missing: such rows are predicted, not learned from"
    counts = left_out.in_words() or f"none: {columns} is known of all {left_out.asked:,}"
    return counts + ("; they are predicted, not learned from" if left_out.unknown else "")


def _earlier_answers(query: PredictiveQuery) -> str:
    known = query.known_after
    if known is None:
        return "of other rows are no inputs; where they are known by then, say from when: query.known_after"
    if isinstance(known, Column):
        since = f"its {known.name}, which is no input itself"
    else:
        since = f"{known:g} days after it" if known else "its own time on"
    return f"of a row are known from {since}; later rows that name the same rows see them"


def _anchors(query: PredictiveQuery, plan: AnchorPlan) -> list[tuple[str, str]]:
    if query.pseudo_timed_tables and query.split_column is not None:
        return [
            ("split", f"{query.event_table.name} as column {query.split_column} says; training by parts at random"),
            ("predictions", f"what comes after all of {query.event_table.name}"),
        ]
    if query.pseudo_timed_tables:
        return [
            ("split", f"{query.event_table.name} by ten parts, at random but fixed: what comes after the parts before"),
            ("predictions", f"what comes after all of {query.event_table.name}"),
        ]
    if plan.own_times is not None:
        return [
            ("split", _split_by_time(plan.own_times)),
            ("predictions", f"each at its own time; those without one at {show_time(plan.latest)}"),
            ("leakage", _leakage_of_rows(query)),
        ]
    if plan.static:
        return [
            ("split", "by entity, at random but fixed: 80 % train, 10 % validation, 10 % test"),
            ("predictions", f"at {show_time(plan.latest)}"),
        ]
    first, last = plan.train[0], plan.train[-1]
    gaps = sorted({(after - before) / 86_400 for before, after in pairwise(plan.train)})
    # Months differ.
    apart = " to ".join(dict.fromkeys(f"{gap:g}" for gap in (gaps[0], gaps[-1]))) if gaps else ""
    step = f", {apart} {'day' if apart == '1' else 'days'} apart" if gaps else ""
    return [
        (
            "training",
            f"{len(plan.train)} anchors, {show_time(first)} to {show_time(last)}{step}{_examples(query, plan)}",
        ),
        ("validation", _windows(plan, plan.validations)),
        ("test", _windows(plan, plan.tests) + _cut_short(plan)),
        ("predictions", f"at {show_time(plan.latest)}"),
        ("leakage", _leakage(plan, last)),
    ]


def _split_by_time(own: OwnTimes) -> str:
    if own.validation is None and own.test is None:
        return "by time: the oldest 80 % train, the next 10 % validate, the latest 10 % test"
    begins = [
        f"{name} from {show_time(at)}" if at is not None else f"{name} by shares of the rest"
        for name, at in (("validation", own.validation), ("test", own.test))
    ]
    return f"by time: {', '.join(begins)}"


def _examples(query: PredictiveQuery, plan: AnchorPlan) -> str:
    """About how many examples training has, where that can be told before anything is labelled."""
    if plan.rows is None:
        return ""
    fewer = ", of which WHERE keeps some" if query.where is not None else ""
    comes = bool(query.entity.time_column or query.entity.time_from)
    later = f", less the {query.entity.name} that come after an anchor" if comes else ""
    return f"; some {plan.rows:,.0f} examples each, {plan.rows * len(plan.train):,.0f} in all{later}{fewer}"


def _windows(plan: AnchorPlan, anchors: Sequence[int]) -> str:
    if len(anchors) > 1:
        start, end = plan.horizon.span(anchors[0])[0], plan.horizon.span(anchors[-1])[1]
        return (
            f"{len(anchors)} anchors, {show_time(anchors[0])} to {show_time(anchors[-1])}, labels from "
            f"({show_time(start)}, {show_time(end)}]"
        )
    start, end = plan.horizon.span(anchors[0])
    return f"anchor {show_time(anchors[0])}, labels from ({show_time(start)}, {show_time(end)}]"


def _cut_short(plan: AnchorPlan) -> str:
    if plan.cut_short is None:
        return ""
    return f"; the data end at {show_time(plan.cut_short[1])}, so that these labels lack what is missing of it"


def _leakage_of_rows(query: PredictiveQuery) -> str:
    text = "inputs of each row end at its own time, and no row is learned from that is later than a test"
    if query.known_after is not None:
        text += ", or whose answer was not known before validation, or the test, began"
    return text


def _leakage(plan: AnchorPlan, last: int) -> str:
    return (
        f"inputs end at the anchor; training labels end at {show_time(plan.horizon.span(last)[1])}, validation labels "
        f"at {show_time(plan.horizon.span(plan.validation)[1])}, each before the next split's anchor"
    )


def _when(window: Window | None) -> str:
    if window is None:
        return ""
    if window.start is None:
        return "up to the anchor" if window.end == 0 else f"up to {_offset(window.end, window.unit)}"
    if window.start == 0:
        return f"in the {_span(window.end, window.unit)} after the anchor"
    if window.end == 0:
        return f"in the {_span(-window.start, window.unit)} up to the anchor"
    return f"later than {_offset(window.start, window.unit)} and no later than {_offset(window.end, window.unit)}"


def _offset(amount: int, unit: str) -> str:
    if amount == 0:
        return "the anchor"
    return f"{_amount(abs(amount), unit)} {'after' if amount > 0 else 'before'} the anchor"


def _amount(number: int, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"


def _span(number: int, unit: str) -> str:
    return _amount(number, unit).removeprefix("1 ") if number == 1 else _amount(number, unit)


def _operand(operand: Column | Aggregate) -> str:
    if isinstance(operand, Column):
        return str(operand)
    of = f"{operand.event_table} rows" if operand.column is None else str(operand.column)
    of += f" by {operand.link.column}" if operand.chosen else ""
    where = f" where {_condition(operand.where)}" if operand.where else ""
    when = f" {_when(operand.window)}" if operand.window else ""
    return f"the {WORDS[operand.function]} of {of}{where}{when}"


def _condition(condition: Condition) -> str:
    if isinstance(condition, Not):
        return f"not ({_condition(condition.part)})"
    if isinstance(condition, All | Any):
        word = " and " if isinstance(condition, All) else " or "
        return word.join(
            f"({_condition(part)})" if isinstance(part, All | Any) else _condition(part) for part in condition.parts
        )
    left = _operand(condition.left)
    if condition.operator == "IS NULL":
        return f"{left} is {'known' if condition.negated else 'missing'}"
    is_time = condition.left.kind is ValueKind.TIME
    values = [show_time(int(v) // 1_000_000) if is_time else repr(v) for v in condition.values[:5]]
    shown = ", ".join(values) + (", ..." if len(condition.values) > 5 else "")
    negated = "not " if condition.negated else ""
    return f"{left} {negated}{condition.operator} {f'({shown})' if condition.operator == 'IN' else shown}"
