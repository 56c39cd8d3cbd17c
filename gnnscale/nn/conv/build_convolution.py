"""Convolutions by the name and the options that a configuration gives."""

from __future__ import annotations

from functools import partial

from gnnscale.config import Implementation, read_options, split_implementation
from gnnscale.nn.conv.block_network import Convolution
from gnnscale.schema import CONVOLUTIONS


def build_convolution(setting: Implementation) -> Convolution:
    """What makes the convolutions of a network, from the channels of parents, of children and of the message.

    A convolution is a module of :data:`gnnscale.schema.CONVOLUTIONS` that is made from these three and from its
    options, which it states as a section ``Options``, and is called as :class:`gnnscale.nn.SAGEConv` is.

    Args:
        setting: ``model.convolution``, no ``auto``.

    Raises:
        ConfigError: there is no such convolution or option.
    """
    name, options = split_implementation(setting)
    convolution = CONVOLUTIONS.find(name)
    section = read_options(CONVOLUTIONS.kind, name, convolution, options)
    made: Convolution = partial(convolution, **section.model_dump())
    return made
