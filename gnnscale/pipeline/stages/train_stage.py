"""The train stage: Ray Train, or this process alone, under an MLflow run, and the model into the lake."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

# Doors that are lazy: a stage is known, and skipped, without torch and Ray.
from gnnscale import evaluation, tracking, training
from gnnscale.arrays import scratch_folder
from gnnscale.config import Settings, build_settings, kept_content, with_values
from gnnscale.lake import Lake, StageRecord, from_portable, read_stage, to_portable
from gnnscale.pipeline import workers
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.stages.label_stage import LabelStage
from gnnscale.pipeline.stages.shard_stage import ShardStage
from gnnscale.pipeline.stages.stage import Stage
from gnnscale.schema import LakeError
from gnnscale.tracking import progress_bar

if TYPE_CHECKING:
    from gnnscale.tracking import Run
    from gnnscale.training import TrainResult

log = logging.getLogger(__name__)

CURVES = "curves_{query}"
"""Record of the training loss and the validations."""

TRAINED = "trained_{query}"
"""Record of the whole configuration that the model was trained with and answers by."""

ANSWERING: Final = ("anchors", "embedding", "retrieval")
"""Sections that the model answers by, and that a stage after the training may be given anew."""

OUTSIDE: Final = ("lake", "warehouse", "spark", "publish", "tracking")
"""Sections that belong to the place where the model is used, and not to the model."""

Hear = Callable[[str, Mapping[str, float]], None]
"""Called with ``step`` or ``validation`` and the figures."""


class ModelStage(Stage):
    """A stage that the trained model takes part in."""

    tracked = True

    def run(self) -> StageRecord:
        """Do the work, or skip it where nothing has changed; either way the model answers as this run says."""
        record = super().run()
        self.remember()
        return record

    def remember(self) -> None:
        """Keep what the model answers by, as this stage was given it."""
        name = TRAINED.format(query=self.settings.query.name)
        record = self.work.lake.read_record(name)
        if record is not None:
            given = portable_settings(self.settings, self.work.lake)
            answering = {section: given[section] for section in ANSWERING}
            model = {**record["model"], "blend": self.settings.model.blend}
            self.work.lake.write_record(name, {**record, **answering, "model": model})


class TrainStage(ModelStage):
    """Examples to a model."""

    name = "train"
    help = "train a model on the labelled examples (Ray Train)"
    on_gpu = True
    after = LabelStage

    def inputs(self) -> dict[str, Any]:
        """Labels, or the shards that were made of them, sampling, model, training and seed."""
        training = self.settings.training.model_dump(exclude={"gpu", "max_failures"})
        source = ShardStage if self.settings.training.source == "shards" else LabelStage
        return {
            source.name: self.upstream(source),
            "sampling": self.settings.sampling.model_dump(exclude={"threads"}),
            "model": self.settings.model.model_dump(exclude={"blend"}),
            "training": training,
            **({"headline": headline} if (headline := self.settings.evaluation.headline) else {}),
            "search": self.settings.search.model_dump(exclude={"parallel"}),
            "seed": self.settings.seed,
        }

    def outputs(self) -> list[str]:
        """No table: the model is a file."""
        return []

    @property
    def model_file(self) -> str:
        """Path of the model under the lake's root."""
        return f"_models/{self.settings.query.name}/model.pt"

    def intact(self) -> bool:
        """Whether the model file is there."""
        return self.work.lake.has_file(self.model_file)

    def track(self, record: StageRecord) -> None:
        """Tell the run of the stages before it, too, which had none to tell."""
        run, earlier = tracking.last_run(self.settings, self.work.lake), list[Stage]()
        before: type[Stage] | None = self.after
        while before is not None:
            earlier.insert(0, before(self.work))
            before = before.after
        for stage in earlier:
            done = read_stage(self.work.lake, stage.record_name)
            if run is not None and done is not None:
                run.log_stage(stage.name, done)
        super().track(record)

    def make(self) -> str:
        """Train under a new MLflow run."""
        return train_and_track(self.settings, self.work.lake, self.work.console)

    def remember(self) -> None:
        """Keep the whole configuration; also where training was skipped, what the model answers by may be new."""
        settings = trained_settings(self.settings, self.work.lake)
        self.work.lake.write_record(
            TRAINED.format(query=settings.query.name), portable_settings(settings, self.work.lake)
        )


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
    store, query = open_graph(settings, lake, edges=settings.training.source == "memory")
    training.check_task(settings, lake, store, query)
    at_once = training.fits_at_once(settings, query)
    alone = at_once or (not settings.search.space and workers.trains_alone(settings, lake))
    try:
        with tracking.start_run(settings, lake) as run:
            run.log_parameters(
                settings.model_dump(mode="json", exclude={"tables", "warehouse", "lake", "spark", "publish"})
            )
            tracking.log_tables(run.run_id, lake, tables_read(lake, settings.query.name), "train")
            if settings.search.space and not at_once:
                with progress_bar(console, "search", len(workers.choose_trials(settings)), "trials") as bar:
                    settings = workers.search_settings(settings, lake, run, bar)
            return _train_and_record(settings, lake, console, run)
    finally:
        if not alone:
            workers.stop_ray()


def tables_read(lake: Lake, query: str) -> list[str]:
    """Names of the tables that training reads: the graph's, and the query's labels."""
    graph = [name for name in lake.tables() if name.startswith(("nodes_", "edges_"))]
    return [*graph, f"labels_{query}"]


def trained_settings(settings: Settings, lake: Lake) -> Settings:
    """The configuration that the lake's model was trained with: what a search chose stands in place of its lists."""
    record = lake.read_record(workers.SEARCH.format(query=settings.query.name)) if settings.search.space else None
    if record is None:
        return settings
    return build_settings(with_values(settings.model_dump(mode="json"), record["chosen"]))


def trained_queries(lake: Lake) -> list[str]:
    """Names of the queries that a lake has a trained model of, in order."""
    start = TRAINED.format(query="")
    return sorted(name.removeprefix(start) for name in lake.records() if name.startswith(start))


def trained_record(lake: Lake, query: str) -> dict[str, Any]:
    """The configuration that a query's model was trained with, as plain data, for the lake where it is now.

    Somebody else may have written it: where things are outside the lake, and how they are run, is not taken from it.

    Raises:
        LakeError: the query was not trained.
    """
    record = lake.read_record(TRAINED.format(query=query))
    if record is None:
        if lake.local and not Path(lake.uri).is_dir():
            raise LakeError(f"there is no lake at {lake.uri}")
        raise LakeError(f"lake {lake.uri} holds no model of query '{query}'; run the train stage first")
    content = kept_content(from_portable(lake, record))
    return {key: value for key, value in content.items() if key not in OUTSIDE}


def _train_and_record(settings: Settings, lake: Lake, console: Console, run: Run) -> str:
    speeds: list[tuple[int, Mapping[str, float]]] = []
    store, query = open_graph(settings, lake, edges=settings.training.source == "memory")
    with progress_bar(console, "train", 1, "steps") as bar:

        def hear(kind: str, figures: Mapping[str, float]) -> None:
            if kind == "step":
                bar.resize(int(figures["steps"]))
                recorded = "seeds_per_second" in figures
                note = f"loss {figures['loss']:.3f}, {training.throughput_in_words(figures)}" if recorded else None
                bar.advance(1, note)
                if recorded:
                    throughput = {name: figures[name] for name in training.THROUGHPUT if name in figures}
                    speeds.append((int(figures["step"]), throughput))
            else:
                words = training.metrics_in_words(figures)
                # What is fitted at once has no throughput of steps.
                if training.THROUGHPUT[0] in figures:
                    words += f", {training.throughput_in_words(figures)}"
                bar.say(f"epoch {figures['epoch']:.0f}: validation {words}")

        if training.fits_at_once(settings, query):
            outcome = training.fit_at_once(settings, lake, store, query, hear)
        else:
            outcome = _train(settings, lake, hear)
        training.save_model(lake, settings.query.name, outcome)
        if query.task_type.predicts_links:
            _grow_trees(settings, lake, console)
        run.log_curve(speeds)
        _record(run, lake, settings.query.name, outcome)
    words = training.metrics_in_words(outcome.best)
    return f"epoch {outcome.best['epoch']:.0f} of {len(outcome.history)}, validation {words}"


def _grow_trees(settings: Settings, lake: Lake, console: Console) -> None:
    """Grow the trees that stand beside a network of links."""
    store, query = open_graph(settings, lake)
    with progress_bar(console, "trees", 1, "trees") as bar:

        def hear(kind: str, figures: Mapping[str, float]) -> None:
            if kind == "step":
                bar.resize(int(figures["steps"]))
                bar.advance(1)
            else:
                bar.say(f"boosted trees beside the network: validation {training.metrics_in_words(figures)}")

        if why := evaluation.grow_trees(settings, lake, store, query, hear):
            log.info("no boosted trees beside the network: %s", why)


def _train(settings: Settings, lake: Lake, hear: Hear) -> TrainResult:
    if workers.trains_alone(settings, lake):
        return workers.train_alone(settings, hear)
    if not lake.local:
        return workers.train_with_ray(settings, hear, f"{lake.uri}/_checkpoints")
    # Checkpoints serve this run alone; the best weights are kept in the lake.
    with scratch_folder(lake.uri, "_checkpoints", "training") as folder:
        return workers.train_with_ray(settings, hear, folder)


def _record(run: Run, lake: Lake, query: str, outcome: TrainResult) -> None:
    run.log_curve([(step, {"train_loss": loss}) for step, loss in outcome.losses])
    for figures in outcome.history:
        run.log_metrics({f"validation_{name}": value for name, value in figures.items()}, int(figures["epoch"]))
    curves = {"losses": outcome.losses, "validations": outcome.history, "kept": outcome.kept}
    lake.write_record(CURVES.format(query=query), curves)


def portable_settings(settings: Settings, lake: Lake) -> dict[str, Any]:
    """The configuration as plain data, without where the lake and its runs are and how they are opened."""
    content: dict[str, Any] = to_portable(lake, settings.model_dump(mode="json", exclude=set(OUTSIDE)))
    return content
