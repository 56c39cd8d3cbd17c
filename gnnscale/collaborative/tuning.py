"""Every recommender with the settings that are best on validation, and the mix of all, on the test fold."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import scipy.sparse

from gnnscale.collaborative.ranking import evaluate_scorer, explored, item_sets, rank_items
from gnnscale.collaborative.reading.split import Fold
from gnnscale.collaborative.recommender import Recommender, make_recommender
from gnnscale.collaborative.recommenders.mix import Mix
from gnnscale.collaborative.weights import learn_weights
from gnnscale.config import Implementation, InteractionSettings, split_implementation
from gnnscale.metrics import evaluate_lists, find_list_metric
from gnnscale.schema import RECOMMENDERS, ConfigError

log = logging.getLogger(__name__)

MIX: Final = "mix"


@dataclass(eq=False)
class TunedMethod:
    """A method, its settings and how good it is.

    Args:
        name: in the registry.
        options: chosen ones, that differ from the defaults.
        validation: metric -> its value on the validation fold.
        test: metric -> its values on the test fold, one for each seed.
        weight: share of it in the mix.
        seconds: to fit it to the test fold's past and to rank, the fastest of the seeds.
        model: fitted to what the fold at hand knows.
    """

    name: str
    options: dict[str, Any]
    validation: dict[str, float]
    test: dict[str, list[float]] = field(default_factory=dict)
    weight: float = 0.0
    seconds: float = 0.0
    model: Recommender | None = None

    @property
    def implementation(self) -> dict[str, Any]:
        """As a configuration names it."""
        return {"name": self.name, **self.options}

    def mean(self, metric: str) -> float:
        """Of the seeds."""
        return float(np.mean(self.test[metric]))


def methods_for(items: int, given: Sequence[Implementation] = (), repeats: bool = False) -> list[Implementation]:
    """Those that are compared, but for the mix, which is made of them.

    Args:
        items: size of the catalogue.
        given: those that are asked for; by default all that take so many items.
        repeats: whether lists may name what was seen.

    Raises:
        ConfigError: one that is given can't take them.
    """
    found: list[Implementation] = []
    for method in given or [name for name in RECOMMENDERS.names() if name != MIX]:
        name = split_implementation(method)[0]
        most = RECOMMENDERS.find(name).most_items
        if most is not None and items > most:
            if given:
                raise ConfigError(f"methods: {name} takes no more than {most:,} items, and there are {items:,}")
            continue
        if name != MIX and (given or repeats or not RECOMMENDERS.find(name).for_repeats):
            found.append(method)
    return found


def tune(method: Implementation, fold: Fold, metrics: Sequence[str], seed: int, trials: bool = True) -> TunedMethod:
    """The settings of a method that are best by the first metric, fitted.

    Args:
        method: its given options stay as they are.
        fold: of validation.
        metrics: of lists, the headline first.
        seed: of its draws.
        trials: whether further settings are tried at all.
    """
    name, given = split_implementation(method)
    tried = [dict(trial) for trial in RECOMMENDERS.find(name).trials] if trials else [{}]
    best: TunedMethod | None = None
    for options in {str(o): o for o in ({**trial, **given} for trial in tried)}.values():
        started = time.monotonic()
        model = make_recommender({"name": name, **options}, seed).fit(fold.seen)
        found = evaluate_scorer(model, fold.had, fold.truth, metrics).means
        log.info("%s %s: %.4f in %.1f s", name, options, found[metrics[0]], time.monotonic() - started)
        if best is None or found[metrics[0]] > best.validation[metrics[0]]:
            best = TunedMethod(name, options, found, model=model)
    assert best is not None
    return best


def sampled_fold(fold: Fold, most_users: int, seed: int) -> Fold:
    """The fold with the truth of so many of its users, drawn."""
    users = np.flatnonzero(np.diff(fold.truth.indptr))
    if len(users) <= most_users:
        return fold
    kept = np.zeros(fold.truth.shape[0], np.float32)
    kept[np.random.default_rng(seed).choice(users, most_users, replace=False)] = 1
    truth = scipy.sparse.csr_matrix(scipy.sparse.diags(kept) @ fold.truth)
    truth.eliminate_zeros()
    return Fold(fold.seen, fold.had, truth)


def fewer_pairs(fold: Fold, most_pairs: int, seed: int) -> Fold:
    """The fold of some of its users, drawn, who have about so many pairs; itself where it has no more."""
    if fold.seen.nnz <= most_pairs:
        return fold
    order = np.random.default_rng(seed).permutation(np.flatnonzero(np.diff(fold.seen.indptr)))
    pairs = np.cumsum(np.diff(fold.seen.indptr)[order])
    users = np.sort(order[: max(1, int(np.searchsorted(pairs, most_pairs)))])
    return Fold(fold.seen[users], fold.had[users], fold.truth[users])


def compare_methods(validation: Fold, test: Fold, settings: InteractionSettings) -> Iterator[TunedMethod]:
    """Tune every method on validation, learn the weights of the mix there, and judge all on the test fold.

    Args:
        validation: settings and weights are chosen on it.
        test: looked at once by each method and seed.
        settings: of the recipe.

    Yields:
        Each method when its figures are known, the mix last.
    """
    metrics, seeds = settings.metrics, [settings.seed + i for i in range(settings.seeds)]
    fold = sampled_fold(validation, settings.tuning_users, settings.seed)
    test = sampled_fold(test, settings.test_users, settings.seed)
    repeats = (test.seen.astype(bool) > test.had.astype(bool)).nnz > 0
    methods = methods_for(test.seen.shape[1], settings.methods, repeats)
    trial = fewer_pairs(fold, settings.tuning_pairs, settings.seed) if settings.tune else fold
    if not trial.truth.nnz:
        trial = fold
    tuned = [tune(method, trial, metrics, settings.seed, settings.tune) for method in methods]
    if trial is not fold:
        for method in tuned:
            # What was chosen, as the weights and the answer go by it.
            method.model = make_recommender(method.implementation, settings.seed).fit(fold.seen)
            method.validation = evaluate_scorer(method.model, fold.had, fold.truth, metrics).means
            log.info("%s %s, of all pairs: %.4f", method.name, method.options, method.validation[metrics[0]])
    models = [method.model for method in tuned if method.model is not None]
    weights = learn_weights(models, fold.had, fold.truth, seed=settings.seed)
    mixed = Mix(seed=settings.seed).compose(models, weights, fold.seen)
    mix = TunedMethod(MIX, {}, evaluate_scorer(mixed, fold.had, fold.truth, metrics).means, weight=1.0)
    for method, weight in zip(tuned, weights, strict=True):
        method.weight, method.model = float(weight), None
    fitted: dict[int, list[Recommender]] = {seed: [] for seed in seeds}
    for method in tuned:
        for seed, model in _judge(method, test, metrics, seeds):
            if method.weight:
                fitted[seed].append(model)
        yield method
    used = np.array([method.weight for method in tuned if method.weight])
    for seed in seeds:
        started = time.monotonic()
        model = Mix(seed=seed).compose(fitted[seed], used, test.seen)
        _record(mix, model, test, metrics)
        spent = time.monotonic() - started + sum(method.seconds for method in tuned if method.weight)
        mix.seconds = min(mix.seconds or spent, spent)
    mix.options = {
        "parts": [method.implementation for method in tuned if method.weight],
        "weights": [round(method.weight, 4) for method in tuned if method.weight],
    }
    yield mix


def _judge(
    method: TunedMethod, test: Fold, metrics: Sequence[str], seeds: Sequence[int]
) -> Iterator[tuple[int, Recommender]]:
    """Fit a method with each seed, once where it draws nothing."""
    model: Recommender | None = None
    for seed in seeds:
        if model is None or model.draws:
            started = time.monotonic()
            model = make_recommender(method.implementation, seed).fit(test.seen)
            _record(method, model, test, metrics)
            spent = time.monotonic() - started
            method.seconds = min(method.seconds or spent, spent)
        yield seed, model


def _record(method: TunedMethod, model: Recommender, test: Fold, metrics: Sequence[str]) -> None:
    means = evaluate_scorer(model, test.had, test.truth, metrics).means
    for metric in metrics:
        method.test.setdefault(metric, []).append(means[metric])


def answer_of(methods: Sequence[TunedMethod], metric: str) -> TunedMethod:
    """The method that predictions are made with: the best on validation, the mix among equals."""
    return max(methods, key=lambda method: (method.validation[metric], method.name == MIX))


def exploration_cost(answer: TunedMethod, test: Fold, settings: InteractionSettings) -> dict[str, float]:
    """The figures of the answer's lists with and without items drawn at random, over as many users as are judged.

    Args:
        answer: the method.
        test: the fold.
        settings: of the recipe; ``exploration`` of the places are given away.

    Returns:
        ``share``, and each metric that lists of that length reach under its name and under ``explored_<name>``.
    """
    fold = sampled_fold(test, settings.test_users, settings.seed)
    users = np.flatnonzero(np.diff(fold.truth.indptr))
    right, had = item_sets(fold.truth[users]), item_sets(fold.had[users])
    model = make_recommender(answer.implementation, settings.seed).fit(fold.seen)
    lists, _ = rank_items(model, users, fold.had, settings.top, right)
    count = fold.truth.shape[1]
    given = explored(lists, had, settings.exploration, count, settings.seed)
    metrics = [name for name in settings.metrics if find_list_metric(name)[1] <= settings.top]
    found = {"share": settings.exploration}
    for prefix, items in (("", lists), ("explored_", given)):
        means = evaluate_lists(metrics, items, right, count).means
        found |= {prefix + name: means[name] for name in metrics}
    return found
