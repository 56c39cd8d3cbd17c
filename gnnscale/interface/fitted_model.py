"""A fitted model: its figures, its report, and answers without Spark."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Mapping
from datetime import date, datetime
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gnnscale.config import Settings, anchor_fault, build_settings, plan_query_anchors
from gnnscale.interface.model_figures import Metrics, ReportPage
from gnnscale.lake import Lake
from gnnscale.query import epoch_seconds, show_time
from gnnscale.schema import MANIFEST_NAME, ConfigError, DataError, GraphManifest, LakeError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from gnnscale.inference import LakeModel


log = logging.getLogger(__name__)

LATE_DAYS: Final = 7
"""Days from the last row to an anchor, beyond which answers are said to be late."""


def load_model(
    lake: str | Path, name: str, *, storage_options: dict[str, str] | None = None, cache: str | None = None
) -> Model:
    """A model that was trained in a lake.

    Args:
        lake: folder or object-store URI.
        name: of its query.
        storage_options: of an object store, as delta-rs names them.
        cache: local folder for the memory-mapped graph; default: in a local lake, else the temporary folder.

    Raises:
        LakeError: there is no model of that name.
    """
    return Model.open(str(lake), name, storage_options or {}, cache)


class Model:
    """A trained model in a lake, as :meth:`Query.fit` and :func:`load_model` give it.

    Attributes:
        lake: URI of the lake.
        name: of the query.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = settings.query.name
        self._lake = Lake(settings.lake.uri, settings.lake.storage_options)
        self.lake = self._lake.uri
        self._answering: tuple[int | None, LakeModel] | None = None

    @classmethod
    def open(cls, lake: str, name: str, storage_options: dict[str, str], cache: str | None = None) -> Model:
        """The model of a query in a lake.

        Raises:
            LakeError: there is none.
        """
        from gnnscale.pipeline import trained_record

        home = Lake(lake, storage_options)
        content = trained_record(home, name)
        content["lake"] = {"uri": home.uri, "storage_options": dict(storage_options), "cache": cache}
        return cls(build_settings(content))

    @property
    def query(self) -> str:
        """The text of the query."""
        return self.settings.query.text

    @property
    def metrics(self) -> Metrics:
        """Figures on the test examples: method -> metric -> value, ``model`` the first of the methods.

        Raises:
            LakeError: the model was not evaluated.
        """
        record = self._evaluation()
        if record is None:
            raise LakeError(f"lake {self.lake} holds no evaluation of '{self.name}'; run the evaluate stage first")
        return Metrics(record)

    def _evaluation(self) -> dict[str, Any] | None:
        from gnnscale.pipeline import EVALUATION

        return self._lake.read_record(EVALUATION.format(query=self.name))

    @property
    def report(self) -> ReportPage:
        """The report of the evaluation: a path, and in a notebook the page itself."""
        from gnnscale.pipeline import report_path

        return ReportPage(self._lake, report_path(self.name))

    def predict(
        self,
        entities: Any = None,
        as_of: date | str | int | None = None,
        k: int | None = None,
    ) -> pd.DataFrame:
        """Answers for entities, from what is known at a time; no Spark takes part.

        Args:
            entities: keys, in the order wanted, as a list, array, series or column; or one key. Default: everybody that
                the query asks about.
            as_of: anchor: a time or its ISO form, UTC without a zone, or epoch seconds. Default: the one of the lake's
                predictions, which is each entity's own where a target without a window is asked of rows with times.
            k: most targets or classes an entity; default: as many as the query asks for.

        Entities that are named are answered for in any case. Of how many the query does not ask then, and that the time
        is over a week behind the last row, is logged as a warning.

        Returns:
            Columns entity, then by task target, rank (from 1) and score; value; frame and value; or score, a
            probability; then anchor_time.

        Raises:
            DataError: a key is not one of the entity table's.
            ConfigError: ``k`` is no integer from 1 or is given to a task of one value an entity, or the time can't be
                read, or is too far from those of the graph.
            LakeError: the model does not fit the lake's graph any more.
        """
        anchor = None if as_of is None else self._anchor(as_of)
        keys = None if entities is None else entity_keys(entities)
        if k is not None and not (isinstance(k, Integral) and k >= 1):
            raise ConfigError(f"k={k!r}: at least 1 answer can be asked for, in whole numbers")
        model = self._open(anchor)
        _warn_of_late(model, anchor)
        if k is not None and not model.gives_several:
            raise ConfigError(f"k is for rankings and classes, and {model.query.task_type} has none")
        if keys is None:
            return model.answer(self._everybody(model, anchor), k)
        import pandas as pd

        nodes = model.nodes_of(pd.Series(keys, dtype=object))
        self._warn_of_others(model, nodes, anchor)
        return model.answer(nodes, k)

    def _warn_of_others(self, model: LakeModel, nodes: NDArray[np.int64], anchor: int | None) -> None:
        """Say of how many entities that are named the query does not ask at the anchor, as far as that is known."""
        import numpy as np

        from gnnscale.inference import query_population

        query = model.query
        if query.asks_at_own_time:
            return
        asked, why = model.entities(), "are not there then"
        # Who passes is written down of the anchor of the predictions, and of those that the query names.
        if query.where is not None and query.keys is None and anchor in (None, self._latest(model)):
            population = query_population(self._lake, query, self.name)
            assert population is not None
            asked, why = np.intersect1d(population, asked), f"{why}, or don't pass its WHERE"
        others = int((~np.isin(nodes, asked)).sum())
        if others:
            log.warning(
                "%d of %d entities are none that the query asks about at %s: they %s",
                others,
                len(nodes),
                show_time(model.anchor),
                why,
            )

    def _everybody(self, model: LakeModel, anchor: int | None) -> NDArray[np.int64]:
        import numpy as np

        from gnnscale.inference import query_population

        if model.query.where is not None and anchor not in (None, self._latest(model)):
            raise ConfigError(
                "who passes the query's WHERE is known at the anchor of the predictions alone: name the entities"
            )
        population, there = query_population(self._lake, model.query, self.name), model.entities()
        return there if population is None else np.intersect1d(population, there)

    def _latest(self, model: LakeModel) -> int:
        return plan_query_anchors(self.settings, model.query, model.store.manifest.time_ranges).latest

    def _anchor(self, as_of: date | str | int) -> int:
        seconds = anchor_seconds(as_of)
        record = self._lake.read_record(MANIFEST_NAME)
        ranges = {} if record is None else GraphManifest.from_dict(record).time_ranges
        fault = anchor_fault(seconds, ranges) if record else ""
        first = min((span[0] for span in ranges.values() if span), default=seconds)
        if not fault and seconds < first:
            fault = f"nothing is known before {show_time(first)}, the first time in the tables"
        if fault:
            raise ConfigError(f"as_of is {as_of!r}: {fault}")
        return seconds

    def _open(self, anchor: int | None) -> LakeModel:
        """The network with its graph; the last one is kept."""
        if self._answering is None or self._answering[0] != anchor:
            self._answering = anchor, self._kind().open(self.settings, self._weights, anchor, self._blend)
        return self._answering[1]

    def _kind(self) -> LakeModel:
        from gnnscale.evaluation import BlendedAnswerModel, BlendedRankingModel
        from gnnscale.pipeline import open_graph

        _, query = open_graph(self.settings, self._lake, edges=False)
        return BlendedRankingModel() if query.task_type.predicts_links else BlendedAnswerModel()

    @cached_property
    def _weights(self) -> bytes:
        from gnnscale.training import model_path

        content = self._lake.read_bytes(model_path(self.name))
        if content is None:
            raise LakeError(f"lake {self.lake} holds no model of query '{self.name}'; run the train stage first")
        return content

    @property
    def _blend(self) -> dict[str, Any]:
        from gnnscale.evaluation import read_blend

        return read_blend(self._lake, self.name).to_dict()

    def __repr__(self) -> str:
        figures = repr(self.metrics) if self._evaluation() else "not evaluated"
        return f"Model {self.name} in {self.lake}: {self.query}\n{figures}"


def _warn_of_late(model: LakeModel, anchor: int | None) -> None:
    """Say where an anchor is so far behind the last row that much may have happened since that nobody has told of."""
    last = max((span[1] for span in model.store.manifest.time_ranges.values() if span), default=None)
    if anchor is None or last is None or anchor - last <= LATE_DAYS * 86_400:
        return
    log.warning(
        "as_of is %d days after %s, when the tables end: what has happened since is not known, and counts as nothing",
        (anchor - last) // 86_400,
        show_time(last),
    )


def anchor_seconds(time: date | str | int) -> int:
    """Epoch seconds of a time: a datetime or date, ISO 8601 text, or a whole number, which is epoch seconds already.

    Raises:
        ConfigError: it is none of these.
    """
    try:
        if isinstance(time, Integral) and not isinstance(time, bool):
            return int(time)
        if isinstance(time, str):
            return epoch_seconds(datetime.fromisoformat(time))
        if isinstance(time, datetime):
            return epoch_seconds(time)
        if isinstance(time, date):
            return epoch_seconds(datetime(time.year, time.month, time.day))
        if type(time).__name__ == "datetime64":
            import pandas as pd

            return epoch_seconds(pd.Timestamp(time))
    except (ValueError, TypeError, OverflowError):
        pass
    raise ConfigError(
        f"as_of is {time!r}, which is no time; allowed are datetimes, dates, ISO 8601 text and epoch seconds"
    )


def entity_keys(entities: Any) -> list[Any]:
    """Keys as plain values, of whatever holds them; a single one is a list of one.

    Raises:
        DataError: it is a frame or a mapping, or holds what can be no key.
    """
    if isinstance(entities, Mapping) or hasattr(entities, "columns"):
        raise DataError(f"entities are a list of keys or one column, and not a {type(entities).__name__}")
    for convert in ("as_py", "to_pylist", "tolist"):
        if hasattr(entities, convert):
            entities = getattr(entities, convert)()
            break
    single = isinstance(entities, str | bytes) or not isinstance(entities, Iterable)
    keys = [key.as_py() if hasattr(key, "as_py") else key for key in ([entities] if single else entities)]
    for key in keys:
        if not isinstance(key, Hashable):
            raise DataError(f"entities are keys, and {key!r} can be none")
    return keys
