"""An index is searched as thoroughly as its recall asks for, and no weaker one is kept."""

import numpy as np
import pytest

from gnnscale.retrieval.index.choose import Workload, choose_setting
from gnnscale.retrieval.index.index_size import codes_for, nlist_for
from gnnscale.retrieval.index.metric import Metric
from gnnscale.retrieval.index.recall import Recall, Sample, build_for_recall, exact_neighbors
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import DataError
from tests.retrieval.test_index import clustered, naive


def test_exact_search_is_that_of_the_definition_in_pieces(tmp_path):
    vectors, queries = clustered(300_000, 8), clustered(5, 8, seed=1)
    np.save(tmp_path / "v.npy", vectors)
    for metric in Metric:
        found = exact_neighbors(np.load(tmp_path / "v.npy", mmap_mode="r"), queries, 20, metric)
        scores = naive(vectors, queries, metric)
        np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :20], rtol=1e-4, atol=1e-4)
        expected = np.take_along_axis(scores, found.targets, 1)
        np.testing.assert_allclose(expected, found.scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["grouped", "ivf_flat", "ivf_pq", "hnsw"])
def test_the_search_widens_until_the_recall_is_there(kind):
    vectors, queries = clustered(4000), clustered(2000, seed=1)
    sample = Sample.draw(queries, vectors, 10, Metric.INNER_PRODUCT, 400, seed=0)
    setting = IndexSetting.of(kind, nlist=64, codes=12, refine=32)
    index, recall = build_for_recall(vectors, setting, sample, 0.9)
    assert index.setting.kind == kind
    assert recall.low >= 0.9
    assert recall == sample.recall(index)
    widths = index.setting.widths()
    weaker = [width for width in widths if width < index.setting.search_width]
    assert weaker, "the first width should not do"
    assert sample.recall(index.with_width(weaker[-1])).low < 0.9
    # Other queries are answered as well, within what the sample can say.
    assert Sample.draw(queries, vectors, 10, Metric.INNER_PRODUCT, 400, seed=1).recall(index).high >= 0.9


def test_below_the_recall_goes_on_to_exact_search_or_is_an_error():
    vectors = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
    sample = Sample.draw(vectors, vectors, 10, Metric.INNER_PRODUCT, 300, seed=0)
    setting = IndexSetting.of("hnsw", links=2, ef_search=1)
    index, recall = build_for_recall(vectors, setting, sample, 0.98)
    assert index.setting.kind == "flat"
    assert recall.mean == 1
    with pytest.raises(DataError, match=r"most thorough hnsw index has recall@10 0\.\d+ .* below the 0.98 asked for"):
        build_for_recall(vectors, setting, sample, 0.98, escalate=False)
    again, same = build_for_recall(vectors, IndexSetting.of("ivf_flat", nlist=16), sample, 0.98, escalate=False)
    assert again.setting.search_width > 1 and same.low >= 0.98, "the search is widened without escalation, too"


def test_an_interval_holds_the_mean_and_narrows():
    few, many = (Recall.of(np.tile([1.0, 0.9], n), 10) for n in (10, 1000))
    assert few.low < many.low < 0.95 < many.high < few.high
    assert Recall.of(np.ones(50), 10).high == 1
    assert 0.9 < Recall.of(np.ones(50), 10).low < 1
    assert str(Recall.of(np.ones(50), 10)) == "recall@10 1.0000 (0.9287 to 1.0000, 50 queries)"


@pytest.mark.parametrize(
    ("workload", "metric", "kind"),
    [
        (Workload(5_000, 64, 10**9, 1 << 34, 2), Metric.INNER_PRODUCT, "flat"),
        (Workload(100_000, 64, 10_000, 1 << 34, 2), Metric.INNER_PRODUCT, "flat"),
        (Workload(10_000_000, 128, 10_000_000, 12 << 30, 2), Metric.INNER_PRODUCT, "grouped"),
        (Workload(10_000_000, 128, 10_000_000, 12 << 30, 2), Metric.COSINE, "grouped"),
        (Workload(10_000_000, 128, 10_000_000, 12 << 30, 2), Metric.L2, "ivf_pq"),
        (Workload(10_000_000, 128, 10_000_000, 4 << 30, 2), Metric.L2, "ivf_flat"),
        (Workload(10_000_000, 128, 5_000, 12 << 30, 2), Metric.L2, "hnsw"),
    ],
)
def test_the_choice_follows_size_and_metric(workload, metric, kind):
    setting = choose_setting(workload, metric)
    assert setting.kind == kind
    assert choose_setting(workload, metric, "ivf_flat").kind == "ivf_flat"


@pytest.mark.parametrize("metric", [Metric.INNER_PRODUCT, Metric.L2])
def test_a_gpu_searches_exactly_while_clusters_are_expected_to_take_longer(metric):
    def kind(targets, cores, device="cuda"):
        return choose_setting(Workload(targets, 128, targets, 64 << 30, cores), metric, device=device).kind

    assert kind(10_000, 2) is kind(3_000_000, 64) is kind(10_000_000, 2) == "flat"
    # Exact search takes a hundred times as long for ten times as many; clusters on many cores do not.
    assert kind(100_000_000, 64) != "flat"
    assert kind(3_000_000, 2, "cpu") != "flat"


def test_lists_and_codes_suit_the_targets():
    assert [nlist_for(n) for n in (1, 100, 50_000, 1_000_000, 10_000_000)] == [1, 2, 256, 1024, 4096]
    assert [codes_for(n) for n in (128, 48, 30, 7, 1)] == [64, 24, 15, 1, 1]


def test_vectors_without_structure_go_into_one_list():
    vectors = np.random.default_rng(0).normal(size=(5000, 96)).astype(np.float32)
    sample = Sample.draw(vectors, vectors, 10, Metric.INNER_PRODUCT, 300, seed=0)
    index, recall = build_for_recall(vectors, IndexSetting.of("grouped", nlist=64), sample, 0.98)
    assert (index.setting.kind, index.setting.options.nlist) == ("grouped", 1)
    assert recall.low >= 0.98
