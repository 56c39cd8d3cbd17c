"""A stage's fingerprint follows everything that its result depends on."""

import pytest
from rich.console import Console

from gnnscale.config import build_settings
from gnnscale.launch.stages import GraphStage, Work


def graph_inputs(content: dict) -> dict:
    return GraphStage(Work(build_settings(content), Console())).inputs()


def test_the_graph_stage_runs_again_for_another_window(shop_content):
    # The window places the validation anchor, up to which statistics are fit.
    text = shop_content["query"]["text"].replace("0, 7", "0, 14")
    other = {**shop_content, "query": {**shop_content["query"], "text": text}}
    assert graph_inputs(shop_content) == graph_inputs(shop_content)
    assert graph_inputs(other) != graph_inputs(shop_content)


@pytest.mark.parametrize(
    "change", [{"graph": {"max_categories": 3}}, {"anchors": {"step_days": 1}}, {"anchors": {"test": "2024-02-20"}}]
)
def test_the_graph_stage_runs_again_for_other_settings(shop_content, change):
    assert graph_inputs({**shop_content, **change}) != graph_inputs(shop_content)


def test_the_graph_stage_does_not_run_again_for_another_model(shop_content):
    assert graph_inputs({**shop_content, "model": {"channels": 9}}) == graph_inputs(shop_content)
