"""What every network states and builds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from gnnscale.arrays import Ragged
from gnnscale.batches import (
    AnswerShape,
    EntityEvents,
    EntityExamples,
    Examples,
    ReceptiveField,
    SplitExamples,
    read_labels,
    used_labels,
)
from gnnscale.config import Settings, WalkSettings, candidate_networks, changed_keys, refuse_keys, split_implementation
from gnnscale.features import EntityFeatures
from gnnscale.lake import Lake
from gnnscale.nn import LinkLoss, ProcessGroup
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import Negative, NegativeRule, build_negatives, plan_steps
from gnnscale.schema import NEGATIVES, NETWORKS, ConfigError, GraphManifest
from gnnscale.store import GraphStore
from gnnscale.training.networks.query_walks import walk_sampler
from gnnscale.training.objectives.link_objective import LinkObjective
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.objectives.objective import Objective
from gnnscale.training.predictors.link_predictor import LinkPredictor
from gnnscale.training.schedule import usual_rate

LINK_KEYS = (
    "model.entity_start",
    "model.target_hidden",
    "model.temperature",
    "sampling.roots",
    "training.negative_strategy",
    "training.hard_walks",
    "training.rank_depth",
)
"""What only queries that rank rows have a use for."""


class Network:
    """A kind of network over one graph, for one query.

    A class is a :class:`LinkNetwork`, a :class:`NodeNetwork` or both, and is registered as
    ``@NETWORKS.register("name")``.

    Args:
        settings: ``model``, ``sampling`` and ``training`` count.
        store: of the graph.
        query: bound query.
    """

    automatic: ClassVar[bool] = False
    """Whether ``model.network: auto`` takes it, for the tasks that it is for."""
    samples_blocks: ClassVar[bool] = False
    """Whether compiled code makes its batches: that gains from a core of its own beside those of the network. Other
    batches are made in good part under the interpreter's lock, and there the network had better take all cores."""
    fits_at_once: ClassVar[bool] = False
    """Whether it is fitted as a whole, by its ``fit``, and not step by step by the training loop and its workers."""
    uses: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Those of :data:`gnnscale.config.network_choice.NETWORK_KEYS` that it can use, with the values, or ``()`` for any;
    others have to be at their default."""
    ignores: ClassVar[tuple[str, ...]] = ()
    """Keys that it has no use for, but that a recipe may hold for other networks: they are logged, and not refused."""

    host_processes: int = 1
    """Processes of this host that train together, and share its memory."""

    def __init__(self, settings: Settings, store: GraphStore, query: PredictiveQuery) -> None:
        self.settings, self.store, self.query = settings, store, query

    def peak_rate(self, steps: int) -> float:
        """The highest learning rate of a training of so many steps, where the configuration says none."""
        return usual_rate(steps)

    @property
    def name(self) -> str:
        """That it is registered under."""
        return next(name for name in NETWORKS.names() if NETWORKS.find(name) is type(self))

    @classmethod
    def choices(cls, key: str) -> tuple[Any, ...] | None:
        """Values that it can use, implementations by their names; ``()`` for any, None where it has no use for a key.

        Args:
            key: one of :data:`gnnscale.config.network_choice.NETWORK_KEYS`.
        """
        return cls.uses.get(key)

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Refuse values that don't go together.

        Raises:
            ConfigError: naming them.
        """

    @classmethod
    def check_graph(cls, settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
        """Refuse what does not fit the graph; neither its arrays nor labels need be there yet.

        Args:
            settings: ``model``, ``sampling`` and ``training`` count.
            manifest: of the graph.
            query: bound query.

        Raises:
            ConfigError: naming it.
        """

    def check_fit(self, lake: Lake) -> None:
        """Raise what ``fit`` would of the configuration, where the network is fitted at once.

        Args:
            lake: holds the labels.
        """

    def labels(self, lake: Lake) -> pa.Table:
        """Labels of the query in the order of the row numbers that its sources go by."""
        return used_labels(read_labels(lake, self.settings.query.name))


class LinkNetwork(Network, ABC):
    """A network that ranks rows of another table."""

    outputs: ClassVar[type]
    """What it gives: what a loss states as what it takes."""
    entities_are_targets: ClassVar[bool] = False
    """Whether one vector stands for an item as an entity and as a target, so that it is nearest to itself."""
    layered_sides: ClassVar[tuple[str, ...]] = ("entities",)
    """Whose vectors are computed layer by layer where ``embedding.method`` is ``layerwise``."""

    @classmethod
    def check_graph(cls, settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
        """Refuse walks to hard negatives that don't fit; see :meth:`Network.check_graph`."""
        if (walks := settings.training.hard_walks) is not None:
            plan_steps(manifest, query.target.name, walks.cycle, walks.length)

    def learned_examples(self, examples: SplitExamples[Examples]) -> SplitExamples[Examples]:
        """What the network learns from, and what chooses its weights: here, the query's own examples.

        Args:
            examples: as they were labelled.
        """
        return examples

    @abstractmethod
    def link_source(self, lake: Lake, examples: SplitExamples[Examples], device: torch.device | None) -> Any:
        """Source of batches, a :class:`gnnscale.batches.LinkBatchSource`.

        Args:
            lake: of the query.
            examples: with targets.
            device: that trains; None where nothing is to be put there.
        """

    @abstractmethod
    def link_model(self, source: Any, named: NDArray[np.bool_], group: ProcessGroup | None = None) -> nn.Module:
        """The network with fresh weights, which follow the seed.

        Args:
            source: of its batches, or around any entities.
            named: which targets training examples name, ``[targets]``.
            group: processes that train together and share large tables of embeddings; None for plain tables.
        """

    @abstractmethod
    def links_anywhere(self) -> Any:
        """What :meth:`link_model` and :meth:`predictor` take to give batches around any entities."""

    @abstractmethod
    def predictor(self, model: nn.Module, source: Any, device: torch.device) -> LinkPredictor:
        """The network as a thing to rank with.

        Args:
            model: in evaluation mode, on the device.
            source: of its batches, or around any entities.
            device: of the model.
        """

    @abstractmethod
    def receptive_fields(self) -> tuple[ReceptiveField, ReceptiveField]:
        """What the network reads around a target, and around an entity.

        Raises:
            ConfigError: it may read anything.
        """

    def target_counts(self, source: Any, examples: SplitExamples[Examples]) -> NDArray[np.int64]:
        """How often each target is something to learn from, ``[targets]``: here, of how many training examples it is
        one.

        Args:
            source: of batches.
            examples: with targets.
        """
        targets = self.store.node_count(self.query.target.name)
        return np.bincount(examples.examples.take(examples.training).targets, minlength=targets)

    def link_objective(
        self, source: Any, examples: SplitExamples[Examples], loss: LinkLoss, counts: NDArray[np.int64]
    ) -> Objective[Any]:
        """What the network is trained on: here, to rank the targets of the examples.

        Args:
            source: of batches.
            examples: with targets.
            loss: that fits the network.
            counts: of :meth:`target_counts`.
        """
        targets, negatives = len(counts), self.negatives(counts)
        task, seed = self.query.task_type, self.settings.seed
        past = self.left_out(examples.examples)
        given = task, examples, negatives, loss, self.predictor_of(source), targets, seed, past
        return LinkObjective(*given, itself=self.entities_are_targets)

    @property
    def own_walks(self) -> WalkSettings | None:
        """What hard negatives are walked to by, where ``training.hard_walks`` is not given."""
        return None

    def left_out(self, examples: Examples) -> Callable[[NDArray[np.int64]], Ragged] | None:
        """What gives the targets that validation does not rank for some examples: here, where the query asks for new
        ones alone, those that their entities had by their anchors."""
        if not self.query.new_only:
            return None
        events = EntityEvents.read(self.store, self.query)
        return lambda rows: events.past(examples.entities[rows], examples.anchors[rows].astype(np.int64))

    def predictor_of(self, source: Any) -> Callable[[nn.Module], LinkPredictor]:
        """What makes a predictor of a network, on the device that it is on.

        Args:
            source: of its batches.
        """
        return lambda model: self.predictor(model, source, next(model.parameters()).device)

    def negatives(self, counts: NDArray[np.int64]) -> Negative:
        """What a positive is compared with.

        Args:
            counts: how often each target is one of the training examples, ``[targets]``.

        Raises:
            ConfigError: hard ones without walks.
        """
        settings, target = self.settings, self.query.target.name
        training = settings.training
        name, options = split_implementation(training.negative_strategy)
        sizes = training.negatives, training.negative_power, training.hard_ranks
        rule, walker = NegativeRule(name, *sizes, options=options), None
        if NEGATIVES.find(name).needs_walks:
            if (walks := training.hard_walks or self.own_walks) is None:
                raise ConfigError(
                    f"training.negative_strategy={name} needs training.hard_walks, whose cycle goes from the query's "
                    f"target '{target}' to itself"
                )
            walker = walk_sampler(settings, self.store, walks, target)
        features = self.store.features(target)
        return build_negatives(rule, counts, features, settings.seed, walker, threads=settings.sampling.threads)


class NodeNetwork(Network, ABC):
    """A network that gives each entity an answer."""

    @cached_property
    def features(self) -> EntityFeatures:
        """Point-in-time features of the query's entities."""
        settings = self.settings
        lake, threads = Lake(settings.lake.uri, settings.lake.storage_options), settings.sampling.threads
        return EntityFeatures.of_query(lake, settings.query.name, self.store, self.query, threads)

    @abstractmethod
    def node_source(
        self, lake: Lake, examples: SplitExamples[EntityExamples], shape: AnswerShape, device: torch.device | None
    ) -> Any:
        """Source of batches, a :class:`gnnscale.batches.BatchSource`.

        Args:
            lake: of the query.
            examples: with labels.
            shape: of the answers.
            device: that trains; None where nothing is to be put there.
        """

    @abstractmethod
    def node_model(self, source: Any, knowledge: NodeKnowledge, training: NDArray[np.int64] | None = None) -> nn.Module:
        """The network with fresh weights, which follow the seed.

        Args:
            source: of its batches, or around any entities.
            knowledge: of the training labels.
            training: row numbers of the source's training examples, which inputs may be scaled by; None where weights
                are read from a file.
        """

    @abstractmethod
    def nodes_anywhere(self, shape: AnswerShape) -> Any:
        """Source of batches around any entities, a :class:`gnnscale.batches.AnywhereSource`.

        Args:
            shape: of the answers.
        """

    def reads_year(self, anchors: NDArray[np.int32]) -> bool:
        """Whether the time of the year is an input, for training examples at these anchors."""
        return False


def find_network(settings: Settings, query: PredictiveQuery) -> type[Any]:
    """The class of the network that a configuration asks for.

    Args:
        settings: section ``model`` counts, and what a network has to have a use for.
        query: bound query, whose type decides where ``model.network`` is ``auto``.

    Raises:
        ConfigError: there is no such network, or it is not for the query's task type, or a value is not for it.
    """
    chosen, task = settings.model.network, query.task_type
    kind = LinkNetwork if task.predicts_links else NodeNetwork
    fitting = [network for network in candidate_networks(settings) if issubclass(network, kind)]
    if not fitting:
        able = [name for name in NETWORKS.names() if issubclass(NETWORKS.find(name), kind)]
        raise ConfigError(f"model.network={chosen} is not for {task}; allowed: auto, {', '.join(able)}")
    network: type[Any] = fitting[0]
    changed = changed_keys(settings)
    for key in () if task.predicts_links else LINK_KEYS:
        if key in changed:
            raise ConfigError(f"{key} is for queries that rank rows, and this one asks for {task}; leave it out")
    refuse_keys(changed, [network], chosen)
    network.check(settings)
    return network
