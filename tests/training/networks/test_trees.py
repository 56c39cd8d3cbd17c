"""Trees as a model of their own: trained, kept as text, read back and asked, by the paths that networks take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnnscale.batches import EntityExamples, read_entity_examples
from gnnscale.config import bind_query, build_settings
from gnnscale.lake import Lake
from gnnscale.metrics import validate_task
from gnnscale.query import BINARY_CLASSIFICATION, MULTICLASS_CLASSIFICATION, REGRESSION, Split, TaskSpec
from gnnscale.schema import ConfigError, LakeError
from gnnscale.store import GraphStore
from gnnscale.training import check_task, fit_at_once, fits_at_once, load_node_model, model_path, save_model
from tests.conftest import Shop
from tests.entity_shop import OtherFuture, entity_settings, write_labels
from tests.node_tasks import NODE_TASKS

TREES = {"rounds": 40, "min_rows": 5, "learning_rate": 0.2, "columns": 1.0, "rows": 1.0, "refit": False}


def tree_settings(shop: Shop, folder: Path, task: TaskSpec, trees=TREES, **training):
    settings = entity_settings(shop.content, folder, task, **training)
    content = settings.model_dump(mode="json")
    return build_settings({**content, "model": {"network": "trees", "trees": trees}})


def fitted(shop: Shop, store: GraphStore, folder: Path, task: TaskSpec, trees=TREES, **training):
    """Settings, lake and outcome of trees that are trained and kept."""
    settings = tree_settings(shop, folder, task, trees, **training)
    lake, query = Lake(settings.lake.uri), bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    check_task(settings, lake, store, query)
    assert fits_at_once(settings, query)
    heard: list[str] = []
    outcome = fit_at_once(settings, lake, store, query, lambda kind, figures: heard.append(kind))
    assert heard[-1] == "validation" and set(heard[:-1]) == {"step"}
    save_model(lake, "asked", outcome)
    return settings, lake, outcome


@pytest.mark.parametrize("task", NODE_TASKS)
def test_trees_learn_are_kept_and_answer_as_they_were_judged(
    shop: Shop, store: GraphStore, tmp_path: Path, task: TaskSpec
) -> None:
    settings, lake, outcome = fitted(shop, store, tmp_path, task)
    model = load_node_model(settings, lake, store)
    examples = read_entity_examples(lake, "asked", Split.VALIDATION, store.manifest.origin)
    figures = validate_task(task, model.predict(examples), examples.values, model.query.top)
    assert figures[outcome.kept] == pytest.approx(outcome.best[outcome.kept], abs=1e-5)
    # The labels follow from the purchases of the last seven days, which is a feature.
    assert figures[outcome.kept] < 0.5 if task.predicts_values else figures[outcome.kept] > 0.8


@pytest.mark.parametrize("task", [REGRESSION, MULTICLASS_CLASSIFICATION])
def test_trees_that_are_grown_again_have_learned_from_the_validation_examples(
    shop: Shop, store: GraphStore, tmp_path: Path, task: TaskSpec
) -> None:
    found = {}
    for refit in (False, True):
        trees = {**TREES, "refit": refit, "rounds": 30, "patience": 30}
        settings, lake, outcome = fitted(shop, store, tmp_path / str(refit), task, trees)
        examples = read_entity_examples(lake, "asked", Split.VALIDATION, store.manifest.origin)
        model = load_node_model(settings, lake, store)
        figures = validate_task(task, model.predict(examples), examples.values, model.query.top)
        found[refit] = outcome.best[outcome.kept], figures[outcome.kept]
        unseen = load_node_model(settings, lake, store, held_out=True).predict(examples)
        judged = validate_task(task, unseen, examples.values, model.query.top)[outcome.kept]
        # What is told of the validation is of the trees that have not seen it, and so is what a blend goes by.
        assert judged == pytest.approx(outcome.best[outcome.kept], abs=1e-5)
    assert found[True][0] == found[False][0]
    assert found[True][1] < found[False][1] if task.predicts_values else found[True][1] >= found[False][1]


def test_the_future_changes_no_answer(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    settings, lake, _ = fitted(shop, store, tmp_path, REGRESSION)
    anchor = int(store.features("purchases").times.min()) + 40 * 86_400
    examples = EntityExamples.unlabelled(np.arange(store.node_count("customers")), anchor)
    mine = load_node_model(settings, lake, store).predict(examples)
    theirs = load_node_model(settings, lake, OtherFuture(store, anchor)).predict(examples)
    assert len(np.unique(mine)) > 3
    assert (mine == theirs).all()


def test_a_quantile_is_what_was_asked_for(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    share = {}
    for level in (0.1, 0.9):
        loss = {"name": "quantile", "level": level}
        settings, lake, _ = fitted(shop, store, tmp_path / str(level), REGRESSION, loss=loss)
        examples = read_entity_examples(lake, "asked", Split.VALIDATION, store.manifest.origin)
        found = load_node_model(settings, lake, store).predict(examples)
        share[level] = float((examples.values < found).mean())
    assert share[0.1] < 0.4 < share[0.9]


def test_a_loss_that_trees_do_not_have_is_refused(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    settings = tree_settings(shop, tmp_path, BINARY_CLASSIFICATION, loss="focal")
    lake, query = Lake(settings.lake.uri), bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    with pytest.raises(ConfigError, match=r"training.loss=focal is not for trees of .*; allowed: auto, bce"):
        check_task(settings, lake, store, query)


def test_damaged_trees_are_refused(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    import torch

    settings, lake, _ = fitted(shop, store, tmp_path, MULTICLASS_CLASSIFICATION)
    content = lake.read_bytes(model_path("asked"))
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    saved = torch.load(path, weights_only=True)
    saved["weights"]["_extra_state"] = saved["weights"]["_extra_state"][:-1000]
    torch.save(saved, path)
    with pytest.raises(LakeError, match="does not fit the graph or the configuration any more"):
        load_node_model(settings, lake, store, content=path.read_bytes())
