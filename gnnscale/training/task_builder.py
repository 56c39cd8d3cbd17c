"""The task that a configuration and a query ask for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from gnnscale.batches import EntityEvents, read_answer_shape, root_edges, split_answers, split_links
from gnnscale.config import Settings, ignored_keys, mode_values
from gnnscale.lake import Lake
from gnnscale.nn import LinkLoss, NodeLoss, ProcessGroup, choose_loss
from gnnscale.query import WINDOW, PredictiveQuery, TaskSpec
from gnnscale.schema import GraphManifest
from gnnscale.store import GraphStore
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.networks.network import LinkNetwork, NodeNetwork, find_network
from gnnscale.training.objectives.link_objective import link_selection
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.objectives.node_objective import NodeObjective
from gnnscale.training.objectives.node_validation import selection_of
from gnnscale.training.objectives.objective import ModelSelection, Objective
from gnnscale.training.task import Task
from gnnscale.training.train_result import TrainResult

Hear = Callable[[str, Mapping[str, float]], None]
"""Called with ``step`` or ``validation`` and the figures."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskParts:
    """All of a task but its weights.

    Args:
        source: of batches.
        objective: of its examples.
        model: makes the network with fresh weights, for a process.
        peak_rate: of learning; see :class:`Task`.
    """

    source: Any
    objective: Objective[Any]
    model: Callable[[DistributedContext], nn.Module]
    peak_rate: Callable[[int], float]


def build_task(
    settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, context: DistributedContext | None = None
) -> Task[Any]:
    """Examples, source of batches, network and objective of a query.

    Args:
        settings: names the query.
        lake: holds its labels, and its shards where ``training.source`` is ``shards``.
        store: of the graph.
        query: bound query.
        context: of this process.

    Raises:
        LakeError: labels or shards are missing.
        DataError: a split is empty.
        ConfigError: sampling, network, negatives or loss don't fit the query.
    """
    context = context or DistributedContext()
    network = find_network(settings, query)(settings, store, query)
    network.host_processes = context.host_workers
    parts = _parts(network, lake, context.device)
    return Task(parts.source, parts.model(context), parts.objective, context, parts.peak_rate)


def check_task(settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery) -> None:
    """Raise what :func:`build_task` would of the configuration, without building a network or taking a device.

    What is of no use to the network is logged.
    """
    network = find_network(settings, query)(settings, store, query)
    if network.fits_at_once:
        network.check_fit(lake)
    else:
        _parts(network, lake, None)
    if ignored := ignored_keys(settings, network, mode_values()):
        log.warning("model.network=%s has no use for %s", network.name, ", ".join(ignored))


def check_graph(settings: Settings, manifest: GraphManifest, query: PredictiveQuery) -> None:
    """Raise what :func:`check_task` would where neither arrays nor labels are needed to see it.

    Args:
        settings: ``model``, ``sampling`` and ``training`` count.
        manifest: of the graph.
        query: bound query.

    Raises:
        ConfigError: the network is not for the query, or fan-outs, walks or columns that are named don't fit the graph.
    """
    find_network(settings, query).check_graph(settings, manifest, query)


def fits_at_once(settings: Settings, query: PredictiveQuery) -> bool:
    """Whether :func:`fit_at_once` trains what a configuration asks for, and not the training loop."""
    found: bool = find_network(settings, query).fits_at_once
    return found


def fit_at_once(settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, hear: Hear) -> TrainResult:
    """Train what is fitted as a whole, in this process.

    Args:
        settings: names the query.
        lake: holds its labels.
        store: of the graph.
        query: bound query.
        hear: called with ``step`` or ``validation`` and the figures.

    Raises:
        LakeError: labels are missing.
        DataError: a split is empty.
        ConfigError: the loss does not fit the query.
    """
    fitted: TrainResult = find_network(settings, query)(settings, store, query).fit(lake, hear)
    return fitted


def find_selection(lake: Lake, name: str, query: PredictiveQuery) -> ModelSelection:
    """The validation metric that decides which weights of a query are kept.

    Args:
        lake: holds its labels.
        name: of the query.
        query: bound query.
    """
    if query.task_type.predicts_links:
        return link_selection(query.task_type)
    return selection_of(read_answer_shape(lake, name), query.top)


def _parts(network: Any, lake: Lake, device: torch.device | None) -> TaskParts:
    return (_link_parts if network.query.task_type.predicts_links else _node_parts)(network, lake, device)


def _link_parts(network: LinkNetwork, lake: Lake, device: torch.device | None) -> TaskParts:
    settings, store, query = network.settings, network.store, network.query

    def fits(loss: type[Any]) -> bool:
        return issubclass(loss, LinkLoss) and issubclass(network.outputs, loss.outputs)

    what = f"{query.task_type} by model.network={network.name}"
    kind, options = choose_loss(settings.training.loss, fits, what, query.task_type.losses)
    loss = kind(options, settings.training.rank_depth)
    name, origin = settings.query.name, store.manifest.origin
    examples = network.learned_examples(split_links(network.labels(lake), name, origin, named=loss.one_positive))
    if (roots := settings.sampling.roots) is not None:
        window = query.aggregate.window or WINDOW
        examples = root_edges(examples, roots, EntityEvents.read(store, query), window, origin)
    source = network.link_source(lake, examples, device)
    counts = network.target_counts(source, examples)
    objective = network.link_objective(source, examples, loss, counts)

    def model(context: DistributedContext) -> nn.Module:
        group = ProcessGroup(context.rank, context.workers, context.device)
        return network.link_model(source, counts > 0, group)

    return TaskParts(source, objective, model, network.peak_rate)


def _node_parts(network: NodeNetwork, lake: Lake, device: torch.device | None) -> TaskParts:
    settings, store, query = network.settings, network.store, network.query
    name, origin = settings.query.name, store.manifest.origin
    shape = read_answer_shape(lake, name)
    examples = split_answers(network.labels(lake), name, origin, shape)
    training = examples.training
    yearly = network.reads_year(examples.examples.anchors[training])
    knowledge = NodeKnowledge.fit(shape, examples.examples.values[training], yearly)
    loss = choose_node_loss(settings, shape.task)
    source = network.node_source(lake, examples, shape, device)
    objective = NodeObjective(knowledge, loss, examples.examples.values, examples.validation, query.top)
    return TaskParts(
        source, objective, lambda context: network.node_model(source, knowledge, training), network.peak_rate
    )


def choose_node_loss(settings: Settings, task: TaskSpec) -> NodeLoss:
    """The loss of a node-level task.

    Args:
        settings: ``training.loss`` counts.
        task: which says what outputs are, and which losses come first.

    Raises:
        ConfigError: it does not fit the task.
    """

    def fits(loss: type[Any]) -> bool:
        return issubclass(loss, NodeLoss) and task.head in loss.heads

    kind, options = choose_loss(settings.training.loss, fits, str(task), task.losses)
    return cast(NodeLoss, kind(options))
