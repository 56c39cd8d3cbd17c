"""The train stage: Ray Train under an MLflow run, the model into the lake."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from gnnscale.config import Settings, build_settings, with_values
from gnnscale.lake import Lake
from gnnscale.pipeline.stages.open_graph import open_graph
from gnnscale.pipeline.workers.hyperparameter_search import SEARCH, choose_trials, search_settings
from gnnscale.pipeline.workers.ray_train import Hear, stop_ray, train_with_ray
from gnnscale.schema import LakeError
from gnnscale.tracking import Run, progress_bar, start_run
from gnnscale.training import THROUGHPUT, TrainResult, check_task, metrics_in_words, save_model, throughput_in_words

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
    check_task(settings, lake, *open_graph(settings, lake, edges=settings.training.source == "memory"))
    try:
        with start_run(settings, lake) as run:
            run.log_parameters(settings.model_dump(mode="json", exclude={"tables", "lake", "spark"}))
            if settings.search.space:
                with progress_bar(console, "search", len(choose_trials(settings)), "trials") as bar:
                    settings = search_settings(settings, lake, run, bar)
            return _train_and_record(settings, lake, console, run)
    finally:
        stop_ray()


def trained_settings(settings: Settings, lake: Lake) -> Settings:
    """The configuration that the lake's model was trained with: what a search chose stands in place of its lists."""
    record = lake.read_record(SEARCH.format(query=settings.query.name)) if settings.search.space else None
    if record is None:
        return settings
    return build_settings(with_values(settings.model_dump(mode="json"), record["chosen"]))


def _train_and_record(settings: Settings, lake: Lake, console: Console, run: Run) -> str:
    speeds: list[tuple[int, Mapping[str, float]]] = []
    with progress_bar(console, "train", 1, "steps") as bar:

        def hear(kind: str, figures: Mapping[str, float]) -> None:
            if kind == "step":
                bar.resize(int(figures["steps"]))
                recorded = "seeds_per_second" in figures
                note = f"loss {figures['loss']:.3f}, {throughput_in_words(figures)}" if recorded else None
                bar.advance(1, note)
                if recorded:
                    told = {name: figures[name] for name in THROUGHPUT if name in figures}
                    speeds.append((int(figures["step"]), told))
            else:
                words = f"{metrics_in_words(figures)}, {throughput_in_words(figures)}"
                bar.say(f"epoch {figures['epoch']:.0f}: validation {words}")

        outcome = _train(settings, lake, hear)
        save_model(lake, settings.query.name, outcome)
        run.log_curve(speeds)
        _record(run, lake, settings.query.name, outcome)
    return f"epoch {outcome.best['epoch']:.0f} of {len(outcome.history)}, validation {metrics_in_words(outcome.best)}"


def _train(settings: Settings, lake: Lake, hear: Hear) -> TrainResult:
    if not lake.local:
        return train_with_ray(settings, hear, f"{lake.uri}/_checkpoints")
    # Checkpoints serve this run alone; the best weights are kept in the lake.
    Path(lake.uri).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="_checkpoints-", dir=lake.uri) as folder:
        return train_with_ray(settings, hear, folder)


def _record(run: Run, lake: Lake, query: str, outcome: TrainResult) -> None:
    run.log_curve([(step, {"train_loss": loss}) for step, loss in outcome.losses])
    for figures in outcome.history:
        run.log_metrics({f"validation_{name}": value for name, value in figures.items()}, int(figures["epoch"]))
    curves = {"losses": outcome.losses, "validations": outcome.history, "kept": outcome.kept}
    lake.write_record(CURVES.format(query=query), curves)
