"""What stands beside every model: baselines by name, for the task types that name them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ids
from gnnscale.config import Settings
from gnnscale.evaluation.comparison import Part
from gnnscale.evaluation.list_comparison import PARTS
from gnnscale.features import KnownAnswers
from gnnscale.query import PredictiveQuery, TaskSpec
from gnnscale.retrieval import History
from gnnscale.schema import BASELINES, DataError

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BaselineInputs:
    """What baselines may know of N examples.

    Args:
        past: the target over the window that ends at the anchor, float32 ``[N, W]``, NaN where unknown.
        features: of the entity at the anchor, float32 ``[N, F]``; NaN where unknown.
        pairs: of the entity and each class, float32 ``[N, C, G]``, for tasks with classes; None for none.
        earlier: what is known of the answers of other rows; None where nobody says when answers are known.

    Raises:
        DataError: the parts have different numbers of rows.
    """

    past: Array
    features: Array
    pairs: Array | None = None
    earlier: KnownAnswers | None = None

    def __post_init__(self) -> None:
        parts = (self.past, self.features, self.pairs, self.earlier)
        rows = {len(part) for part in parts if part is not None}
        if len(rows) > 1 or self.past.ndim != 2 or self.features.ndim != 2:
            raise DataError(
                f"past and features must be [N, W] and [N, F]: got {self.past.shape}, {self.features.shape}"
            )

    def __len__(self) -> int:
        return len(self.past)

    def take(self, rows: NDArray[np.int64]) -> BaselineInputs:
        """The inputs of these rows, in their order."""
        pairs = None if self.pairs is None else self.pairs[rows]
        earlier = None if self.earlier is None else self.earlier.take(rows)
        return BaselineInputs(self.past[rows], self.features[rows], pairs, earlier)


class TaskBaseline(Protocol):
    """Learns from training examples and scores others."""

    def fit(
        self, inputs: BaselineInputs, values: Array, validation: tuple[BaselineInputs, Array] | None = None
    ) -> Self:
        """Learn from ``inputs`` and ``values`` ``[N, W]``; ``validation`` tells when to stop, where it does."""
        ...

    def predict(self, inputs: BaselineInputs) -> Array:
        """Scores, float32 ``[N, V]`` in the layout of the task."""
        ...


class RankItems(Protocol):
    """Ranks items for every entity: int64 ``[n_entities, k]``, best first, -1 where a list ends early."""

    def __call__(self, history: History, k: int, *, among: Part = "all") -> Ids:
        """The lists, drawn from the items that ``among`` allows."""
        ...


@dataclass(frozen=True)
class Baseline:
    """A simple method beside the model.

    Args:
        name: in records.
        title: on pages.
        meaning: what it does, in a sentence or two.
        tasks: task types (by name) and answers that it joins by itself; others name it in their ``baselines``.
    """

    name: str
    title: str
    meaning: str
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NodeBaseline(Baseline):
    """A baseline that scores the examples of node-level tasks.

    Args:
        make: from the task type, the number of classes and a seed to the baseline, not yet fitted.
        needs_pairs: answers for which it needs the features of an entity and each class.
        needs_past: whether it says nothing of its own where no example tells what was true before it.
        needs_earlier: whether it goes by the earlier answers of other rows.
    """

    make: Callable[[TaskSpec, int, int], TaskBaseline]
    needs_pairs: tuple[str, ...] = ()
    needs_past: bool = False
    needs_earlier: bool = False


def _no_options(settings: Settings) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class LinkBaseline(Baseline, ABC):
    """A baseline that ranks targets.

    Args:
        needs_repeats: whether it only orders what the entity has had, and so says nothing where nothing repeats.
        few_repeats: whether it is for discoveries, and costs more than it adds where what was had comes back.
        serves: whether it can give every entity a list, at any anchor; a blend leaves out those that can't.
    """

    needs_repeats: bool = False
    few_repeats: bool = False
    serves: bool = True

    def fits(self, query: PredictiveQuery | None) -> bool:
        """Whether it has what it goes by in the tables of a query; of no query in particular, whether any will do."""
        return True

    @abstractmethod
    def lists(self, settings: Settings, history: History, entities: Ids, k: int) -> dict[Part, Ids]:
        """The ranked lists of some entities.

        Args:
            settings: of the run.
            history: events before the anchor.
            entities: rows of the entities, int64 ``[N]``.
            k: length of the lists.

        Returns:
            Part to int64 ``[N, k]``, best first, -1 where a list ends early: drawn from all targets, from those that
            the entity has had (``repeat``) and from the others (``explore``).
        """

    def scored_lists(
        self, settings: Settings, history: History, entities: Ids, k: int, among: Part = "all"
    ) -> tuple[Ids, Array]:
        """The candidates of some entities with their scores; by default those of :meth:`lists`, by their ranks.

        Args:
            settings: of the run.
            history: events before the anchor.
            entities: rows of the entities, int64 ``[N]``; a part of all, so that memory is bounded.
            k: most candidates an entity.
            among: ``all`` targets, or those that the entity has not had (``explore``).

        Returns:
            Targets, int64 ``[N, k]``, best first, -1 where a list ends early; and their scores, float32 ``[N, k]``,
            falling, -inf where there is no target.
        """
        ranked = self.lists(settings, history, entities, k)[among]
        scores = np.broadcast_to(1.0 / np.arange(2, k + 2, dtype=np.float32), ranked.shape)
        return ranked, np.where(ranked >= 0, scores, -np.inf).astype(np.float32)


class ScoreItems(Protocol):
    """Candidates of some entities; see :meth:`LinkBaseline.scored_lists`."""

    def __call__(self, history: History, entities: Ids, k: int, *, among: Part = "all") -> tuple[Ids, Array]:
        """Targets and their scores, both ``[N, k]``."""
        ...


@dataclass(frozen=True, kw_only=True)
class RankBaseline(LinkBaseline):
    """A baseline that one function makes up.

    Args:
        rank: the lists of every entity.
        scored: the candidates of some with their scores; None for those of ``rank``.
        options: further arguments of both that the configuration decides.
    """

    rank: RankItems
    scored: ScoreItems | None = None
    options: Callable[[Settings], dict[str, Any]] = _no_options

    def scored_lists(
        self, settings: Settings, history: History, entities: Ids, k: int, among: Part = "all"
    ) -> tuple[Ids, Array]:
        """The candidates of some entities with their scores."""
        if self.scored is None:
            return super().scored_lists(settings, history, entities, k, among)
        return self.scored(history, entities, k, among=among, **self.options(settings))

    def lists(self, settings: Settings, history: History, entities: Ids, k: int) -> dict[Part, Ids]:
        """The ranked lists of some entities, a call of ``rank`` for each part."""
        options = self.options(settings)
        return {part: self.rank(history, k, among=part, **options)[entities] for part in PARTS}


def find_baselines(task: TaskSpec) -> tuple[Baseline, ...]:
    """The baselines of a task type: those that it names, in its order, and those that join it by themselves.

    Raises:
        ConfigError: a baseline that the task names is not known.
    """
    named = [BASELINES.find(name) for name in task.baselines]
    joining = [BASELINES.find(name) for name in BASELINES.names() if name not in task.baselines]
    return (*named, *(b for b in joining if task.name in b.tasks or task.answer in b.tasks))


def node_baselines(
    task: TaskSpec, classes: int = 0, seed: int = 0, pairs: bool = True, past: bool = True, earlier: bool = False
) -> dict[str, TaskBaseline]:
    """Name to baseline, not yet fitted.

    Args:
        task: a node-level task.
        classes: number of classes, C, of tasks that have any.
        seed: of baselines that draw.
        pairs: whether there are features of each entity and class.
        past: whether examples tell what was true before them.
        earlier: whether they tell earlier answers of other rows.

    Raises:
        DataError: a link task.
    """
    if task.predicts_links:
        raise DataError(f"{task} gives no values to entities: it has baselines of its own")
    found = [b for b in find_baselines(task) if isinstance(b, NodeBaseline)]
    fit = [b for b in found if (pairs or task.answer not in b.needs_pairs) and (past or not b.needs_past)]
    fit = [b for b in fit if earlier or not b.needs_earlier]
    return {b.name: b.make(task, classes, seed) for b in fit}


def link_baselines(task: TaskSpec, query: PredictiveQuery | None = None) -> dict[str, LinkBaseline]:
    """Name to baseline of a link task: those that fit a query, or without one any."""
    return {b.name: b for b in find_baselines(task) if isinstance(b, LinkBaseline) and b.fits(query)}
