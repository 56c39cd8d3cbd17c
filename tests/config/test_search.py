"""A list where one value stands is a search over it; a value that is a list by itself is none."""

import re
from copy import deepcopy

import pytest

from gnnscale.config import build_settings, load_settings
from gnnscale.config.sections.search_space import take_lists, with_values
from gnnscale.schema import ConfigError


def test_lists_of_values_are_searched_over_and_their_first_values_stand(shop_content):
    content = {
        **shop_content,
        "training": {**shop_content["training"], "learning_rate": [0.1, 0.2], "epochs": [4]},
        "model": {**shop_content["model"], "hidden": [8, 16, 32]},
        "sampling": {**shop_content["sampling"], "strategy": ["uniform", "last"]},
    }
    before = deepcopy(content)
    settings = build_settings(content)
    assert content == before
    assert settings.search.space == {
        "sampling.strategy": ("uniform", "last"),
        "model.hidden": (8, 16, 32),
        "training.learning_rate": (0.1, 0.2),
        "training.epochs": (4,),
    }
    assert (settings.training.learning_rate, settings.training.epochs) == (0.1, 4)
    assert (settings.model.hidden, settings.sampling.strategy) == (8, "uniform")
    assert settings.training.batch_size == 16


def test_no_list_no_search(shop_content):
    assert build_settings(shop_content).search.space == {}
    assert take_lists(shop_content) == shop_content
    assert take_lists([1]) == [1] and take_lists(None) is None


@pytest.mark.parametrize(
    ("section", "key", "value", "choices"),
    [
        ("model", "group_columns", ["category"], None),
        ("model", "group_columns", [["category"], ["category", "brand"]], (["category"], ["category", "brand"])),
        ("sampling", "target_hops", [{"purchases.product_id": 6}], None),
        (
            "sampling",
            "target_hops",
            [[{"purchases.product_id": 6}], [{"purchases.product_id": 2}]],
            ([{"purchases.product_id": 6}], [{"purchases.product_id": 2}]),
        ),
    ],
)
def test_a_value_that_is_a_list_by_itself_is_searched_over_as_a_list_of_lists(
    shop_content, section, key, value, choices
):
    settings = build_settings({**shop_content, section: {**shop_content[section], key: value}})
    assert settings.search.space == ({f"{section}.{key}": choices} if choices else {})
    assert getattr(getattr(settings, section), key) == tuple(choices[0] if choices else value)


def test_a_space_that_is_named_wins_over_a_list(shop_content):
    content = {**shop_content, "model": {**shop_content["model"], "hidden": [8, 16]}}
    space = {"model.hidden": [4, 5], "model.channels": [6]}
    settings = build_settings({**content, "search": {"space": space, "trials": 3}})
    assert settings.search.space == {"model.hidden": (4, 5), "model.channels": (6,)}
    assert settings.search.trials == 3


def test_an_empty_list_is_an_error(shop_content):
    with pytest.raises(ConfigError, match=r"training\.epochs"):
        build_settings({**shop_content, "training": {"epochs": []}})


def test_settings_with_a_search_are_the_same_after_json(shop_content):
    settings = build_settings({**shop_content, "training": {"epochs": [1, 2]}})
    assert build_settings(settings.model_dump(mode="json")) == settings


def test_chosen_values_stand_and_leave_nothing_to_search(shop_content):
    content = build_settings({**shop_content, "training": {"epochs": [1, 2], "negatives": 5}}).model_dump(mode="json")
    before = deepcopy(content)
    chosen = build_settings(with_values(content, {"training.epochs": 2, "model.hidden": 9}))
    assert content == before
    assert (chosen.training.epochs, chosen.training.negatives, chosen.model.hidden) == (2, 5, 9)
    assert chosen.search.space == {}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("training.epochs=[1, many]", "training.epochs"),
        ("model.dropout=[0.1, 1.5]", "model.dropout"),
        (
            "search.space={training.epoch: [1]}",
            "search.space can't have 'training.epoch'. Did you mean 'training.epochs'",
        ),
        ("search.space={lake.uri: [a, b]}", "search.space can't have 'lake.uri'"),
    ],
)
def test_a_value_that_no_trial_could_take_is_an_error_at_once(override, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        load_settings("complete_journey", [override])
