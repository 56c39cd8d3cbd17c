"""The grouped index on a device, in plain torch: exact within the clusters that the host's form looks at too."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.retrieval.index.gpu import grouped_device_index
from gnnscale.retrieval.index.gpu.device_index import DeviceIndex
from gnnscale.retrieval.index.gpu.grouped_device_index import GroupedDeviceIndex
from gnnscale.retrieval.index.gpu.plan import SearchPlan
from gnnscale.retrieval.index.grouped.grouped_index import GroupedIndex
from gnnscale.retrieval.index.kinds.grouped import Grouped
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import ConfigError, DataError
from tests.gpu.exact_cases import assert_exact, exact_scores, whole_numbers

CPU = torch.device("cpu")
PLAIN = SearchPlan(sample=320, growth=2, fused=False)


def setting_of(nlist, nprobe, metric=Metric.INNER_PRODUCT):
    setting = IndexSetting("grouped", metric, threads=2, seed=3)
    return setting.with_options(nlist=nlist, nprobe=nprobe, precision="fp32")


def built(vectors, nlist, nprobe, metric=Metric.INNER_PRODUCT, plan=PLAIN):
    return GroupedDeviceIndex.build(vectors, setting_of(nlist, nprobe, metric), CPU, plan)


def around_centers(rng, rows, channels=24, centers=30, noise=0.5):
    middle = rng.normal(size=(centers, channels)) * 2
    return (middle[rng.integers(0, centers, rows)] + rng.normal(size=(rows, channels)) * noise).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    targets=st.integers(1, 900),
    channels=st.integers(1, 40),
    nlist=st.integers(1, 20),
    k=st.integers(1, 60),
)
def test_all_clusters_are_searched_as_by_brute_force(seed, targets, channels, nlist, k):
    rng = np.random.default_rng(seed)
    vectors, queries = whole_numbers(rng, targets, channels), whole_numbers(rng, 6, channels)
    queries[0] = 0
    index = built(vectors, nlist, 1).with_width(10_000)
    assert_exact(index.search(queries, k), exact_scores(vectors, queries, Metric.INNER_PRODUCT), k)


@pytest.mark.parametrize("metric", [Metric.INNER_PRODUCT, Metric.COSINE])
def test_some_clusters_hold_what_those_of_the_host_do(metric):
    rng = np.random.default_rng(1)
    vectors = around_centers(rng, 6000, noise=2.0)
    queries = vectors[:600] + rng.normal(size=(600, 24)).astype(np.float32) / 10
    index = built(vectors, 60, 6, metric)
    host = GroupedIndex.build(vectors, setting_of(60, 6, metric))
    np.testing.assert_array_equal(index.clusters.bounds, host.vectors.bounds)
    np.testing.assert_allclose(index.clusters.centroids, host.vectors.centroids, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(index.clusters.gaps, host.vectors.gaps, rtol=1e-4, atol=1e-6)
    scores = exact_scores(vectors, queries, metric)
    best = np.sort(scores, axis=1)[:, ::-1][:, :10]
    shares = []
    for one in (index, host):
        found = one.search(queries, 10)
        assert (np.diff(found.scores, axis=1) <= 0).all()
        np.testing.assert_allclose(found.scores, np.take_along_axis(scores, found.targets, 1), rtol=1e-4, atol=1e-4)
        shares.append((found.scores >= best[:, -1:] - 1e-4).mean())
    assert shares[0] == pytest.approx(shares[1], abs=0.01) and 0.5 < shares[0] < 0.999
    looked_at = len(index._looked_at(index.targets.compared.ask(torch.from_numpy(queries)))[0]) / len(queries)
    assert 3 < looked_at < 12


def test_few_of_a_large_cluster_are_scored(monkeypatch):
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(20_000, 16)).astype(np.float32)
    scored = []
    whole = GroupedDeviceIndex._best_of_all
    monkeypatch.setattr(
        GroupedDeviceIndex, "_best_of_all", lambda self, asked, *args: scored.append(1) or whole(self, asked, *args)
    )
    found = built(vectors, 1, 1, plan=SearchPlan(fused=False)).search(vectors[:50], 10)
    assert not scored
    assert_exact(found, exact_scores(vectors, vectors[:50], Metric.INNER_PRODUCT), 10, 1e-3)


def test_queries_without_a_direction_look_at_as_many_clusters_as_others_may():
    rng = np.random.default_rng(9)
    index = built(around_centers(rng, 3000), 300, 2)
    queries = np.zeros((40, 24), np.float32)
    rows, lists, _ = index._looked_at(index.targets.compared.ask(torch.from_numpy(queries)))
    assert torch.bincount(rows).tolist() == [128] * 40 and int(lists.max()) < len(index.clusters)
    assert (index.search(queries, 5).scores == 0).all()


def test_as_many_queries_go_together_as_the_device_has_room_for(monkeypatch):
    vectors = around_centers(np.random.default_rng(10), 2000)
    index = built(vectors, 20, 2)
    assert index._together(10) == grouped_device_index.TOGETHER
    monkeypatch.setattr(grouped_device_index, "free_bytes", lambda device: 40 << 20)
    fewer = [index._together(10), index._together(1000), index.with_width(20)._together(10)]
    assert grouped_device_index.TOGETHER > fewer[0] > fewer[1] >= grouped_device_index.LEAST_TOGETHER
    assert fewer[2] <= fewer[0]


def test_vectors_without_structure_are_searched_exactly():
    asked = IndexSetting("grouped", device="cuda").with_options(nlist=64, nprobe=1)
    assert Grouped.better_suited(asked, asked.with_options(nprobe=8)) is None
    other = Grouped.better_suited(asked, asked.with_options(nprobe=32))
    assert other is not None and (other.kind, other.device) == ("flat", "cuda")
    host = IndexSetting("grouped").with_options(nlist=64, nprobe=1)
    again = Grouped.better_suited(host, host.with_options(nprobe=32))
    assert again is not None and (again.kind, again.options.nlist) == ("grouped", 1)


def test_pieces_of_any_size_give_the_same(monkeypatch):
    rng = np.random.default_rng(2)
    vectors, queries = around_centers(rng, 3000), around_centers(rng, 300)
    wanted = built(vectors, 25, 3).search(queries, 9)
    monkeypatch.setattr(grouped_device_index, "CELLS", 700)
    monkeypatch.setattr(grouped_device_index, "TOGETHER", 77)
    found = built(vectors, 25, 3, plan=SearchPlan(sample=16, growth=3, fused=False)).search(queries, 9)
    np.testing.assert_array_equal(found.targets, wanted.targets)
    np.testing.assert_array_equal(found.scores, wanted.scores)


def test_equal_vectors_have_no_room_and_are_found_in_order():
    rng = np.random.default_rng(4)
    vectors = np.concatenate([whole_numbers(rng, 500, 12), np.repeat(whole_numbers(rng, 1, 12) + 4, 900, axis=0)])
    queries = np.concatenate([vectors[-1:], whole_numbers(rng, 4, 12)])
    index = built(vectors, 12, 1).with_width(10_000)
    assert len(index.clusters) > 12 and np.diff(index.clusters.bounds).max() < 900
    assert_exact(index.search(queries, 6), exact_scores(vectors, queries, Metric.INNER_PRODUCT), 6)


def test_fewer_than_asked_for_end_in_none():
    vectors = np.concatenate([np.full((3, 4), 9.0), -np.full((200, 4), 9.0)]).astype(np.float32)
    vectors += np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32) / 10
    found = built(vectors, 2, 1).search(np.ones((2, 4), np.float32), 5)
    assert found.targets[:, 3:].tolist() == [[-1, -1]] * 2 and sorted(found.targets[0, :3]) == [0, 1, 2]
    assert np.isneginf(found.scores[:, 3:]).all()


def test_files_are_those_of_the_host_and_the_other_way_round(tmp_path):
    rng = np.random.default_rng(5)
    vectors, queries = around_centers(rng, 4000), around_centers(rng, 200)
    index = built(vectors, 40, 4, Metric.COSINE)
    wanted = index.search(queries, 8)
    index.write(tmp_path)
    setting = setting_of(40, 4, Metric.COSINE)
    again = GroupedDeviceIndex.open(tmp_path, setting, CPU, PLAIN).search(queries, 8)
    np.testing.assert_array_equal(again.targets, wanted.targets)
    np.testing.assert_array_equal(again.scores, wanted.scores)
    host = Grouped.open(tmp_path, setting).search(queries, 8)
    assert (host.targets == wanted.targets).mean() > 0.95
    (tmp_path / "host").mkdir()
    Grouped.build(vectors, setting, tmp_path / "host")
    there = GroupedDeviceIndex.open(tmp_path / "host", setting, CPU, PLAIN).search(queries, 8)
    assert (there.targets == host.targets).mean() > 0.95


def test_all_clusters_find_what_exact_search_does():
    rng = np.random.default_rng(6)
    vectors, queries = around_centers(rng, 3000, 100), around_centers(rng, 100, 100)
    exact = DeviceIndex.build(vectors, IndexSetting(), CPU, PLAIN).search(queries, 12)
    found = built(vectors, 30, 1).with_width(10_000).search(queries, 12)
    np.testing.assert_array_equal(found.targets, exact.targets)
    np.testing.assert_array_equal(found.scores, exact.scores)


def test_nothing_is_stronger_than_what_loses_nothing():
    host = IndexSetting("grouped").with_options(precision="bf16")
    assert Grouped.stronger(host) == host.with_options(precision="fp32")
    assert Grouped.stronger(IndexSetting("grouped", device="cuda").with_options(precision="bf16")) is None


def test_bad_input_and_a_missing_device_are_named():
    vectors = around_centers(np.random.default_rng(7), 300)
    index = built(vectors, 5, 1)
    with pytest.raises(DataError, match="queries have 3 channels and the index 24"):
        index.search(np.ones((1, 3), np.float32), 1)
    with pytest.raises(DataError, match="zero"):
        built(np.zeros((3, 2), np.float32), 1, 1, Metric.COSINE)
    assert len(index.search(np.empty((0, 24), np.float32), 4).targets) == 0
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="an index on cuda needs a CUDA device"):
            Grouped.build(vectors, IndexSetting("grouped", device="cuda"), None)
