"""Train the sequence network on a file of interactions and judge it by the last item of each user."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gnnscale.batches import KnownActions, SequenceSource
from gnnscale.config import SequenceRecipeSettings
from gnnscale.evaluation.leave_last_out.ordered_items import OrderedItems, read_ordered_items
from gnnscale.evaluation.leave_last_out.protocol import Scores, list_figures, rank_last
from gnnscale.lake import Lake, fingerprint, local_path
from gnnscale.metrics import Interval, bootstrap_means, percentile_interval
from gnnscale.nn import SequenceTowers
from gnnscale.schema import ConfigError
from gnnscale.store import NodeFeatures
from gnnscale.training import (
    Callback,
    DistributedContext,
    ModelSelection,
    SequencePredictor,
    Task,
    Trainer,
    build_sequence_task,
    read_checkpoint,
    write_checkpoint,
)

log = logging.getLogger(__name__)

RECORD = "leave_last_out"
"""Record of the figures in the lake."""


@dataclass(frozen=True)
class ProtocolResult:
    """What came of it.

    Args:
        figures: mean of each metric over the test rows; those of lists of sampled items begin with ``sampled_``.
        intervals: of each, at 95 %.
        validation: figures of the best validation, by which the weights were chosen.
        users: that were tested.
        items: of the catalogue.
        epochs: that were trained.
        seconds: an epoch took on average, its validation included.
    """

    figures: dict[str, float]
    intervals: dict[str, Interval]
    validation: dict[str, float]
    users: int
    items: int
    epochs: int
    seconds: float


class _Kept(Callback):
    """Keeps the state of the training after each epoch, for a run that goes on where one was killed."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self.digest, self.seconds, self._started = path, digest, 0.0, time.monotonic()

    def resume(self) -> dict[str, Any] | None:
        """The state that a run of the same configuration left."""
        if not self.path.exists():
            return None
        saved = read_checkpoint(self.path)
        if saved["digest"] != self.digest:
            return None
        self.seconds = saved["seconds"]
        state: dict[str, Any] = saved["state"]
        return state

    def on_step(self, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def on_checkpoint(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Nothing: an epoch is short."""

    def on_validation(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Keep the state."""
        now = time.monotonic()
        self.seconds, self._started = self.seconds + now - self._started, now
        shown = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
        log.info("%s, %.1f s so far", shown, self.seconds)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = self.path.with_suffix(".new")
        write_checkpoint({"digest": self.digest, "seconds": self.seconds, "state": dict(checkpoint)}, whole)
        whole.replace(self.path)


def run_leave_last_out(settings: SequenceRecipeSettings) -> ProtocolResult:
    """Train on the rows that train, choose weights by the validation rows, and look at the test rows once.

    Args:
        settings: of the recipe.

    Raises:
        ConfigError: another network than ``sequence``, or a lake that is no folder.
        DataError: the file does not fit.
    """
    if settings.model.network != "sequence":
        raise ConfigError(f"model.network={settings.model.network} reads no interactions; set it to sequence")
    lake = Lake(settings.lake.uri)
    folder = local_path(lake.uri)
    if folder is None:
        raise ConfigError(f"lake.uri={lake.uri} is no local folder, which leave-last-out keeps its training in")
    data = read_ordered_items(settings)
    task = build_protocol_task(settings, data)
    digest = fingerprint(settings.model_dump(mode="json", exclude={"lake", "tracking"}))
    kept = _Kept(Path(folder) / "_leave_last_out" / "training.pt", digest)
    resume = kept.resume()
    result = Trainer(settings.of_training(), task, task.context, kept).run(resume)
    task.model.load_state_dict(result.weights)
    ranks = rank_last(
        _scores(task.model.eval(), task.source),
        data.log,
        data.users,
        data.test,
        settings.seen,
        settings.negatives,
        settings.seed,
    )
    values = list_figures(ranks[0], settings.length)
    if settings.negatives:
        values |= {f"sampled_{name}": each for name, each in list_figures(ranks[1], settings.length).items()}
    means = bootstrap_means(np.stack(list(values.values()), axis=1), settings.resamples, settings.seed)
    epochs = len(result.history)
    found = ProtocolResult(
        {name: float(each.mean()) for name, each in values.items()},
        {name: percentile_interval(means[:, column]) for column, name in enumerate(values)},
        result.best,
        len(data.users),
        data.items,
        epochs,
        kept.seconds / max(1, epochs),
    )
    lake.write_record(RECORD, {"figures": found.figures, "validation": found.validation, "epochs": epochs})
    return found


def build_protocol_task(settings: SequenceRecipeSettings, data: OrderedItems) -> Task[SequenceSource]:
    """Sequences of the rows that train, the network, and a validation that ranks the validation rows' items.

    Args:
        settings: as in :func:`run_leave_last_out`.
        data: of the file.
    """
    none = np.zeros((data.items, 0), np.float32)
    features = NodeFeatures(none, none.astype(np.int32), np.zeros(data.items, np.int32))
    until = None if data.log.times is None else int(data.log.times.max(initial=0))
    known = KnownActions(data.log, data.train, until, settings.model.sequence.length)

    def validate(network: nn.Module, own_source: SequenceSource, context: DistributedContext) -> dict[str, float]:
        scores = _scores(network, own_source)
        ranks, _ = rank_last(scores, data.log, data.users, data.validation, settings.seen)
        return {name: float(each.mean()) for name, each in list_figures(ranks, settings.length).items()}

    selection = ModelSelection(f"ndcg@{settings.length}")
    gpu = settings.training.gpu != "no" and torch.cuda.is_available()
    context = DistributedContext(device=torch.device("cuda" if gpu else "cpu"))
    return build_sequence_task(settings.of_training(), known, features, validate, selection, context=context)


def _scores(model: nn.Module, source: SequenceSource) -> Scores:
    assert isinstance(model, SequenceTowers)
    predictor = SequencePredictor(model, source, next(model.parameters()).device)
    items = predictor.target_batch(np.arange(source.builder.catalogue), 0)

    def scores(users: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float32]:
        found = predictor.score_entities(source.builder.build(users, places))
        every: NDArray[np.float32] = found.vectors @ predictor.encode_targets(items).T
        every[np.repeat(np.arange(len(users)), found.counts), found.targets] = found.scores
        return every

    return scores
