"""Probabilities and numbers of several methods as one: averaged in their space, weighed by validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from gnnscale.batches import EntityExamples
from gnnscale.evaluation.blend.blend import NETWORK_ALONE, Blend, Member, read_blend, save_blend
from gnnscale.evaluation.blend.node_blend import fit_blend, methods_table, read_methods
from gnnscale.evaluation.blend.node_space import blend_scores, calibrate, from_space, losses, to_space
from gnnscale.lake import Lake
from gnnscale.metrics import evaluate_task
from gnnscale.query import (
    BINARY_CLASSIFICATION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    REGRESSION,
)
from gnnscale.schema import LakeError

RNG = np.random.default_rng(1)
COUNT = 4_000
ENTITIES = np.arange(COUNT)


def floats(values) -> np.ndarray:
    return np.asarray(values, np.float32)


def test_probabilities_are_averaged_as_logits_and_numbers_as_they_are():
    members = (Member("a", 0.25), Member("b", 0.75))
    one, two = floats([[0.2], [0.9]]), floats([[0.6], [0.5]])
    found = blend_scores(BINARY_CLASSIFICATION, members, {"a": one, "b": two})
    np.testing.assert_allclose(found, expit(0.25 * logit(one) + 0.75 * logit(two)), rtol=1e-4)
    np.testing.assert_allclose(
        blend_scores(FORECASTING, members, {"a": floats([[1, 5]]), "b": floats([[3, 9]])}), [[2.5, 8.0]]
    )
    classes = RNG.dirichlet(np.ones(4), 6).astype(np.float32)
    again = blend_scores(MULTICLASS_CLASSIFICATION, members, {"a": classes, "b": classes})
    np.testing.assert_allclose(again, classes, atol=1e-5)
    assert from_space(MULTILABEL_CLASSIFICATION, to_space(MULTILABEL_CLASSIFICATION, floats([[0.0, 1.0]]))).tolist()


def test_losses_are_those_of_the_metrics():
    p, true = floats(RNG.uniform(0.05, 0.95, (200, 1))), floats(RNG.integers(0, 2, (200, 1)))
    found = losses(BINARY_CLASSIFICATION, to_space(BINARY_CLASSIFICATION, p), true).mean()
    assert found == pytest.approx(evaluate_task(BINARY_CLASSIFICATION, p, true)["log_loss"], rel=1e-5)
    classes, right = RNG.dirichlet(np.ones(3), 200).astype(np.float32), floats(RNG.integers(0, 3, (200, 1)))
    found = losses(MULTICLASS_CLASSIFICATION, to_space(MULTICLASS_CLASSIFICATION, classes), right).mean()
    expected = evaluate_task(MULTICLASS_CLASSIFICATION, classes, right)["log_loss"]
    assert found == pytest.approx(expected, rel=1e-3)
    values = floats(RNG.normal(size=(50, 1)))
    assert losses(REGRESSION, values.astype(np.float64), values + 2).mean() == pytest.approx(2)
    # A frame that is not known counts nothing.
    assert losses(FORECASTING, np.array([[1.0, 5.0]]), floats([[3, np.nan]])).tolist() == [2]


def test_a_method_that_is_too_sure_is_brought_back():
    logits = RNG.normal(size=(COUNT, 1)) * 1.5
    true = floats(RNG.random((COUNT, 1)) < expit(logits - 1))
    scale, shift = calibrate(4 * logits, true)
    assert scale == pytest.approx(0.25, abs=0.04) and shift == pytest.approx(-1, abs=0.15)
    assert calibrate(logits, np.ones_like(true)) == (1.0, 0.0)
    assert calibrate(-logits, true)[0] == pytest.approx(0, abs=1e-6), "what is upside down is not turned around"


def test_what_each_method_sees_is_more_together():
    seen, hidden = RNG.normal(size=(2, COUNT, 1))
    true = floats(RNG.random((COUNT, 1)) < expit(seen + hidden))
    scores = {"one": floats(expit(seen)), "network": floats(expit(hidden)), "noise": floats(RNG.random((COUNT, 1)))}
    blend = fit_blend(BINARY_CLASSIFICATION, scores, true, ENTITIES)
    assert set(blend.names) == {"one", "network"} and blend.figures["blend"] < min(
        blend.figures[name] for name in scores
    )
    found = blend_scores(BINARY_CLASSIFICATION, blend.members, scores)
    aurocs = {name: evaluate_task(BINARY_CLASSIFICATION, own, true)["auroc"] for name, own in scores.items()}
    assert evaluate_task(BINARY_CLASSIFICATION, found, true)["auroc"] > max(aurocs.values()) + 0.05


def test_a_network_that_adds_nothing_gets_nothing_and_nothing_known_leaves_it_alone():
    truth = floats(RNG.normal(size=(COUNT, 1)))
    near, far = truth + floats(RNG.normal(size=(COUNT, 1))) * 0.1, floats(RNG.normal(size=(COUNT, 1)))
    blend = fit_blend(REGRESSION, {"trees": near, "network": far}, truth, ENTITIES)
    assert blend.names == ("trees",) and not blend.is_network and blend.baselines == ("trees",)
    none = fit_blend(REGRESSION, {"trees": near[:0], "network": far[:0]}, truth[:0], ENTITIES[:0])
    assert none.is_network


def test_a_blend_is_read_as_it_was_kept_and_a_broken_one_is_refused(tmp_path: Path):
    lake = Lake(tmp_path / "lake")
    assert read_blend(lake, "asked") == NETWORK_ALONE
    blend = Blend((Member("network", 0.75, 1.5, -0.25), Member("trees", 0.25)), "log loss", {"trees": 0.5}, 9, 3)
    save_blend(lake, "asked", blend)
    assert read_blend(lake, "asked") == blend and blend.in_words() == "network 75 %, trees 25 %"
    lake.write_bytes("_models/asked/blend.json", b'{"members": [{"name": "network"}]}')
    with pytest.raises(LakeError, match="is no blend"):
        read_blend(lake, "asked")


def test_what_methods_say_of_the_test_is_read_back_example_by_example(tmp_path: Path):
    lake = Lake(tmp_path / "lake")
    anchors, entities = np.array([7, 7, 14], np.int32), np.array([5, 2, 5])
    nothing = np.zeros((3, 0), np.float32)
    examples = EntityExamples(entities, anchors, nothing, nothing)
    scores = {"network": floats([[1, 2], [3, 4], [5, 6]]), "trees": floats([[6, 5], [4, 3], [2, 1]])}
    assert read_methods(lake, "asked", examples, 100) is None
    lake.write("methods_asked", methods_table(examples, scores, 100))
    found = read_methods(lake, "asked", examples, 100)
    assert found is not None and list(found) == ["network", "trees"]
    np.testing.assert_array_equal(found["network"], scores["network"])
    np.testing.assert_array_equal(found["trees"], scores["trees"])
    assert read_methods(lake, "asked", examples.take(np.array([0, 1])), 100) is None, "these are of other examples"
