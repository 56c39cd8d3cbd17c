"""Figures of throughput follow what was counted."""

import time

import pytest
import torch

from gnnscale.training.throughput import THROUGHPUT, Throughput, throughput_in_words, total_edges


def test_rates_are_counts_over_the_time_since_the_start():
    throughput = Throughput()
    throughput.count(100, 5_000, 0.0)
    throughput.restart()
    time.sleep(0.02)
    throughput.count(30, 900, 0.004)
    throughput.count(10, 300, 0.004)
    figures = throughput.figures()
    assert set(figures) == set(THROUGHPUT) - {"peak_device_gb"}
    assert 0 < figures["seeds_per_second"] <= 40 / 0.02
    assert figures["edges_per_second"] == pytest.approx(30 * figures["seeds_per_second"])
    assert figures["loader_wait"] == pytest.approx(0.008 / 40 * figures["seeds_per_second"])
    assert figures["peak_memory_gb"] > 0.01


@pytest.mark.parametrize(
    ("edges", "words"), [(950.0, "950 edges/s"), (4.2e6, "4.2 M edges/s"), (3e12, "3e+03 G edges/s")]
)
def test_words_take_a_unit_that_fits(edges, words):
    figures = {"seeds_per_second": 12.4, "edges_per_second": edges, "loader_wait": 0.25, "peak_memory_gb": 1.26}
    assert throughput_in_words(figures) == f"12 seeds/s, {words}, waiting 25%, 1.3 GB"
    assert throughput_in_words(figures | {"peak_device_gb": 2.0}).endswith(", 1.3 GB, 2.0 GB of the GPU")


def test_edges_are_counted_on_the_host_and_where_they_are() -> None:
    counted = [3, torch.tensor([2**40]), 5, torch.tensor(7)]
    total = total_edges(counted, torch.device("cpu"))
    assert total.dtype == torch.float64 and int(total) == 2**40 + 15
    assert int(total_edges([4, 5], torch.device("cpu"))) == 9 and int(total_edges([], torch.device("cpu"))) == 0
