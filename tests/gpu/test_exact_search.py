"""Triton's kernels find what brute force does, whatever passes, in whatever pieces."""

import numpy as np
import pytest
import torch

from gnnscale.retrieval.index.gpu import fused, plain
from gnnscale.retrieval.index.gpu.compared import Asked, Compared
from gnnscale.retrieval.index.gpu.device_index import DeviceIndex
from gnnscale.retrieval.index.gpu.device_targets import DeviceTargets
from gnnscale.retrieval.index.gpu.plan import SearchPlan
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import DataError
from tests.gpu.exact_cases import assert_exact, exact_scores, whole_numbers

SMALL = SearchPlan(queries=20, sample=40, growth=3, fused=True)
EVERY = list(Metric)


def built(vectors, device, metric=Metric.INNER_PRODUCT, plan=SMALL):
    return DeviceIndex.build(vectors, IndexSetting(metric=metric), device, plan)


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize("channels", [1, 24, 200])
def test_the_best_are_those_of_brute_force(device, metric, channels):
    rng = np.random.default_rng(channels)
    vectors = (rng.normal(size=(600, channels)) * rng.uniform(0.1, 3, (600, 1))).astype(np.float32)
    queries = rng.normal(size=(30, channels)).astype(np.float32)
    found = built(vectors, device, metric).search(queries, 7)
    assert_exact(found, exact_scores(vectors, queries, metric), 7, tolerance=1e-3 if metric is Metric.L2 else 1e-4)


@pytest.mark.parametrize("metric", EVERY)
def test_equal_vectors_overflow_all_room_and_are_found_in_order(device, metric):
    vectors = np.full((1500, 16), 0.3, np.float32)
    vectors[700:] = -0.3
    found = built(vectors, device, metric).search(vectors[[0, 699, 700]], 5)
    assert found.targets.tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [700, 701, 702, 703, 704]]
    assert (found.scores == found.scores[0, 0]).all()


def test_more_room_is_enough_for_some_of_equal_scores(device):
    rng = np.random.default_rng(3)
    vectors = np.concatenate([whole_numbers(rng, 500, 12), np.repeat(whole_numbers(rng, 1, 12) + 4, 300, axis=0)])
    queries = np.concatenate([vectors[-1:], whole_numbers(rng, 4, 12)])
    # No two vectors are equal, and they differ where no query looks.
    vectors[:, 0], queries[:, 0] = np.arange(800), 0
    assert_exact(built(vectors, device).search(queries, 6), exact_scores(vectors, queries, Metric.INNER_PRODUCT), 6)


def test_tiles_are_listed_in_as_many_goes_as_there_is_room_for(device, monkeypatch):
    rng = np.random.default_rng(9)
    vectors, queries = whole_numbers(rng, 900, 12), whole_numbers(rng, 20, 12)
    monkeypatch.setattr(fused, "CELLS", 1)
    monkeypatch.setattr(fused, "STEPS", 2)
    monkeypatch.setattr(fused, "APPENDING", 3)
    assert_exact(built(vectors, device).search(queries, 6), exact_scores(vectors, queries, Metric.INNER_PRODUCT), 6)


def test_pieces_and_order_do_not_show(device):
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(500, 20)).astype(np.float32)
    vectors[250:] = vectors[:250]
    queries = rng.normal(size=(40, 20)).astype(np.float32)
    expected = built(vectors, device).search(queries, 9)
    for seed, plan in enumerate([SMALL, SearchPlan(7, 500, 2, True), SearchPlan(64, 20, 16, True)]):
        index = DeviceIndex.build(vectors, IndexSetting(seed=seed), device, plan)
        found = index.search(queries, 9)
        np.testing.assert_array_equal(found.targets, expected.targets)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_the_kernels_append_and_score_what_plain_torch_does(device):
    rng = np.random.default_rng(5)
    for euclidean, channels in ((False, 30), (True, 130), (True, 256)):
        vectors = torch.from_numpy(whole_numbers(rng, 300, channels)).to(device)
        targets = Compared.room(300, channels, euclidean, device)
        assert targets.put(torch.arange(300, device=device), vectors) == 0
        asked = targets.ask(torch.from_numpy(whole_numbers(rng, 140, channels)).to(device))
        limits = asked.limits(torch.from_numpy(rng.integers(-9 * channels, 9, 140).astype(np.float32)).to(device))
        found = []
        for scan, score in ((plain.scan, plain.score), (fused.scan, fused.score)):
            counts = torch.zeros(140, dtype=torch.int32, device=device)
            places = torch.full((140, 300), -1, dtype=torch.int32, device=device)
            scan(asked, limits, targets, 20, 290, counts, places)
            order = places.argsort(dim=1, stable=True)
            scores = score(asked.vectors[:20], vectors, places[:20], counts[:20], euclidean)
            found.append((counts, places.gather(1, order), scores.gather(1, order[:20])))
        assert 0 < int(found[0][0].sum()) < 140 * 270
        assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


class Launched:
    """In the place of a kernel: the grids that it was to be launched on."""

    def __init__(self) -> None:
        self.grids: list[tuple[int, ...]] = []

    def __getitem__(self, grid):
        self.grids.append(grid)
        return lambda *_, **__: None


@pytest.mark.parametrize(("queries", "targets"), [(1, 2_100_001), (2, 4_000_000), (100_000, 300)])
def test_grids_are_within_what_a_device_launches(monkeypatch, queries, targets):
    monkeypatch.setattr(fused, "_scan", scan := Launched())
    monkeypatch.setattr(fused, "_append", append := Launched())
    monkeypatch.setattr(fused, "_score", score := Launched())
    vectors = torch.zeros(queries, 1)
    positions, counts = torch.empty(queries, 1, dtype=torch.int32).expand(-1, targets), torch.zeros(queries)
    fused.score(vectors, torch.zeros(1, 1), positions, counts, False)
    asked = Asked(vectors, torch.empty(queries, 16), vectors[:, 0], None)
    compared = Compared(torch.empty(1, 16), torch.empty(1), None, 0.0, 1)
    # As many targets as an int32 counts.
    fused.scan(asked, vectors[:, 0], compared, 0, 2**31 - 1, counts, positions)
    for grid in (*score.grids, *scan.grids, *append.grids):
        assert all(size <= most for size, most in zip(grid, (2**31 - 1, 65_535, 65_535), strict=False)), grid
    assert len(score.grids) == 1 and len(scan.grids) == len(append.grids) > 0


@pytest.mark.parametrize("place", ["device", "pinned"])
def test_full_vectors_may_be_on_the_host(device, place):
    rng = np.random.default_rng(7)
    vectors, queries = whole_numbers(rng, 400, 20), whole_numbers(rng, 10, 20)
    targets = DeviceTargets.build(vectors, Metric.INNER_PRODUCT, device, 0, place)
    assert targets.vectors.is_pinned() == (place == "pinned" and device.type == "cuda")
    found = DeviceIndex(targets, IndexSetting(), SMALL).search(queries, 5)
    assert_exact(found, exact_scores(vectors, queries, Metric.INNER_PRODUCT), 5)


@pytest.mark.parametrize("metric", EVERY)
def test_compiled_kernels_search_many_targets(cuda, metric):
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(100_000, 128)).astype(np.float32)
    queries = vectors[:5000] + rng.normal(size=(5000, 128)).astype(np.float32)
    setting = IndexSetting(metric=metric, device="cuda")
    found = DeviceIndex.build(vectors, setting).search(queries, 25)
    expected = DeviceIndex.build(vectors, setting, plan=SearchPlan(fused=False)).search(queries, 25)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-4)
    assert (found.targets == expected.targets).mean() > 0.999
    assert_exact(
        type(found)(found.targets[:50], found.scores[:50]), exact_scores(vectors, queries[:50], metric), 25, 1e-3
    )


def test_what_has_no_score_is_refused(device):
    vectors = np.random.default_rng(6).normal(size=(50, 8)).astype(np.float32)
    broken = vectors.copy()
    broken[17, 3] = np.nan
    with pytest.raises(
        DataError, match=r"target vectors hold NaN, infinity or numbers of 1e\+16 and more, first in row 17"
    ):
        built(broken, device)
    index = built(vectors, device, Metric.COSINE)
    with pytest.raises(DataError, match=r"queries hold NaN, infinity or numbers of 1e\+16 and more, first in row 17"):
        index.search(broken, 3)
    with pytest.raises(DataError, match="queries have 5 channels and the index 8"):
        index.search(np.ones((2, 5), np.float32), 3)
