"""A search over configurations: Ray Tune trains them, stopping weak ones early, and MLflow nests them in one run."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from gnnscale.arrays import scratch_folder
from gnnscale.config import Settings, build_settings, with_values
from gnnscale.lake import Lake
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.workers.local_ray import start_ray
from gnnscale.pipeline.workers.lost_processes import watched
from gnnscale.pipeline.workers.ray_train import WorkerSettings, input_fault
from gnnscale.schema import GnnscaleError
from gnnscale.tracking import Bar, Run
from gnnscale.training import Trainer, build_task, find_selection

log = logging.getLogger(__name__)

SEARCH = "search_{query}"
"""Record of the trials and of the values that were chosen."""

NUMBER = "_trial"


def search_settings(settings: Settings, lake: Lake, run: Run, bar: Bar) -> Settings:
    """Try configurations of ``search.space`` and choose the one whose validation is best.

    All of them are tried where they are no more than ``search.trials``, else a sample that the seed decides. A trial
    that is worse than most at the same epoch is stopped (ASHA, Li et al., 2020).

    Args:
        settings: with a search space.
        lake: holds graph and labels.
        run: MLflow run that the trials are nested in.
        bar: advances by one a trial.

    Returns:
        The configuration with the chosen values, and nothing left to search.

    Raises:
        GnnscaleError: every trial failed; the first's error, where that is a fault in the input.
    """
    trials = choose_trials(settings)
    start_ray(settings)
    _, query = open_graph(settings, lake)
    judge = find_selection(lake, settings.query.name, query)
    kept = judge.metric
    sent = WorkerSettings.of(settings)
    parallel = settings.search.parallel
    cores = os.cpu_count() or 1
    workers = min(len(trials), cores if parallel == "auto" else parallel)
    with scratch_folder(None, "trials", f"{lake.uri} {settings.query.name}") as folder, watched():
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_train_trial, sent=sent, trials=trials), {"cpu": max(1, cores // workers)}
            ),
            param_space={NUMBER: tune.grid_search(list(range(len(trials))))},
            tune_config=tune.TuneConfig(
                metric=kept,
                mode="max" if judge.maximize else "min",
                max_concurrent_trials=workers,
                scheduler=ASHAScheduler(max_t=settings.training.epochs, grace_period=1, reduction_factor=2),
            ),
            run_config=tune.RunConfig(
                storage_path=str(folder), verbose=0, callbacks=[_NestedRuns(run, trials, kept, bar)], log_to_file=False
            ),
        )
        results = tuner.fit()
    every = [results[i] for i in range(len(results))]
    if not any(result.error is None and kept in (result.metrics or {}) for result in every):
        failure = every[0].error
        fault = None if failure is None else input_fault(failure)
        raise fault or GnnscaleError(f"every trial of the search failed, such as: {failure}") from failure
    found = [_figures(result.metrics or {}, trials, kept) for result in every]
    best = results.get_best_result(scope="all").config or {}
    chosen = trials[best[NUMBER]]
    lake.write_record(SEARCH.format(query=settings.query.name), {"chosen": chosen, "metric": kept, "trials": found})
    run.log_parameters({f"chosen.{name}": value for name, value in chosen.items()})
    bar.say("chosen: " + ", ".join(f"{name}={value}" for name, value in chosen.items()))
    return build_settings(with_values(settings.model_dump(mode="json"), chosen))


def choose_trials(settings: Settings) -> list[dict[str, Any]]:
    """Configurations to try, as dotted key -> value: the whole grid, or a sample of it without repeats."""
    names = list(settings.search.space)
    sizes = [len(settings.search.space[name]) for name in names]
    total = int(np.prod(sizes))
    wanted = min(settings.search.trials, total)
    if total <= 100_000:
        order = np.random.default_rng(settings.seed).permutation(total)
        # The first values are those that stand without a search: they are always among the trials.
        cells = [0, *(int(i) for i in order if i)][:wanted]
        grid = list(itertools.product(*(range(size) for size in sizes)))
        return [{n: settings.search.space[n][i] for n, i in zip(names, grid[cell], strict=True)} for cell in cells]
    rng = np.random.default_rng(settings.seed)
    drawn = [tuple(0 for _ in sizes), *(tuple(int(rng.integers(s)) for s in sizes) for _ in range(2 * wanted))]
    rows = list(dict.fromkeys(drawn))[:wanted]
    return [{n: settings.search.space[n][i] for n, i in zip(names, row, strict=True)} for row in rows]


def _train_trial(config: dict[str, Any], sent: WorkerSettings, trials: list[dict[str, Any]]) -> None:
    settings = sent.open(trials[config[NUMBER]])
    fewer = min(settings.training.max_examples, settings.search.examples)
    training = settings.training.model_copy(update={"max_examples": fewer, "workers": 1})
    settings = settings.model_copy(update={"training": training})
    torch.set_num_threads(1)
    lake = Lake(settings.lake.uri, settings.lake.storage_options)
    task = build_task(settings, lake, *open_graph(settings, lake))
    Trainer(settings, task, callback=_TuneCallback()).run()


class _TuneCallback:
    """Tells Ray Tune of every validation; it may end the trial there."""

    def on_step(self, figures: Mapping[str, float]) -> None:
        """Steps are not reported."""

    def on_checkpoint(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        """Nothing: a trial that is lost begins anew."""

    def on_validation(self, figures: Mapping[str, float], checkpoint: Mapping[str, Any]) -> None:
        tune.report(dict(figures))


class _NestedRuns(tune.Callback):
    """Keeps every trial as an MLflow run inside the training's."""

    def __init__(self, run: Run, trials: list[dict[str, Any]], kept: str, bar: Bar) -> None:
        self.run, self.trials, self.kept, self.bar = run, trials, kept, bar
        self.nested: dict[str, Run] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        values = self.trials[trial.config[NUMBER]]
        nested = self.run.start_nested(f"trial {trial.config[NUMBER]}")
        nested.log_parameters(values)
        self.nested[trial.trial_id] = nested

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        figures = {
            f"validation_{name}": value
            for name, value in result.items()
            if isinstance(value, float) and name not in ("time_this_iter_s", "time_total_s")
        }
        self.nested[trial.trial_id].log_metrics(figures, int(result["training_iteration"]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.nested[trial.trial_id].end()
        self.bar.advance(1, f"{self.kept} {trial.last_result.get(self.kept, float('nan')):.4g}")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.nested[trial.trial_id].end(failed=True)
        self.bar.advance(1, "failed")


def _figures(metrics: Mapping[str, Any], trials: list[dict[str, Any]], kept: str) -> dict[str, Any]:
    number = (metrics.get("config") or {}).get(NUMBER)
    return {
        "values": trials[number] if number is not None else {},
        kept: metrics.get(kept),
        "epochs": metrics.get("training_iteration"),
    }
