"""Triton's kernels find what brute force does where they scan one cluster after the other."""

import numpy as np
import pytest

from gnnscale.retrieval.index.gpu.grouped_device_index import GroupedDeviceIndex
from gnnscale.retrieval.index.gpu.plan import SearchPlan
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.setting import IndexSetting
from tests.gpu.exact_cases import assert_exact, exact_scores, whole_numbers

SMALL = SearchPlan(sample=320, growth=2, fused=True)


def built(vectors, device, metric=Metric.INNER_PRODUCT):
    setting = IndexSetting("grouped", metric, threads=1).with_options(nlist=6, nprobe=1)
    return GroupedDeviceIndex.build(vectors, setting, device, SMALL).with_width(10_000)


@pytest.mark.parametrize("metric", [Metric.INNER_PRODUCT, Metric.COSINE])
def test_the_best_of_all_clusters_are_those_of_brute_force(device, metric):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(600, 40)).astype(np.float32)
    queries = rng.normal(size=(30, 40)).astype(np.float32)
    assert_exact(built(vectors, device, metric).search(queries, 7), exact_scores(vectors, queries, metric), 7, 1e-4)


def test_more_targets_than_a_cluster_has_are_those_of_brute_force(device):
    rng = np.random.default_rng(2)
    vectors, queries = whole_numbers(rng, 200, 12), whole_numbers(rng, 10, 12)
    index = built(vectors, device)
    assert np.diff(index.clusters.bounds).min() < 60
    assert_exact(index.search(queries, 60), exact_scores(vectors, queries, Metric.INNER_PRODUCT), 60)


def test_equal_vectors_overflow_all_room_and_are_found_in_order(device):
    rng = np.random.default_rng(4)
    vectors = np.concatenate([whole_numbers(rng, 200, 12), np.repeat(whole_numbers(rng, 1, 12) + 4, 300, axis=0)])
    queries = np.concatenate([vectors[-1:], whole_numbers(rng, 4, 12)])
    assert_exact(built(vectors, device).search(queries, 6), exact_scores(vectors, queries, Metric.INNER_PRODUCT), 6)
