"""Options of an implementation are read in one way, whatever its kind, and none are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gnnscale.config import Positive, Section, read_options
from gnnscale.config.sections.text import TextSettings
from gnnscale.etl.text import open_encoder
from gnnscale.retrieval import IndexSetting
from gnnscale.sampling import NegativeRule
from gnnscale.schema import INDEX_KINDS, NEGATIVES, TEXT_ENCODERS, ConfigError, Registry


class WidthOptions(Section):
    """One that is needed."""

    width: Positive


class Plain:
    """Without options."""

    devices = ("cpu",)
    metrics = ("inner_product",)
    width = None

    @classmethod
    def build(cls, options: Section) -> Section:
        return options


class Wide(Plain):
    """With an option."""

    Options = WidthOptions


def of_text(name: str, **options: Any) -> Section:
    found: Any = open_encoder(TextSettings.model_construct(encoder=name, options=options))
    return found


def of_negatives(name: str, **options: Any) -> Any:
    return NegativeRule(name, options=options).options_of(NEGATIVES.find(name))


def of_index(name: str, **options: Any) -> Any:
    return IndexSetting(name).with_options(**options).options


WAYS: list[tuple[Registry[Any], Callable[..., Any]]] = [
    (TEXT_ENCODERS, of_text),
    (NEGATIVES, of_negatives),
    (INDEX_KINDS, of_index),
]


@pytest.mark.parametrize(("registry", "read"), WAYS, ids=[registry.kind for registry, _ in WAYS])
def test_a_class_without_options_has_none(registry: Registry[Any], read: Callable[..., Any]) -> None:
    with registry.temporarily({"plain": Plain}):
        assert read("plain").model_dump() == {}
        with pytest.raises(ConfigError, match=f"{registry.kind} 'plain' has no option 'width'. It has none"):
            read("plain", width=2)


@pytest.mark.parametrize(("registry", "read"), WAYS, ids=[registry.kind for registry, _ in WAYS])
def test_what_is_wrong_with_options_is_told_alike(registry: Registry[Any], read: Callable[..., Any]) -> None:
    needs = pytest.raises(ConfigError, match=f"{registry.kind} 'wide' needs a width")
    with registry.temporarily({"wide": Wide}), needs:
        read("wide")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "thing 'wide' needs a width"),
        ({"width": 0}, "option 'width' of thing 'wide' is 0: input should be greater than 0"),
        ({"width": 1, "widht": 2}, r"thing 'wide' has no option 'widht'. Did you mean 'width'\? Allowed: width"),
    ],
)
def test_an_option_is_named_with_its_kind(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_options("thing", "wide", Wide, options)
