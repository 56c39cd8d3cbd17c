"""Which network a configuration asks for, and which of its values that network has no use for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gnnscale.config.implementation import AUTO, split_implementation
from gnnscale.schema import NETWORKS, ConfigError

if TYPE_CHECKING:
    from gnnscale.config.sections.settings import Settings

NETWORK_KEYS = (
    "model.convolution",
    "model.sequence",
    "model.pinsage",
    "model.lightgcn",
    "model.entity_start",
    "model.target_hidden",
    "model.temperature",
    "sampling.strategy",
    "sampling.walks",
    "sampling.roots",
    "training.source",
    "training.objective",
    "training.negative_strategy",
    "training.hard_walks",
    "training.rank_depth",
    "training.sampler",
    "training.feature_type",
    "training.cuda_graphs",
    "embedding.method",
)
"""What not every network can do; a network says which of these it can, and with which values."""


def candidate_networks(settings: Settings) -> tuple[Any, ...]:
    """The network that is named, or those that ``auto`` stands for, as the type of the task decides.

    Raises:
        ConfigError: there is no such network.
    """
    if settings.model.network != AUTO:
        return (NETWORKS.find(settings.model.network),)
    return tuple(network for network in map(NETWORKS.find, NETWORKS.names()) if network.automatic)


def changed_keys(settings: Settings) -> dict[str, Any]:
    """Those of :data:`NETWORK_KEYS` whose values are not the default, with these."""
    return _changed(settings, NETWORK_KEYS)


def ignored_keys(settings: Settings, network: Any, aside: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Keys that are not at their default, and that a network has no use for: unlike others it need not refuse them.

    Args:
        settings: the configuration.
        network: what is trained.
        aside: key -> values that are nobody's wish, as those that a run mode sets.
    """
    return tuple(key for key, value in _changed(settings, network.ignores).items() if value not in aside.get(key, ()))


def _changed(settings: Settings, keys: Sequence[str]) -> dict[str, Any]:
    changed = {}
    for key in keys:
        part, _, name = key.partition(".")
        section = getattr(settings, part)
        if (value := getattr(section, name)) != type(section).model_fields[name].get_default():
            changed[key] = value
    return changed


def check_network(settings: Settings) -> None:
    """Refuse what the network has no use for; where it is not known yet which one it is, what none of them has.

    Nothing is imported where all is at its default.

    Raises:
        ConfigError: the message names the key, its value, who could use it, and what is allowed.
    """
    changed = changed_keys(settings)
    if settings.model.network == AUTO and not changed:
        return
    candidates = candidate_networks(settings)
    refuse_keys(changed, candidates, settings.model.network)
    if settings.model.network != AUTO:
        candidates[0].check(settings)
    _refuse_what_needs_a_gpu(settings)


def _refuse_what_needs_a_gpu(settings: Settings) -> None:
    training = settings.training
    if training.gpu != "no":
        return
    asked = {"sampler": training.sampler == "gpu", "cuda_graphs": training.cuda_graphs}
    for name in (name for name, needs_gpu in asked.items() if needs_gpu):
        value = str(getattr(training, name)).lower()
        raise ConfigError(f"training.{name}={value} is for training on a GPU, and training.gpu=no; leave one out")


def refuse_keys(changed: dict[str, Any], networks: Sequence[Any], name: str) -> None:
    """Refuse values that none of some networks can use.

    Args:
        changed: key -> value that is not the default.
        networks: of which one will be taken.
        name: of these, for the message.

    Raises:
        ConfigError: as in :func:`check_network`.
    """
    for key, value in changed.items():
        if any(_can_use(network, key, value) for network in networks):
            continue
        every = [(other, NETWORKS.find(other)) for other in NETWORKS.names()]
        able = [other for other, network in every if _can_use(network, key, value)]
        uses = [network.choices(key) or () for network in networks]
        allowed = list(dict.fromkeys(choice for choices in uses for choice in choices))
        known = ", ".join(map(str, allowed)) or "its default"
        named = _named(value)
        shown = f"{key}={named}" if isinstance(named, str | int | float | bool) else key
        owner = f"is for model.network={' or '.join(able)}" if able else "is for no network"
        raise ConfigError(f"{shown} {owner}; with model.network={name}, allowed: {known}")


def _can_use(network: Any, key: str, value: Any) -> bool:
    """Whether a network can use a value; one that lists no choices for a key takes any."""
    choices = network.choices(key)
    return choices is not None and (not choices or _named(value) in choices)


def _named(value: Any) -> Any:
    """A value without options, where it is an implementation that has some."""
    return split_implementation(value)[0] if isinstance(value, dict) else value
