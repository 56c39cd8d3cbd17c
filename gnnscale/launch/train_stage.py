"""The train stage: Ray Train under an MLflow run, the model into the lake."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from gnnscale.config import Settings, bind_query
from gnnscale.lake import Lake
from gnnscale.launch.ray_train import Hear, train_with_ray
from gnnscale.loading import BatchBuilder
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore
from gnnscale.tracking import Run, progress_bar, start_run
from gnnscale.training import Outcome, save_model

CURVES = "curves_{query}"


def train_and_track(settings: Settings, lake: Lake, console: Console) -> str:
    """Train, save the model in the lake, and record it all.

    Returns:
        What was reached, in a few words.

    Raises:
        LakeError: labels are missing.
    """
    if not lake.exists(f"labels_{settings.query.name}"):
        raise LakeError(f"lake {lake.uri} holds no labels_{settings.query.name}; run the labels stage first")
    # What is wrong with the sampling or the model shows here, before any worker is started.
    store = GraphStore.open(lake, settings.lake.cache)
    BatchBuilder(store, bind_query(settings, store.manifest), settings.sampling, settings.model.siblings, settings.seed)
    with start_run(settings, lake) as run, progress_bar(console, "train", 1, "steps") as bar:
        run.log_parameters(settings.model_dump(mode="json", exclude={"tables", "lake", "spark"}))

        def hear(kind: str, figures: Mapping[str, float]) -> None:
            if kind == "step":
                bar.resize(int(figures["steps"]))
                loss = f"loss {figures['loss']:.3f}" if figures["loss"] == figures["loss"] else None
                bar.advance(1, loss)
            else:
                bar.say(
                    f"epoch {figures['epoch']:.0f}: validation MAP@10 {figures['map@10']:.4f}, "
                    f"Recall@20 {figures['recall@20']:.4f}, {figures['examples_per_second']:.0f} examples/s"
                )

        outcome = _train(settings, lake, hear)
        save_model(lake, settings.query.name, outcome)
        _record(run, lake, settings.query.name, outcome)
    return (
        f"epoch {outcome.best['epoch']:.0f} of {len(outcome.history)}, "
        f"validation MAP@10 {outcome.best['map@10']:.4f}, Recall@20 {outcome.best['recall@20']:.4f}"
    )


def _train(settings: Settings, lake: Lake, hear: Hear) -> Outcome:
    if not lake.local:
        return train_with_ray(settings, hear, f"{lake.uri}/_checkpoints")
    # Checkpoints serve this run alone; the best weights are kept in the lake.
    Path(lake.uri).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="_checkpoints-", dir=lake.uri) as folder:
        return train_with_ray(settings, hear, folder)


def _record(run: Run, lake: Lake, query: str, outcome: Outcome) -> None:
    run.log_curve([(step, {"train_loss": loss}) for step, loss in outcome.losses])
    for figures in outcome.history:
        run.log_metrics({f"validation_{name}": value for name, value in figures.items()}, int(figures["epoch"]))
    lake.write_record(CURVES.format(query=query), {"losses": outcome.losses, "validations": outcome.history})
