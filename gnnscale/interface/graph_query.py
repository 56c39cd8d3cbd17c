"""A question to a graph of tables, and its way to a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnscale.config import Settings, ask_settings, check_query_name, count_missing, query_name
from gnnscale.interface.fitted_model import Model
from gnnscale.interface.table_inputs import TableInput, read_input
from gnnscale.lake import Lake
from gnnscale.query import PART, LeftOut, PredictiveQuery, explain
from gnnscale.schema import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from gnnscale.interface.table_graph import Graph

Overrides = Mapping[str, Any] | Sequence[str] | str
"""``{"training.epochs": 2}``, or ``["training.epochs=2"]`` as on the command line, or one of these alone."""


class Query:
    """A predictive query on a graph, as :meth:`gnnscale.Graph.query` makes it.

    Attributes:
        text: the query.
        name: that its tables carry in a lake.
        bound: the query, bound to the graph's tables and columns.

    Raises:
        ConfigError: no table can carry the name.
        QueryError: the text can't be read, or does not fit the graph.
    """

    def __init__(self, graph: Graph, text: str, name: str | None = None) -> None:
        self._graph, self.text = graph, text
        self.name = query_name(text) if name is None else check_query_name(name)
        self.bound = PredictiveQuery(graph.schema, text)

    @property
    def task_type(self) -> str:
        """What kind of task the query's form implies, such as ``binary classification``."""
        return str(self.bound.task_type)

    def explain(self) -> str:
        """The query in plain words: task, entity, target, windows, conditions, and what is left out; one line each."""
        return explain(self.bound, left_out=self._left_out())

    def _left_out(self) -> LeftOut | None:
        """How many rows make no example, where a frame at hand tells."""
        column = self.bound.deciding_column
        if column is None:
            return None
        given = next(table for table in self._graph.inputs if table.name == column.table)
        values = given.values(column.name)
        if values is None:
            return None
        return LeftOut((str(column),), len(values), count_missing(values, self.bound))

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
                value stands is searched over. Lake, tables' sources, and name and text of the query are not among them.
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
            ``labels_<query>`` in order of anchor and entity: ``entity`` (node id), ``anchor_time`` (epoch seconds; of
            rankings without a window ``part``, of ten), ``split`` (``late`` of answers that were known too late to be
            learned from), and ``target`` (``targets``, node ids, for
            rankings).

        Raises:
            GnnscaleError: the configuration or a table is at fault; what is done stays done.
        """
        home = self._run(lake, mode, overrides, None, force, verbose, ["graph", "labels"])
        found = home.read(f"labels_{self.name}")
        time = "anchor_time" if "anchor_time" in found.column_names else PART
        return found.sort_by([(time, "ascending"), ("entity", "ascending")])

    def run(
        self,
        lake: str | Path,
        stages: Sequence[str],
        mode: str = "normal",
        overrides: Overrides | None = None,
        *,
        force: bool = False,
        verbose: bool = False,
    ) -> dict[str, str]:
        """Run some of the stages, as cells of a notebook or tasks of a job do; those before them have run already.

        Args:
            lake, mode, overrides, force, verbose: as of :meth:`fit`.
            stages: such as ``graph``, ``labels`` and ``train``, in this order.

        Returns:
            Stage -> what was done, in a few words.

        Raises:
            GnnscaleError: there is no such stage, one before it has not run, or what it takes is at fault.
        """
        done: dict[str, str] = {}
        self._run(lake, mode, overrides, None, force, verbose, stages, done)
        return done

    def features(
        self,
        lake: str | Path,
        mode: str | None = None,
        overrides: Overrides | None = None,
        *,
        force: bool = False,
        verbose: bool = False,
    ) -> pa.Table:
        """Build the graph, label examples and compute their features, for a model of one's own.

        Args:
            lake, overrides, force, verbose: as of :meth:`fit`.
            mode: as of :meth:`fit`; default: the examples are those of the lake's model of this query, where it has
                one, and else those of ``normal``.

        Returns:
            ``features_<query>`` in order of anchor and entity: ``entity`` (node id), ``anchor_time`` (epoch seconds),
            ``split`` (``predict`` for who is predicted for, ``late`` of answers that were known too late to be learned
            from), of rankings ``target`` (node id) and ``had``, and a column
            a feature, null where it is not known.

        Raises:
            GnnscaleError: the configuration or a table is at fault; what is done stays done.
        """
        words = override_words(overrides or ())
        if mode is None:
            words = [*self._trained_anchors(lake), *words]
        home = self._run(lake, mode or "normal", words, None, force, verbose, ["graph", "labels", "features"])
        order = ["anchor_time", "entity"] + (["target"] if self.bound.task_type.predicts_links else [])
        return home.read(f"features_{self.name}").sort_by([(name, "ascending") for name in order])

    def _trained_anchors(self, lake: str | Path) -> list[str]:
        """Overrides by which examples are asked when those of the lake's model of this query were; else none."""
        from gnnscale.pipeline import trained_queries, trained_record

        home = Lake(str(lake), self._graph.storage_options)
        if self.name not in trained_queries(home):
            return []
        record = trained_record(home, self.name)
        if record["query"]["text"] != self.text:
            return []
        return override_words({f"anchors.{key}": value for key, value in record["anchors"].items()})

    def _run(
        self,
        lake: str | Path,
        mode: str,
        overrides: Overrides | None,
        examples: Any,
        force: bool,
        verbose: bool,
        stages: Sequence[str] | None = None,
        done: dict[str, str] | None = None,
    ) -> Lake:
        from gnnscale.pipeline import Pipeline, PipelineContext, check_room, prepare_environment
        from gnnscale.tracking import kept_store, shown_logging

        prepare_environment()
        home, words = Lake(str(lake), self._graph.storage_options), override_words(overrides or ())
        # What is wrong with the configuration, or the lake, should show before a frame is written.
        self._settings(home, {}, words, mode)
        given = None if examples is None else read_input(f"examples_{self.name}", examples, home.storage_options)
        check_room(home)
        with kept_store(), shown_logging(verbose) as console:
            stored = {"tables": self._graph.store(home), **(self._store_examples(home, given) if given else {})}
            settings = self._settings(home, stored, words, mode)
            with Pipeline(PipelineContext(settings, console, force)) as pipeline:
                said = {} if done is None else done
                pipeline.run(stages, lambda name, record: said.update({name: record.detail}))
        return home

    def _settings(self, lake: Lake, stored: Mapping[str, Any], words: Sequence[str], mode: str) -> Settings:
        """The configuration, of sections that say where rows are stored, where they are.

        Raises:
            ConfigError: it is at fault, or overrides what the graph, the query or the call has said.
        """
        record = {
            "recipe": Path(lake.uri).name or "lake",
            "lake": {"storage_options": lake.storage_options},
            "tables": self._graph.describe(),
            **stored,
        }
        settings = ask_settings(record, lake.uri, self.text, self.name, words, mode)
        said = {
            "lake.uri": (settings.lake.uri, lake.uri),
            "lake.storage_options": (settings.lake.storage_options, lake.storage_options),
            "query.name": (settings.query.name, self.name),
            "query.text": (settings.query.text, self.text),
            **{
                f"tables.{name}.source": (table.source, record["tables"].get(name, {}).get("source"))
                for name, table in settings.tables.items()
            },
        }
        for key, (found, given) in said.items():
            if found != given:
                raise ConfigError(
                    f"{key} can't be overridden here: tables and storage options are the graph's, text and name the "
                    "query's, and the lake is an argument"
                )
        return settings

    def _store_examples(self, lake: Lake, given: TableInput) -> dict[str, Any]:
        """Examples of one's own as configuration: where they are, and the anchors that rankings are tested at."""
        from gnnscale.etl import holdout_anchors

        content: dict[str, Any] = {"query": {"examples": given.store(lake)}}
        if self.bound.task_type.predicts_links:
            tests = holdout_anchors(lake, content["query"]["examples"])
            content["anchors"] = {"test": [time.isoformat() for time in tests] or None}
        return content

    def __repr__(self) -> str:
        return f"Query {self.name}: {self.text}\n{self.explain()}"


def override_words(overrides: Overrides) -> list[str]:
    """Overrides as the command line has them.

    Raises:
        ConfigError: they are neither a mapping of keys nor text.
    """
    if isinstance(overrides, Mapping):
        # JSON is YAML, which values of overrides are.
        return [f"{key}={json.dumps(value, default=str, ensure_ascii=False)}" for key, value in overrides.items()]
    words = [overrides] if isinstance(overrides, str) else overrides
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"overrides are a mapping of keys to values or a list of key=value, and not {overrides!r}")
    return list(words)
