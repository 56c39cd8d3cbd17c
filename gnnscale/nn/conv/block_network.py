"""Layers of convolutions over a heterogeneous block, one for each hop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnscale.batches import Categories
from gnnscale.nn.conv.sage import SAGEConv
from gnnscale.nn.encoders.category_encoder import CategoryEncoder
from gnnscale.sampling import Path
from gnnscale.schema import ConfigError

Convolution = Callable[[int, int, int], nn.Module]
"""Makes a convolution from the channels of parents, of children and of the message."""


@dataclass(frozen=True)
class HopTree:
    """The paths of blocks from nodes of a table, as a network has them.

    Args:
        hops: edge types from a seed to each hop, shorter ones first.
        table: of the seeds.
    """

    hops: tuple[Path, ...]
    table: str

    @property
    def paths(self) -> tuple[Path, ...]:
        """The seeds' own, which is empty, and those of the hops."""
        return ((), *self.hops)

    @property
    def depth(self) -> int:
        """Hops of the longest."""
        return max(map(len, self.paths))

    def table_of(self, path: Path) -> str:
        """Table of the nodes at the end of a path."""
        return path[-1].target if path else self.table


class BlockNetwork(nn.Module):
    """As many layers as the block has hops; a node's next state is its own term plus the messages of every edge type.

    Layer l is computed for the nodes whose neighborhood is still there: seeds in all layers, those of the last hop in
    none. Weights of a layer are shared by all nodes of a table and all edges of a type (Schlichtkrull et al., 2018:
    equation 2, with a convolution of choice).

    Args:
        paths: edge types from a seed to each hop, as the sampler has them.
        table: of the seeds.
        inputs: table -> channels of its nodes' features.
        hidden: channels of every layer but the last.
        out: channels of the last layer.
        convolution: of every edge type and layer.
        categories: table -> of its categorical and multicategorical columns; tables that have none are left out, and
            of those that are left out none are seen.
        category_channels: of the vector that a node's categories add to its features.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        table: str,
        inputs: Mapping[str, int],
        hidden: int,
        out: int,
        convolution: Convolution = SAGEConv,
        categories: Mapping[str, Categories] | None = None,
        category_channels: int = 24,
    ) -> None:
        super().__init__()
        self._tree = HopTree(tuple(paths), table)
        self.paths, self.depth = self._tree.paths, self._tree.depth
        self.categories, known = nn.ModuleDict(), dict(categories or {})
        # By name, so that fresh weights don't depend on the mapping's order.
        for name in sorted({self.table_of(path) for path in self.paths} & known.keys()):
            self.categories[own_name(name)] = CategoryEncoder(known[name], category_channels)
        self.own, self.messages = nn.ModuleList(), nn.ModuleList()
        for layer in range(self.depth):
            own, messages = nn.ModuleDict(), nn.ModuleDict()
            width = out if layer == self.depth - 1 else hidden

            def channels(path: Path, layer: int = layer) -> int:
                if layer > 0:
                    return hidden
                name = self.table_of(path)
                return inputs[name] + category_channels * (own_name(name) in self.categories)

            for path in self._alive(layer):
                if own_name(self.table_of(path)) not in own:
                    own[own_name(self.table_of(path))] = nn.Linear(channels(path), width)
                for child in self._children(path):
                    name = child[-1].table_name
                    if name not in messages:
                        messages[name] = convolution(channels(path), channels(child), width)
            self.own.append(own)
            self.messages.append(messages)

    def forward(
        self,
        features: Mapping[Path, Tensor],
        present: Mapping[Path, Tensor],
        weights: Mapping[Path, Tensor] | None = None,
        codes: Mapping[Path, Tensor] | None = None,
    ) -> Tensor:
        """Seeds to ``[batch, out]``.

        Args:
            features: of the seeds, under ``()``, and of every hop: ``[batch, fanout 1, ..., fanout n, channels]``.
            present: which slots of every hop hold a node, bool ``[batch, fanout 1, ..., fanout n]``.
            weights: of the nodes of a hop, same shape.
            codes: as ``features``, int32 ``[batch, fanout 1, ..., fanout n, codes]``, where a table has categories.
        """
        state = {
            path: self.encode(self.table_of(path), values, present[path], codes.get(path) if codes else None)
            for path, values in features.items()
        }
        for layer in range(self.depth):
            following = {}
            for path in self._alive(layer):
                value = self.own[layer][own_name(self.table_of(path))](state[path])  # type: ignore[index]
                for child in self._children(path):
                    convolve = self.messages[layer][child[-1].table_name]  # type: ignore[index]
                    share = weights.get(child) if weights else None
                    value = value + convolve(state[path], state[child], present[child], share)
                following[path] = self.finish(value, layer)
            state = following
        return state[()]

    def finish(self, value: Tensor, layer: int) -> Tensor:
        """The state of some nodes from the sum of their own term and their messages.

        Args:
            value: ``[..., channels]``.
            layer: from 0.

        Returns:
            ``[..., width]``, the layer's :meth:`width`.
        """
        return functional.relu(value) if layer < self.depth - 1 else value

    def width(self, layer: int) -> int:
        """Channels of a node's state after a layer, from 0."""
        return int(next(iter(self.own[layer].values())).out_features)  # type: ignore[operator]

    def encode(self, table: str, features: Tensor, present: Tensor, codes: Tensor | None) -> Tensor:
        """First state of some nodes: their features, and what their categories say where the table has any.

        Args:
            table: of the nodes.
            features: ``[..., channels]``.
            present: which slots hold a node, bool ``[...]``.
            codes: int32 ``[..., codes]``; None where the table has no categories.

        Raises:
            ConfigError: the network was built for the table's categories, and there are no codes.
        """
        if not torch.is_autocast_enabled(features.device.type):
            # What was gathered for a network under autocast meets weights of another type without it.
            features = features.to(next(self.own.parameters()).dtype)
        if own_name(table) not in self.categories:
            return features
        if codes is None:
            raise ConfigError(f"the network was built for categories of '{table}', and was given no codes of them")
        vectors = self.categories[own_name(table)](codes, present)
        return torch.cat([features, vectors.to(features.dtype)], dim=-1)

    def table_of(self, path: Path) -> str:
        """Table of the nodes at the end of a path."""
        return self._tree.table_of(path)

    def _alive(self, layer: int) -> list[Path]:
        return [path for path in self.paths if len(path) < self.depth - layer]

    def _children(self, path: Path) -> list[Path]:
        return [child for child in self.paths if child and child[:-1] == path]


def own_name(table: str) -> str:
    """Name of a table's own term in a layer: a module can't be called like a method, as one of ``items`` would be."""
    return f"nodes_{table}"
