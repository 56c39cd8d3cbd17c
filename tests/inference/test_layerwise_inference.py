"""Entities embedded layer by layer: the vectors are those of whole neighborhoods, and a killed run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gnnscale.config import Settings, build_settings
from gnnscale.inference import embed
from gnnscale.inference.embed_tables import PreparedInference, inference_work, prepare_inference
from gnnscale.inference.encode import PartitionEncoder
from gnnscale.lake import Lake
from gnnscale.retrieval.embeddings import read_pairs, read_vectors
from gnnscale.schema import ConfigError, LakeError
from gnnscale.store import GraphStore
from tests.conftest import Shop
from tests.embedded_shop import anchors_of, tables_of, train_towers

AROUND = {"purchases.customer_id": 60, "purchases.product_id": 60}
LATEST = {"strategy": "last", "entity_hops": [AROUND, AROUND]}
LAYERWISE = {"method": "layerwise"}


def state_files(lake: Lake) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (Path(lake.uri) / "_store").glob("layers-*/*/*")}


def with_method(settings: Settings, method: str) -> Settings:
    return settings.model_copy(update={"embedding": settings.embedding.model_copy(update={"method": method})})


def test_vectors_are_those_of_neighborhoods_that_are_whole(shop: Shop, tmp_path: Path) -> None:
    settings, lake, _ = train_towers(shop, tmp_path, LATEST, LAYERWISE)
    store, anchors, advanced = GraphStore.open(lake), anchors_of(shop.plan), []
    summary = embed(settings, lake, store, anchors, advance=advanced.append)
    assert summary.rows == summary.encoded == 2 * (40 + 30)
    assert sum(advanced) == inference_work(settings, lake, store, anchors) > summary.rows
    found = [read_vectors(lake, "customers", anchor) for anchor in anchors]
    products = [read_vectors(lake, "products", anchor) for anchor in anchors]
    assert not read_pairs(lake, "next_week", anchors[0]).counts.any()
    assert not state_files(lake), "states are of no use once the tables are there"
    assert embed(with_method(settings, "sampled"), lake, store, anchors).found == 0
    for anchor, vectors, targets in zip(anchors, found, products, strict=True):
        np.testing.assert_allclose(vectors, read_vectors(lake, "customers", anchor), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(targets, read_vectors(lake, "products", anchor))
    assert not np.allclose(found[0], found[1])


@pytest.mark.parametrize("done", [3, 11, 15])
def test_a_run_takes_up_where_one_was_killed(shop: Shop, tmp_path: Path, done: int) -> None:
    settings, lake, _ = train_towers(shop, tmp_path, LATEST, LAYERWISE)
    store, anchors = GraphStore.open(lake), anchors_of(shop.plan)
    prepared = prepare_inference(settings, lake, store, anchors, "cpu")
    tasks = [task for wave in prepared.in_order() for task in wave]
    encoder = PartitionEncoder(settings, lake, store, torch.device("cpu"))
    for task in tasks[:done]:
        encoder.run(prepared.inference, task)
    marks = {name: at for name, at in state_files(lake).items() if name.endswith(".done")}
    assert marks and len(tasks) > done
    again = prepare_inference(settings, lake, store, anchors, "cpu")
    left = [task for wave in again.in_order() for task in wave]
    # Those of an anchor whose partitions are finished are not needed any more.
    assert len(left) <= len(tasks) - done
    assert {name: at for name, at in state_files(lake).items() if name in marks} == marks
    advanced: list[int] = []
    embed(settings, lake, store, anchors, advance=advanced.append)
    # What is there counts at once, and what is left as it is done: the bar fills.
    total = inference_work(settings, lake, store, anchors)
    assert advanced[0] == total - sum(map(len, left)) > 0 and sum(advanced) == total
    broken = tables_of(lake)
    embed(settings, lake, store, anchors, run_nonce="whole")
    assert tables_of(lake) == broken


def test_marks_without_their_states_count_for_nothing(shop: Shop, tmp_path: Path) -> None:
    settings, lake, _ = train_towers(shop, tmp_path, LATEST, LAYERWISE)
    store, anchors = GraphStore.open(lake), anchors_of(shop.plan)
    embed(settings, lake, store, anchors)
    whole = tables_of(lake)
    prepared = prepare_inference(settings, lake, store, anchors, "cpu", run_nonce="once more")
    encoder = PartitionEncoder(settings, lake, store, torch.device("cpu"))
    for task in prepared.waves[0][:-1]:
        encoder.run(prepared.inference, task)
    for name in state_files(lake):
        if name.endswith(".npy"):
            Path(name).unlink()
    embed(settings, lake, store, anchors, run_nonce="once more")
    assert tables_of(lake) == whole


def test_only_the_latest_edges_are_candidates(shop: Shop, tmp_path: Path) -> None:
    one = {"purchases.customer_id": 3, "purchases.product_id": 3}
    settings, lake, _ = train_towers(
        shop, tmp_path, {"strategy": "uniform", "cap": 3, "entity_hops": [one, one]}, LAYERWISE
    )
    store, anchors = GraphStore.open(lake), anchors_of(shop.plan)
    embed(settings, lake, store, anchors)
    found = read_vectors(lake, "customers", anchors[0])
    # Of the three latest, three are drawn: as blocks have it, and not of all that there ever were.
    embed(with_method(settings, "sampled"), lake, store, anchors)
    np.testing.assert_allclose(found, read_vectors(lake, "customers", anchors[0]), rtol=1e-4, atol=1e-5)
    free = settings.sampling.model_copy(update={"cap": None})
    embed(settings.model_copy(update={"sampling": free}), lake, store, anchors)
    assert not np.allclose(found, read_vectors(lake, "customers", anchors[0]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("then", ["layerwise", "sampled"])
def test_states_of_another_sweep_are_removed(shop: Shop, tmp_path: Path, then: str) -> None:
    settings, lake, _ = train_towers(shop, tmp_path, LATEST, LAYERWISE)
    store, anchors = GraphStore.open(lake), anchors_of(shop.plan)
    prepared = prepare_inference(settings, lake, store, anchors, "cpu")
    PartitionEncoder(settings, lake, store, torch.device("cpu")).run(prepared.inference, prepared.waves[0][0])
    assert state_files(lake)
    prepare_inference(with_method(settings, then), lake, store, anchors, "cpu", run_nonce="other")
    assert not state_files(lake)


def begin(shop: Shop, folder: Path) -> tuple[tuple[Settings, Lake, GraphStore], PreparedInference, PartitionEncoder]:
    """A layer-wise run of which nothing is done."""
    settings, lake, _ = train_towers(shop, folder, LATEST, LAYERWISE)
    store = GraphStore.open(lake)
    prepared = prepare_inference(settings, lake, store, anchors_of(shop.plan), "cpu")
    return (settings, lake, store), prepared, PartitionEncoder(settings, lake, store, torch.device("cpu"))


def test_layers_that_are_gone_amid_a_sweep_are_told(shop: Shop, tmp_path: Path) -> None:
    place, prepared, encoder = begin(shop, tmp_path)
    first, last = prepared.waves
    for task in first:
        encoder.run(prepared.inference, task)
    assert prepared.layers is not None
    prepared.layers.remove()
    with pytest.raises(LakeError, match=r"states of layer 1 are gone from .*layer-1-.*run the embed stage again"):
        encoder.run(prepared.inference, last[0])
    entities = next(task for task in prepared.tasks if task.partition.side == "entities")
    with pytest.raises(LakeError, match=r"states of layer 2 are gone from .*layer-2-0.npy"):
        encoder.run(prepared.inference, entities)
    # What is found to be gone is made again.
    embed(*place, anchors_of(shop.plan))


def test_a_layer_of_which_a_part_is_gone_is_not_read(shop: Shop, tmp_path: Path) -> None:
    _, prepared, encoder = begin(shop, tmp_path)
    first, last = prepared.waves
    assert prepared.layers is not None
    for number, task in enumerate(first):
        encoder.run(prepared.inference, task)
        if number == 0:
            # The tasks after it make the file again, and the rows of this one are zeros.
            prepared.layers.remove()
    broken = next(task for task in last if task.anchor == first[0].anchor)
    with pytest.raises(LakeError, match=r"states of layer 1 are gone from"):
        encoder.run(prepared.inference, broken)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": {"network": "auto"}}, r"embedding.method=layerwise is for model.network=blocks.*allowed: sampled"),
        ({"sampling": {"strategy": "walk"}}, r"layerwise is not for sampling.strategy=walk; with it, allowed: sampled"),
        ({"embedding": {"method": "layerwise", "only_changed": True}}, "only_changed goes with method=sampled"),
    ],
)
def test_what_does_not_go_together_is_an_error(shop: Shop, change: Any, says: str) -> None:
    content = {**shop.content, "model": {"network": "blocks"}, "embedding": LAYERWISE, **change}
    with pytest.raises((ConfigError, ValidationError), match=says):
        build_settings(content)
