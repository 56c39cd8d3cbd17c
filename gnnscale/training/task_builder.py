"""The training task that a query's type asks for."""

from __future__ import annotations

from gnnscale.batches import BatchBuilder, read_answer_shape, read_entity_examples, read_examples
from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.nn import EntityObjective, TargetTransform, build_entity_batches
from gnnscale.query import PredictiveQuery, Split
from gnnscale.schema import DataError
from gnnscale.store import GraphStore
from gnnscale.training.block_task_builder import build_block_task
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.entity_task import EntityTask
from gnnscale.training.entity_validation import kept_metric
from gnnscale.training.link_task import LinkTask
from gnnscale.training.task import ModelSelection, TrainingTask


def check_task(settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery) -> None:
    """Raise what :func:`build_task` would of the configuration, without building a network."""
    if settings.model.network == "blocks":
        # Its network is small beside the graph, and what does not fit shows as it is built.
        build_block_task(settings, lake, store, query)
        return
    if query.task_type.predicts_links:
        BatchBuilder(store, query, settings.sampling, settings.model.group_columns, settings.seed)
        return
    build_entity_batches(settings, query, store)
    EntityObjective(read_answer_shape(lake, settings.query.name).task, TargetTransform(), settings.training.loss)


def kept_of(lake: Lake, name: str, query: PredictiveQuery) -> ModelSelection:
    """The validation metric that decides which weights of a query are kept.

    Args:
        lake: holds its labels.
        name: of the query.
        query: bound query.
    """
    if query.task_type.predicts_links:
        return LinkTask.kept
    return kept_metric(read_answer_shape(lake, name), query.top)


def build_task(
    settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, place: DistributedContext | None = None
) -> TrainingTask:
    """Examples, network and objective of a query.

    Args:
        settings: names the query.
        lake: holds its labels.
        store: of the graph.
        query: bound query.
        place: of this process.

    Raises:
        LakeError: the label stage did not run.
        DataError: a split is empty.
        ConfigError: sampling, model or loss don't fit the query.
    """
    if settings.model.network == "blocks":
        return build_block_task(settings, lake, store, query, place)
    name, origin = settings.query.name, store.manifest.origin
    if query.task_type.predicts_links:
        training, validation = (read_examples(lake, name, s, origin) for s in (Split.TRAIN, Split.VALIDATION))
        return LinkTask(settings, store, query, training, validation, place)
    shape = read_answer_shape(lake, name)
    splits = {s: read_entity_examples(lake, name, s, origin) for s in (Split.TRAIN, Split.VALIDATION)}
    for split, examples in splits.items():
        if len(examples) == 0:
            raise DataError(f"labels_{name} holds no {split} example")
    return EntityTask(settings, store, query, shape, splits[Split.TRAIN], splits[Split.VALIDATION], place)
