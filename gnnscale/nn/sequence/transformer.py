"""PreNorm transformer over sequences that are filled up behind their ends."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from gnnscale.nn.keyed_dropout import KeyedDropout


class TransformerLayer(nn.Module):
    """Self-attention and two dense layers, each of normalised states and added to them (Xiong et al., ICML 2020).

    Args:
        channels: of a state.
        heads: divide them.
        inner: channels between the dense layers.
        dropout: of what is added.
        name: tells its drop-out from others.
    """

    def __init__(self, channels: int, heads: int, inner: int, dropout: float, name: str) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.dense_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.projections = nn.Linear(channels, 3 * channels)
        self.joined = nn.Linear(channels, channels)
        self.dense = nn.Sequential(nn.Linear(channels, inner), nn.GELU(), nn.Linear(inner, channels))
        self.attention_dropout = KeyedDropout(dropout, f"{name}/attention")
        self.dense_dropout = KeyedDropout(dropout, f"{name}/dense")

    def forward(self, states: Tensor, mask: Tensor | None, keys: Tensor) -> Tensor:
        """One layer.

        Args:
            states: ``[batch, length, channels]``.
            mask: which positions a position sees, bool ``[batch, 1, 1, length]``; None for those up to itself: what
                fills a sequence up is behind its end, so that no action sees it.
            keys: of the actions, which drop-out follows, int64 ``[batch * length]``.
        """
        batch, length, channels = states.shape
        query, key, value = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.projections(self.attention_norm(states)).chunk(3, dim=-1)
        )
        seen = scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
        added = self.joined(seen.transpose(1, 2).reshape(batch * length, channels))
        states = states + self.attention_dropout(added, keys).view_as(states)
        added = self.dense(self.dense_norm(states)).view(batch * length, channels)
        return states + self.dense_dropout(added, keys).view_as(states)


class Transformer(nn.Module):
    """Layers over sequences, with learned positions counted from the first action that is read.

    Args:
        channels: of a state.
        layers, heads: of the transformer.
        inner: channels between the dense layers.
        length: most positions.
        dropout: of the inputs and of what each layer adds.
        causal: whether an action sees those before it alone.
    """

    def __init__(
        self, channels: int, layers: int, heads: int, inner: int, length: int, dropout: float, causal: bool
    ) -> None:
        super().__init__()
        self.causal = causal
        self.positions = nn.Embedding(length, channels)
        nn.init.normal_(self.positions.weight, std=0.02)
        self.input_dropout = KeyedDropout(dropout, "actions")
        self.layers = nn.ModuleList(
            TransformerLayer(channels, heads, inner, dropout, f"layer{number}") for number in range(layers)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, actions: Tensor, lengths: Tensor, places: Tensor) -> Tensor:
        """Encoded actions to states.

        Args:
            actions: ``[batch, length, channels]``.
            lengths: actions of each sequence, int64 ``[batch]``.
            places: of the actions, which drop-out follows, int64 ``[batch, length]``.

        Returns:
            ``[batch, length, channels]``.
        """
        batch, length, channels = actions.shape
        columns = torch.arange(length, device=actions.device)
        mask = None if self.causal else (columns < lengths.clamp(min=1).unsqueeze(1))[:, None, None]
        keys = places.reshape(-1)
        states = actions + self.positions(columns)
        states = self.input_dropout(states.view(-1, channels), keys).view(batch, length, channels)
        for layer in self.layers:
            states = layer(states, mask, keys)
        normed: Tensor = self.norm(states)
        return normed
