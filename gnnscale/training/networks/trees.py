"""Boosted trees on point-in-time features in the place of a network: for answers, and for links."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gnnscale.batches import (
    AnswerShape,
    EntityExamples,
    Examples,
    ReceptiveField,
    SplitExamples,
    read_answer_shape,
    split_answers,
    split_links,
)
from gnnscale.config import split_implementation
from gnnscale.features import ClassFeatures, PairFeatures
from gnnscale.lake import Lake
from gnnscale.metrics import validate_task
from gnnscale.nn import ProcessGroup
from gnnscale.sampling import permutation, stream_key
from gnnscale.schema import NETWORKS, ConfigError
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.networks.network import LinkNetwork, NodeNetwork
from gnnscale.training.objectives.link_objective import link_selection
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.objectives.node_validation import selection_of
from gnnscale.training.objectives.ranking import validate_ranking
from gnnscale.training.predictors.link_predictor import ScoredEntities
from gnnscale.training.train_result import TrainResult
from gnnscale.training.trees.boosted_trees import BoostedTrees
from gnnscale.training.trees.link_model import LinkTrees, LinkTreesPredictor, PairFeatureSource
from gnnscale.training.trees.link_rows import fit_links
from gnnscale.training.trees.node_model import FeatureSource, TreesModel
from gnnscale.training.trees.tree_loss import TreeLoss

Hear = Callable[[str, Mapping[str, float]], None]
"""Called with ``step`` and ``validation``, and the figures."""


@NETWORKS.register("trees")
class TreesNetwork(LinkNetwork, NodeNetwork):
    """LightGBM on :class:`gnnscale.features.EntityFeatures`; for links on :class:`gnnscale.features.PairFeatures`."""

    fits_at_once = True
    outputs = ScoredEntities
    uses: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "sampling.strategy": ("last", "uniform", "weighted"),
        "training.source": ("memory",),
        "training.sampler": ("auto", "cpu"),
        "training.feature_type": ("fp32",),
        "training.cuda_graphs": (False,),
        "embedding.method": ("sampled",),
    }
    ignores = (
        *("model.channels", "model.hidden", "model.dropout", "model.latest"),
        *("model.group_columns", "model.id_channels", "model.tower_channels", "model.target_embedding"),
        *(
            "model.sharded_lookup_rows",
            "model.new_targets",
            "model.max_target_neighbors",
            "sampling.target_hops",
            "sampling.entity_hops",
        ),
        *("training.negatives", "training.negative_power", "training.epochs", "training.batch_size"),
        *("training.learning_rate", "training.patience", "training.warmup_steps"),
    )

    @cached_property
    def pairs(self) -> PairFeatures:
        """Of the query's entities and targets."""
        return PairFeatures(self.store, self.query, self.settings.sampling.threads)

    def node_source(
        self, lake: Lake, examples: SplitExamples[EntityExamples], shape: AnswerShape, device: torch.device | None
    ) -> FeatureSource:
        """Features of the examples."""
        return self._source(shape, examples.examples)

    def nodes_anywhere(self, shape: AnswerShape) -> FeatureSource:
        """Features of any entities."""
        return self._source(shape, EntityExamples.unlabelled(np.zeros(0, np.int64), 0))

    def node_model(
        self, source: FeatureSource, knowledge: NodeKnowledge, training: NDArray[np.int64] | None = None
    ) -> TreesModel:
        """Trees that are not grown yet."""
        settings, shape = self.settings, knowledge.shape
        options = settings.model.trees
        trees = BoostedTrees(shape.task, len(shape.classes), settings.seed, options, options.max_rows, self._loss)
        return TreesModel(trees, knowledge, source.features.names)

    def check_fit(self, lake: Lake) -> None:
        """Refuse a loss that the task has none of.

        Raises:
            ConfigError: naming it, and what is allowed.
        """
        if self.query.task_type.predicts_links:
            if self._loss.name != "auto":
                raise ConfigError(f"training.loss={self._loss.name} is not for trees of links; allowed: auto")
            return
        self._loss.objectives(read_answer_shape(lake, self.settings.query.name).task)

    @property
    def _loss(self) -> TreeLoss:
        name, options = split_implementation(self.settings.training.loss)
        return TreeLoss(name, **options)

    def link_source(
        self, lake: Lake, examples: SplitExamples[Examples], device: torch.device | None
    ) -> PairFeatureSource:
        """Features of the examples' candidates."""
        return self._pairs(examples.examples)

    def links_anywhere(self) -> PairFeatureSource:
        """Features of any entities' candidates."""
        return self._pairs(Examples.unlabelled(np.zeros(0, np.int64), 0))

    def link_model(self, source: Any, named: NDArray[np.bool_], group: ProcessGroup | None = None) -> LinkTrees:
        """Trees that are not grown yet."""
        return LinkTrees(source.features.names)

    def predictor(self, model: nn.Module, source: PairFeatureSource, device: torch.device) -> LinkTreesPredictor:
        """Ranks candidates by the trees, and all else by popularity."""
        assert isinstance(model, LinkTrees)
        return LinkTreesPredictor(model, source, device)

    def receptive_fields(self) -> tuple[ReceptiveField, ReceptiveField]:
        """None that could be told.

        Raises:
            ConfigError: always: the features of a target are made of everybody's events.
        """
        raise ConfigError(
            "embedding.only_changed is not for model.network=trees: what is popular changes with every event"
        )

    def fit(self, lake: Lake, hear: Hear) -> TrainResult:
        """Grow the trees.

        Args:
            lake: holds the labels.
            hear: called with ``step`` and ``validation``, and the figures.
        """
        return self._fit_links(lake, hear) if self.query.task_type.predicts_links else self._fit_nodes(lake, hear)

    def _fit_links(self, lake: Lake, hear: Hear) -> TrainResult:
        name, options = self.settings.query.name, self.settings.model.trees
        examples = split_links(self.labels(lake), name, self.store.manifest.origin, named=True)
        source = self.link_source(lake, examples, None)
        model = self.link_model(source, np.zeros(0, bool))
        losses: list[tuple[int, float]] = []

        def told(trees: int, loss: float) -> None:
            losses.append((trees, loss))
            hear("step", {"step": trees, "steps": options.rounds, "loss": loss})

        context = DistributedContext()
        predictor = self.predictor(model, source, context.device)
        rows, count = examples.validation, self.store.node_count(self.query.target.name)
        metrics, figures = self.query.task_type.validation, {"epoch": 1.0}

        def validate() -> None:
            found = validate_ranking(predictor, source.build, examples.examples, rows, count, metrics, context)
            figures.update(found | {"loss": losses[-1][1] if losses else float("nan")})
            hear("validation", figures)

        seen = fit_links(model, source, examples, options, self.settings.seed, told, validate)
        kept = link_selection(self.query.task_type).metric
        return TrainResult(model.state_dict(), figures, [figures], losses, kept, {}, seen)

    def _fit_nodes(self, lake: Lake, hear: Hear) -> TrainResult:
        name = self.settings.query.name
        shape = read_answer_shape(lake, name)
        examples = split_answers(self.labels(lake), name, self.store.manifest.origin, shape)
        values, validation = examples.examples.values, examples.validation
        training = self._kept(examples.training)
        knowledge = NodeKnowledge.fit(shape, values[training])
        source = self.node_source(lake, examples, shape, None)
        model = self.node_model(source, knowledge)
        losses: list[tuple[int, float]] = []
        rounds = self.settings.model.trees.rounds

        def told(trees: int, loss: float) -> None:
            losses.append((trees, loss))
            hear("step", {"step": trees, "steps": rounds, "loss": loss})

        learned, judged = source.table(training), source.table(validation)
        model.trees.fit(learned, values[training], (judged, values[validation]), told)
        scores = knowledge.predict(model(judged.batch())).numpy()
        figures = validate_task(shape.task, scores, values[validation], self.query.top)
        figures |= {"epoch": 1.0, "loss": losses[-1][1] if losses else float("nan")}
        hear("validation", figures)
        if self.settings.model.trees.refit:
            model.before_refit()
            rows = np.concatenate([training, validation])
            model.trees.refit(source.table(rows), values[rows])
        kept = selection_of(shape, self.query.top).metric
        state = model.state_dict()
        return TrainResult(state, figures, [figures], losses, kept, knowledge.to_dict(), len(training))

    def _pairs(self, examples: Examples) -> PairFeatureSource:
        return PairFeatureSource(self.pairs, self.store.features(self.query.target.name), examples, self.settings)

    def _source(self, shape: AnswerShape, examples: EntityExamples) -> FeatureSource:
        pairs = ClassFeatures.find(self.store, self.query, shape.classes) if shape.classes else None
        return FeatureSource(self.features, pairs, examples)

    def _kept(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        most = self.settings.model.trees.max_rows
        if len(rows) <= most:
            return rows
        return np.sort(rows[permutation(stream_key(self.settings.seed, 0, "trees"), len(rows))[:most]])
