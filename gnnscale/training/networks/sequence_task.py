"""The sequence network on actions that are in memory, without a graph and a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gnnscale.batches import Examples, KnownActions, SequenceBuilder, SequenceSource
from gnnscale.config import Settings, split_implementation
from gnnscale.nn import LinkLoss, SequenceTowers, choose_loss
from gnnscale.query import TEMPORAL_LINK_PREDICTION
from gnnscale.sampling import NegativeRule, build_negatives
from gnnscale.schema import FeatureManifest, TableManifest
from gnnscale.store import NodeFeatures
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.networks.sequence import (
    SequenceNetwork,
    build_sequence_objective,
    check_repeats,
    count_targets,
    repeated_actions,
)
from gnnscale.training.objectives.objective import ModelSelection
from gnnscale.training.objectives.sequence_training import SequenceTraining, Validation
from gnnscale.training.task import Task


def build_sequence_task(
    settings: Settings,
    known: KnownActions,
    features: NodeFeatures,
    validation: Validation,
    selection: ModelSelection,
    examples: Examples | None = None,
    context: DistributedContext | None = None,
    columns: Sequence[FeatureManifest] = (),
) -> Task[SequenceSource]:
    """Training sequences of a log, the network, and a validation.

    Args:
        settings: ``model`` and ``training`` count, and the seed.
        known: actions that training may look at.
        features: of the targets.
        validation: metrics of a network.
        selection: which validation is the best.
        examples: that batches can be built of by their row numbers, up to their anchors.
        context: of this process; default: alone, on the CPU.
        columns: what the columns of the targets' features are; where there are any, a target's vector is made of them
            beside its own.

    Raises:
        ConfigError: objective, loss or negatives don't fit the network.
        DataError: there is nothing to train on.
    """
    log, training, seed = known.log, settings.training, settings.seed
    examples = examples or Examples.unlabelled(np.zeros(0, np.int64), 0)
    check_repeats(settings)
    builder = SequenceBuilder(log, features, known.length, repeated_actions(settings, known))
    asked = build_sequence_objective(settings)
    ends = log.end_at(examples.entities, examples.anchors)
    source = SequenceSource(builder, known, asked, examples, ends, training.batch_size, seed)
    source.check_sequences()
    counts = count_targets(known, builder.catalogue)

    def fits(loss: type[Any]) -> bool:
        return issubclass(loss, LinkLoss) and issubclass(SequenceNetwork.outputs, loss.outputs)

    kind, options = choose_loss(training.loss, fits, "model.network=sequence", TEMPORAL_LINK_PREDICTION.losses)
    name, given = split_implementation(training.negative_strategy)
    rule = NegativeRule(name, training.negatives, training.negative_power, training.hard_ranks, options=given)
    negatives = build_negatives(rule, counts, features, seed, threads=settings.sampling.threads)
    model = settings.model
    torch.manual_seed(seed)
    towers = SequenceTowers(
        model.sequence,
        TableManifest("items", builder.catalogue, None, tuple(columns)),
        (),
        log.times is not None,
        model.hidden,
        model.tower_channels,
        model.dropout,
        "fusion" if columns else "lookup",
    )
    towers.learned.copy_(torch.from_numpy(counts > 0))
    towers.set_repeats(builder.repeated > 0)
    frequency = model.sequence.frequency
    objective = SequenceTraining(negatives, kind(options), frequency, len(counts), validation, selection)
    return Task(source, towers, objective, context)
