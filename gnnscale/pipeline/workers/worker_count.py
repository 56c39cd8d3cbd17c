"""How many workers train, where the configuration leaves that open."""

from __future__ import annotations

from typing import Final

from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.query import Split, find_task

SMALL: Final = 25_000
"""Examples of all epochs up to which one process trains: worked out from some hundred examples a second and the some
twenty seconds that Ray takes to start, not measured at the border."""

SHARE: Final = 64
"""Examples of a batch that a worker on cores takes at least: two workers for the default batch of 128."""


def count_workers(settings: Settings, lake: Lake, gpus: int, cores: int) -> int:
    """Workers that ``training.workers`` asks for; ``auto`` takes what there is work for.

    That is one for few examples, else one a GPU and, where there is none or ``training.gpu`` is ``no``, as many as have
    :data:`SHARE` examples of each batch, at most one a core. Where ``training.max_workers`` is given, training begins
    with one and takes what there is room for.

    Args:
        settings: of the training.
        lake: holds the labels.
        gpus: that there are for it.
        cores: likewise.
    """
    training = settings.training
    if training.workers != "auto":
        return training.workers
    if training.max_workers is not None or _examples(settings, lake) <= SMALL:
        return 1
    if gpus and training.gpu != "no":
        return gpus
    return max(1, min(cores, training.batch_size // SHARE))


def _examples(settings: Settings, lake: Lake) -> int:
    """Of all epochs together; none where the lake does not say."""
    record = lake.read_record(f"task_{settings.query.name}") or {}
    labelled: int = record.get("splits", {}).get(str(Split.TRAIN), {}).get("examples", 0)
    if "task" in record and not find_task(record["task"]).predicts_links:
        labelled = min(labelled, settings.training.max_examples)
    return settings.training.epochs * labelled
