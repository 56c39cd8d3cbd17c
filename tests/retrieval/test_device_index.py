"""Exact search on a device in plain torch, without Triton: what it finds, holds and refuses."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.lake import Lake
from gnnscale.retrieval.index.gpu.compared import Compared
from gnnscale.retrieval.index.gpu.device_index import DeviceIndex
from gnnscale.retrieval.index.gpu.device_targets import choose_placement
from gnnscale.retrieval.index.gpu.equal_targets import find_equal, hash_rows
from gnnscale.retrieval.index.gpu.ordered import as_keys, ids_of, scores_of
from gnnscale.retrieval.index.gpu.plan import SearchPlan
from gnnscale.retrieval.index.make_index import build_index
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.recall import Recall
from gnnscale.retrieval.index.saved import VECTORS, IndexManifest, building_folder, load_index, save_index
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import ConfigError, DataError
from tests.gpu.exact_cases import assert_exact, exact_scores, whole_numbers

CPU = torch.device("cpu")
PLAIN = SearchPlan(queries=50, sample=60, growth=3, fused=False)


def built(vectors, metric=Metric.INNER_PRODUCT, plan=PLAIN):
    return DeviceIndex.build(vectors, IndexSetting(metric=metric), CPU, plan)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    targets=st.integers(1, 900),
    channels=st.integers(1, 140),
    k=st.integers(1, 60),
    metric=st.sampled_from([Metric.INNER_PRODUCT, Metric.L2]),
    most=st.sampled_from([1, 3, 100, 1000]),
)
def test_whole_numbers_are_ranked_as_by_brute_force(seed, targets, channels, k, metric, most):
    rng = np.random.default_rng(seed)
    vectors, queries = whole_numbers(rng, targets, channels, most), whole_numbers(rng, 6, channels, most)
    if most**2 * channels * 4 > 2**24:
        vectors, queries = vectors // 64, queries // 64
    assert_exact(built(vectors, metric).search(queries, k), exact_scores(vectors, queries, metric), k)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_lengths_of_any_size_are_ranked_as_by_brute_force(metric, scale):
    rng = np.random.default_rng(1)
    vectors = (rng.normal(size=(3000, 40)) * rng.lognormal(0, 2, (3000, 1)) * scale).astype(np.float32)
    queries = (rng.normal(size=(120, 40)) * scale).astype(np.float32)
    scores = exact_scores(vectors, queries, metric)
    found = built(vectors, metric, SearchPlan(sample=100)).search(queries, 10)
    unit = 1.0 if metric is Metric.COSINE else scale**2
    assert_exact(
        type(found)(found.targets, (found.scores / np.float64(unit)).astype(np.float32)), scores / unit, 10, 2e-3
    )


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    channels=st.integers(1, 300),
    euclidean=st.booleans(),
    scale=st.sampled_from([1e-15, 1.0, 1e15]),
)
def test_no_score_passes_its_limit_in_fp32_and_not_in_bf16(seed, channels, euclidean, scale):
    rng = np.random.default_rng(seed)
    vectors = torch.from_numpy((rng.normal(size=(200, channels)) * scale).astype(np.float32))
    queries = torch.from_numpy((rng.normal(size=(20, channels)) * scale).astype(np.float32))
    queries[0], vectors[1] = vectors[0], 0
    targets = Compared.room(200, channels, euclidean, CPU)
    loss = targets.put(torch.arange(200), vectors)
    assert loss <= 2**-8
    targets = Compared(targets.values, targets.lengths, targets.halves, loss, channels)
    asked = targets.ask(queries)
    upper = asked.values.float() @ targets.values.float().T + asked.slack[:, None] * targets.lengths
    if targets.halves is not None:
        upper -= targets.halves
    terms = queries[:, None, :], vectors[None, :, :]
    scores = -(terms[0] - terms[1]).square().sum(2) if euclidean else (terms[0] * terms[1]).sum(2)
    # Each target's own score is the tightest limit that it must reach.
    limits = torch.stack([asked.limits(scores[:, target]) for target in range(200)], dim=1)
    assert (upper >= limits).all()


def test_vectors_that_are_equal_in_bf16_overflow_all_room_and_are_found_in_order():
    vectors = np.full((3000, 20), 0.7, np.float32)
    vectors[1000:] = 0.1
    # Equal scores, and equal vectors in bf16; in fp32 each is another.
    vectors[:, 0] += np.arange(3000, dtype=np.float32) * 2.0**-22
    index = built(vectors)
    assert len(index.targets.ids) == 3000
    queries = np.tile(vectors[:1], (60, 1))
    queries[:, 0] = 0
    assert (index.search(queries, 4).targets == np.arange(4)).all()


def test_equal_vectors_are_searched_as_one_and_found_in_order(tmp_path):
    vectors = np.full((3000, 20), 0.7, np.float32)
    vectors[1000:] = 0.1
    index = built(vectors)
    assert len(index.targets.ids) == 2 and index.size == 3000
    found = index.search(vectors[:60], 1005)
    assert (found.targets == np.arange(1005)).all()
    assert (np.diff(found.scores[0]) != 0).nonzero()[0].tolist() == [999]
    index.write(tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "exact.npy"), vectors)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), vectors=st.integers(1, 12), k=st.integers(1, 400), euclidean=st.booleans())
def test_some_vectors_that_many_targets_have(seed, vectors, k, euclidean):
    rng = np.random.default_rng(seed)
    several = whole_numbers(rng, vectors, 3, 1)[rng.integers(0, vectors, 300)]
    # Others have vectors of their own, which score between them.
    alone = np.arange(100, dtype=np.float32)[:, None] / 50 - 1
    targets = rng.permutation(np.concatenate([several, np.repeat(alone, 3, axis=1)]))
    queries, metric = whole_numbers(rng, 4, 3, 1), Metric.L2 if euclidean else Metric.INNER_PRODUCT
    index = built(targets, metric)
    assert len(index.targets.ids) == len(np.unique(targets + 0.0, axis=0))
    found, scores = index.search(queries, k), exact_scores(targets, queries, metric)
    assert_exact(found, scores, k, 1e-5)
    order = np.lexsort((found.targets, -found.scores))
    np.testing.assert_array_equal(order, np.broadcast_to(np.arange(found.targets.shape[1]), order.shape))


def test_what_has_the_hash_of_another_by_chance_stands_for_itself():
    vectors = torch.from_numpy(whole_numbers(np.random.default_rng(4), 50, 2, 1))
    position = torch.randperm(50)
    equal = find_equal(torch.zeros(50, dtype=torch.int64), vectors[position.argsort()], position)
    same = (vectors[:, None] == vectors[None]).all(2)
    # Those of the first vector are found, and no other is taken for one of them.
    assert torch.equal(equal.first_of(), torch.where(same[0], 0, torch.arange(50)))
    assert find_equal(hash_rows(vectors[:1]), vectors[:1], position[:1] * 0) is None


def test_targets_that_lie_by_cluster_do_not_fill_the_room():
    rng = np.random.default_rng(2)
    vectors = np.repeat(rng.normal(size=(40, 16)), 50, axis=0) + 0.05 * rng.normal(size=(2000, 16))
    vectors = vectors.astype(np.float32)
    index = built(vectors, plan=SearchPlan(sample=100, fused=False))
    assert_exact(index.search(vectors[::9], 12), exact_scores(vectors, vectors[::9], Metric.INNER_PRODUCT), 12, 1e-4)


def test_keys_order_scores_and_then_ids():
    scores = torch.tensor([0.0, -0.0, 1.5, -2.0, -torch.inf, 3e38, -1e-40, 1e-40])
    ids = torch.tensor([4, 2, 2**31 - 1, 0, 9, 1, 5, -1])
    keys = as_keys(scores, ids)
    order = keys.argsort(descending=True)
    assert ids[order].tolist() == [1, 2**31 - 1, 2, 4, 5, 0, 9, -1]
    assert torch.equal(scores_of(keys)[:-1], scores[:-1]) and torch.equal(ids_of(keys), ids)
    assert float(scores_of(keys)[-1]) == -np.inf


def test_no_more_targets_than_there_are_and_no_queries():
    vectors = whole_numbers(np.random.default_rng(0), 5, 3)
    index = built(vectors)
    assert (np.sort(index.search(vectors, 9).targets, axis=1) == np.arange(5)).all()
    assert index.search(vectors[:0], 3).targets.shape == (0, 3)
    assert index.with_width(4) is index and (index.size, index.channels) == (5, 3)


def test_what_is_kept_in_a_file_is_found_again(tmp_path):
    vectors = np.random.default_rng(1).normal(size=(300, 9)).astype(np.float32)
    index = built(vectors)
    index.write(tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "exact.npy"), vectors)
    again = DeviceIndex.open(tmp_path, IndexSetting(seed=5))
    found, expected = again.search(vectors[:20], 5), index.search(vectors[:20], 5)
    np.testing.assert_array_equal(found.targets, expected.targets)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_an_index_in_the_lake_is_loaded_where_there_is_a_gpu(tmp_path):
    lake, setting = Lake(tmp_path / "lake"), IndexSetting("flat", device="cuda")
    lake.write("embeddings_items", pa.table({"node_id": [0]}))
    vectors = np.random.default_rng(2).normal(size=(300, 9)).astype(np.float32)
    index = DeviceIndex.build(vectors, setting, CPU, PLAIN)
    version = lake.version("embeddings_items")
    manifest = IndexManifest(setting, 300, 9, "embeddings_items", version, 7, Recall(5, 1, 1.0, 0.2, 1.0), 1.0)
    with building_folder(lake, "asked", None) as folder:
        np.save(folder / VECTORS, vectors)
        assert list(save_index(lake, "asked", index, manifest, folder).files) == ["exact.npy", VECTORS]
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="an index on cuda needs a CUDA device"):
            load_index(lake, "asked", 7)
        return
    loaded = load_index(lake, "asked", 7)
    assert (loaded.index.search(vectors[:20], 5).targets == index.search(vectors[:20], 5).targets).all()


def test_what_can_not_be_searched_is_refused():
    vectors = np.ones((50, 8), np.float32)
    with pytest.raises(DataError, match=r"target vectors hold NaN, infinity or numbers of 1e\+16 and more"):
        built(vectors * 1e20)
    with pytest.raises(DataError, match=r"queries hold NaN, infinity or numbers of 1e\+16 and more"):
        built(vectors).search(vectors * 1e20, 2)
    with pytest.raises(ConfigError, match="growth of a search plan is 1; at least 2"):
        SearchPlan(growth=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_error_says_what_to_do():
    vectors = np.ones((50, 8), np.float32)
    with pytest.raises(ConfigError, match=r"needs a CUDA device, and torch sees none; set retrieval.index.device=cpu"):
        build_index(vectors, IndexSetting("flat", device="cuda"))


def test_full_vectors_go_to_the_host_where_the_device_is_small():
    # 128 channels: 268 bytes in bf16 with what goes with them, 512 in fp32.
    assert choose_placement(1_000_000, 128, 1_000_000_000) == "device"
    assert choose_placement(1_000_000, 128, 900_000_000) == "pinned"
    with pytest.raises(ConfigError, match=r"1,000,000 targets of 128 channels take 0.3 GB in bf16, .* has 0.3 GB free"):
        choose_placement(1_000_000, 128, 300_000_000)


PROGRAM = """
import sys
for name in ("faiss", "ray", "pyspark", "numba", "deltalake", "pyarrow", "triton"):
    sys.modules[name] = None
import numpy as np
import torch
from gnnscale.retrieval.index.gpu import DeviceIndex
from gnnscale.retrieval.index.setting import IndexSetting
vectors = np.eye(9, dtype=np.float32)
found = DeviceIndex.build(vectors, IndexSetting(), torch.device("cpu")).search(vectors, 1)
assert found.targets.ravel().tolist() == list(range(9))
"""


def test_it_runs_on_a_host_that_has_torch_alone():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=120)
