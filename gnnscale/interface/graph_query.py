"""A question to a graph of tables, and its way to a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnscale.config import ask_settings, query_name
from gnnscale.interface.fitted_model import Model
from gnnscale.interface.table_inputs import read_input
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, explain

if TYPE_CHECKING:
    import pyarrow as pa

    from gnnscale.interface.table_graph import Graph

Overrides = Mapping[str, Any] | Sequence[str]
"""``{"training.epochs": 2}``, or ``["training.epochs=2"]`` as on the command line."""


class Query:
    """A predictive query on a graph, as :meth:`gnnscale.Graph.query` makes it.

    Attributes:
        text: the query.
        name: that its tables carry in a lake.
        bound: the query, bound to the graph's tables and columns.
    """

    def __init__(self, graph: Graph, text: str, name: str | None = None) -> None:
        self._graph, self.text, self.name = graph, text, name or query_name(text)
        self.bound = PredictiveQuery(graph.schema, text)

    @property
    def task_type(self) -> str:
        """What kind of task the query's form implies, such as ``binary classification``."""
        return str(self.bound.task_type)

    def explain(self) -> str:
        """The query in plain words: task, entity, target, windows and conditions; one line each."""
        return explain(self.bound)

    def fit(
        self,
        lake: str | Path,
        mode: str = "normal",
        overrides: Overrides | None = None,
        examples: Any = None,
        *,
        force: bool = False,
        verbose: bool = False,
    ) -> Model:
        """Build the graph, label examples, train, predict and evaluate: what of it has not been done already.

        The Spark session and the Ray that there are are used, and left as they were; else both are started, and
        stopped. MLflow, where it is loaded, goes on with the store that it had.

        Args:
            lake: folder or object-store URI that everything is written to.
            mode: ``fast``, ``normal`` or ``best``.
            overrides: of the configuration, as a mapping of dotted keys or as a list of ``key=value``; a list where one
                value stands is searched over.
            examples: labelled examples of one's own, instead of those that the query makes: a frame or path with the
                entity's key, ``anchor_time`` and ``target`` (``targets``, a list of keys, for rankings), and perhaps
                ``split`` (``train``, ``validation`` or ``test``).
            force: do again what is done already.
            verbose: say more.

        Raises:
            GnnscaleError: the configuration, a table or the examples are at fault; what is done stays done.
        """
        home = self._run(lake, mode, overrides, examples, force, verbose)
        return Model.open(home.uri, self.name, self._graph.storage_options)

    def label(
        self,
        lake: str | Path,
        mode: str = "normal",
        overrides: Overrides | None = None,
        *,
        force: bool = False,
        verbose: bool = False,
    ) -> pa.Table:
        """Build the graph and label examples, and nothing more: what of it has not been done already.

        The graph can then be opened as ``GraphStore.open(Lake(lake))``; :meth:`fit` goes on from there.

        Args:
            lake, mode, overrides, force, verbose: as of :meth:`fit`.

        Returns:
            ``labels_<query>`` in order of anchor and entity: ``entity`` (node id), ``anchor_time`` (epoch seconds),
            ``split``, and ``target`` (``targets``, node ids, for rankings).

        Raises:
            GnnscaleError: the configuration or a table is at fault; what is done stays done.
        """
        home = self._run(lake, mode, overrides, None, force, verbose, ["graph", "labels"])
        order = [("anchor_time", "ascending"), ("entity", "ascending")]
        return home.read(f"labels_{self.name}").sort_by(order)

    def _run(
        self,
        lake: str | Path,
        mode: str,
        overrides: Overrides | None,
        examples: Any,
        force: bool,
        verbose: bool,
        stages: Sequence[str] | None = None,
    ) -> Lake:
        from gnnscale.pipeline import Pipeline, PipelineContext, prepare_environment
        from gnnscale.tracking import kept_store, shown_logging

        prepare_environment()
        options = self._graph.storage_options
        home = Lake(str(lake), options)
        with kept_store(), shown_logging(verbose) as console:
            record = {
                "recipe": Path(home.uri).name or "lake",
                "lake": {"storage_options": options},
                "tables": self._graph.store(home),
                **({} if examples is None else self._store_examples(home, examples)),
            }
            words = override_words(overrides or ())
            settings = ask_settings(record, home.uri, self.text, self.name, words, mode)
            with Pipeline(PipelineContext(settings, console, force)) as pipeline:
                pipeline.run(stages)
        return home

    def _store_examples(self, lake: Lake, examples: Any) -> dict[str, Any]:
        """Examples of one's own as configuration: where they are, and the anchor that rankings are tested at."""
        from gnnscale.etl import holdout_anchor

        given = read_input(f"examples_{self.name}", examples, self._graph.storage_options)
        content: dict[str, Any] = {"query": {"examples": given.store(lake)}}
        if self.bound.task_type.predicts_links:
            test = holdout_anchor(lake, content["query"]["examples"])
            content["anchors"] = {"test": test.isoformat() if test else None}
        return content

    def __repr__(self) -> str:
        return f"Query {self.name}: {self.text}\n{self.explain()}"


def override_words(overrides: Overrides) -> list[str]:
    """Overrides as the command line has them."""
    if not isinstance(overrides, Mapping):
        return list(overrides)
    # JSON is YAML, which values of overrides are.
    return [f"{key}={json.dumps(value, default=str)}" for key, value in overrides.items()]
