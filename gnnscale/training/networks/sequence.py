"""The sequence network: an entity by its latest actions in order of time, for links."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gnnscale.batches import (
    FEW_REPEATS,
    ActionLog,
    Examples,
    KnownActions,
    ReceptiveField,
    SequenceBuilder,
    SequenceObjective,
    SequenceSource,
    SplitExamples,
    read_around,
    share_of_repeated,
    stretches,
)
from gnnscale.config import Settings, read_options, split_implementation
from gnnscale.lake import Lake
from gnnscale.nn import LinkLoss, PositionVectors, ProcessGroup, ScoredLoss, SequenceTowers, build_lookup
from gnnscale.query import PredictiveQuery
from gnnscale.schema import LOSSES, NETWORKS, SEQUENCE_OBJECTIVES, ConfigError, GraphManifest
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.networks.network import LinkNetwork
from gnnscale.training.networks.sequence_columns import action_columns, action_path, positive_codes
from gnnscale.training.objectives.link_objective import link_selection
from gnnscale.training.objectives.objective import Objective
from gnnscale.training.objectives.ranking import validate_ranking
from gnnscale.training.objectives.sequence_training import SequenceTraining
from gnnscale.training.predictors.sequence_predictor import SequencePredictor

DEFAULT_OBJECTIVE = "dense_all_action"


def build_sequence_objective(settings: Settings) -> SequenceObjective:
    """What training asks, as a configuration says.

    Args:
        settings: ``training.objective`` and ``model.sequence`` count.

    Raises:
        ConfigError: actions would see those that they are asked for.
    """
    chosen = settings.training.objective
    name, options = split_implementation(DEFAULT_OBJECTIVE if chosen == "auto" else chosen)
    found = SEQUENCE_OBJECTIVES.find(name)
    if found.many and not settings.model.sequence.causal:
        single = [other for other in SEQUENCE_OBJECTIVES.names() if not SEQUENCE_OBJECTIVES.find(other).many]
        raise ConfigError(
            f"training.objective={name} asks at many positions of a sequence, whose answers stand in it: "
            f"model.sequence.causal=false is for {', '.join(single)}"
        )
    objective: SequenceObjective = found(read_options(SEQUENCE_OBJECTIVES.kind, name, found, options))
    return objective


def repeated_actions(settings: Settings, known: KnownActions) -> int:
    """Latest actions whose targets have scores of their own, 0 where none has.

    Args:
        settings: ``model.sequence`` and ``training.loss`` count.
        known: actions that training looks at.
    """
    sequence = settings.model.sequence
    if sequence.repeats is False or (sequence.repeats == "auto" and not _is_scored(settings)):
        return 0
    if sequence.repeats == "auto" and share_of_repeated(known) < FEW_REPEATS:
        return 0
    return most_repeated(settings)


def most_repeated(settings: Settings) -> int:
    """Latest actions whose targets may have scores of their own: those of a sequence at least, all of which are asked
    about."""
    sequence = settings.model.sequence
    return max(sequence.repeated_actions, sequence.length)


def check_repeats(settings: Settings) -> None:
    """See that what was had can have scores of its own, where that is wanted.

    Raises:
        ConfigError: the loss takes no scores.
    """
    if settings.model.sequence.repeats is True and not _is_scored(settings):
        name, _ = split_implementation(settings.training.loss)
        fitting = [other for other in LOSSES.names() if issubclass(LOSSES.find(other), ScoredLoss)]
        raise ConfigError(
            f"training.loss={name} knows no scores but those of vectors: model.sequence.repeats=true is for "
            f"{', '.join(fitting)}"
        )


def _is_scored(settings: Settings) -> bool:
    name, _ = split_implementation(settings.training.loss)
    # Of those for links, the first that fits sequences.
    return name == "auto" or issubclass(LOSSES.find(name), ScoredLoss)


def count_targets(known: KnownActions, targets: int) -> NDArray[np.int64]:
    """How often each target is an action that training may look at, int64 ``[targets]``.

    Args:
        known: actions.
        targets: their number.
    """
    counts = np.zeros(targets, np.int64)
    limits, first = known.limits, known.log.indptr
    for start in range(0, len(limits), 1 << 16):
        stop = min(len(limits), start + (1 << 16))
        _, places = stretches(first[start:stop], limits[start:stop])
        named = known.log.targets_at(places)
        counts += np.bincount(named[named >= 0], minlength=targets)
    return counts


@NETWORKS.register("sequence")
class SequenceNetwork(LinkNetwork):
    """:class:`gnnscale.nn.SequenceTowers` over the graph's own edges of an entity, which are in order of time."""

    outputs = PositionVectors
    uses: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "model.sequence": (),
        "training.objective": (),
        "training.source": ("memory",),
        "training.negative_strategy": ("shared", "in_batch", "mixed", "uniform", "popularity"),
        "training.sampler": ("auto", "cpu"),
        "training.feature_type": ("fp32",),
        "training.cuda_graphs": (False,),
        "embedding.method": ("sampled",),
        "sampling.strategy": ("last",),
    }
    ignores = (
        "model.channels",
        "model.feature_channels",
        "model.id_channels",
        "model.latest",
        "model.group_columns",
        "model.max_target_neighbors",
        "sampling.entity_hops",
        "sampling.target_hops",
    )

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Refuse widths and objectives that don't go together.

        Raises:
            ConfigError: naming them.
        """
        settings.model.sequence.check_widths(settings.model.hidden, settings.model.tower_channels)
        check_repeats(settings)
        build_sequence_objective(settings)

    @classmethod
    def check_graph(cls, settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
        """Refuse columns of the actions, or kinds of them, that don't fit; see :meth:`Network.check_graph`."""
        super().check_graph(settings, manifest, query)
        action_columns(settings.model.sequence, manifest, query)
        positive_codes(settings.model.sequence, manifest.table(query.event_table.name))

    @cached_property
    def log(self) -> ActionLog:
        """Of all entities, over the store's arrays.

        Raises:
            ConfigError: the query hides what would be read, events end, or a column is not there.
        """
        query, store = self.query, self.store
        categories, numbers = action_columns(self.settings.model.sequence, store.manifest, query)
        events, targets = (store.adjacency(edge_type) for edge_type in action_path(query))
        features = store.features(query.event_table.name)
        return ActionLog(
            events.indptr,
            events.neighbors,
            targets.indptr,
            targets.neighbors,
            events.times,
            (features.categorical, categories),
            (features.numerical, numbers),
        )

    def builder(self, repeated: int) -> SequenceBuilder:
        """Of its batches, with what entities have had in so many of their latest actions."""
        features = self.store.features(self.query.target.name)
        return SequenceBuilder(self.log, features, self.settings.model.sequence.length, repeated)

    def link_source(self, lake: Lake, examples: SplitExamples[Examples], device: torch.device | None) -> SequenceSource:
        """Sequences of all actions up to the first validation anchor, and of the examples up to their own."""
        known, own = examples.examples, examples.validation
        source = self._source(known, int(known.anchors[own].min()))
        source.check_sequences()
        return source

    def link_model(self, source: Any, named: NDArray[np.bool_], group: ProcessGroup | None = None) -> nn.Module:
        """The transformer and the targets' tower."""
        settings, model = self.settings, self.settings.model
        target = self.store.manifest.table(self.query.target.name)
        table = self.store.manifest.table(self.query.event_table.name)
        torch.manual_seed(settings.seed)
        assert self.log.codes is not None
        towers = SequenceTowers(
            model.sequence,
            target,
            tuple(len(table.categorical[column].categories) for column in self.log.codes[1]),
            self.log.times is not None,
            model.hidden,
            model.tower_channels,
            model.dropout,
            model.target_embedding,
            build_lookup(settings, target.rows, group),
            model.new_targets,
        )
        towers.learned.copy_(torch.from_numpy(named))
        towers.set_repeats(source.builder.repeated > 0)
        return towers

    def target_counts(self, source: SequenceSource, examples: SplitExamples[Examples]) -> NDArray[np.int64]:
        """How often each is an action that training may look at."""
        return count_targets(source.known, source.builder.catalogue)

    def link_objective(
        self,
        source: SequenceSource,
        examples: SplitExamples[Examples],
        loss: LinkLoss,
        counts: NDArray[np.int64],
    ) -> Objective[Any]:
        """Later actions at positions of sequences; validated by a full ranking for the validation examples."""
        task, predictor = self.query.task_type, self.predictor_of(source)

        def validation(model: nn.Module, own: SequenceSource, context: DistributedContext) -> dict[str, float]:
            found = predictor(model), own.build, examples.examples, examples.validation, len(counts)
            return validate_ranking(*found, task.validation, context)

        frequency = self.settings.model.sequence.frequency
        negatives = self.negatives(counts)
        return SequenceTraining(negatives, loss, frequency, len(counts), validation, link_selection(task))

    def links_anywhere(self) -> SequenceSource:
        """Sequences of any entities."""
        return self._source(Examples.unlabelled(np.zeros(0, np.int64), 0), None)

    def predictor(self, model: nn.Module, source: SequenceSource, device: torch.device) -> SequencePredictor:
        """Ranks by inner products."""
        assert isinstance(model, SequenceTowers)
        return SequencePredictor(model, source, device)

    def receptive_fields(self) -> tuple[ReceptiveField, ReceptiveField]:
        """Of a target no more than its row, and of an entity its latest actions and what they name."""
        path = action_path(self.query)
        sequence = self.settings.model.sequence
        most = most_repeated(self.settings) if sequence.repeats else sequence.length
        paths = {path[:1]: most, path: 1}
        return ReceptiveField(self.query.target.name), read_around(self.query.entity.name, paths, True, None)

    def _source(self, examples: Examples, until: int | None) -> SequenceSource:
        settings, log = self.settings, self.log
        everyone = np.arange(log.entities)
        # Whoever only predicts trains on nothing.
        limits = log.indptr[:-1] if until is None else log.end_at(everyone, np.full(log.entities, until))
        sequence = settings.model.sequence
        kinds = positive_codes(sequence, self.store.manifest.table(self.query.event_table.name))
        known = KnownActions(log, limits, until, sequence.length, kinds)
        ends = log.end_at(examples.entities, examples.anchors)
        objective = build_sequence_objective(settings)
        # Whoever only predicts is told by the network whether it counts.
        told = until is None and sequence.repeats is not False
        repeated = most_repeated(settings) if told else repeated_actions(settings, known)
        return SequenceSource(
            self.builder(repeated), known, objective, examples, ends, settings.training.batch_size, settings.seed
        )
