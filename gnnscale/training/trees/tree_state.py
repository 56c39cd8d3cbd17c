"""Trees as the weights of a model file: text in a tensor, which a file that runs nothing can hold."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def state_of(names: Sequence[str], text: str) -> Tensor:
    """The names of the features and the trees' text, uint8 ``[bytes]``."""
    content = json.dumps({"features": list(names), "trees": text})
    return torch.from_numpy(np.frombuffer(content.encode(), np.uint8).copy())


def text_of(state: Tensor, names: Sequence[str]) -> str:
    """The trees' text.

    Args:
        state: of :func:`state_of`.
        names: of the features that there are.

    Raises:
        ValueError: the trees are of other features, or the state is damaged.
    """
    try:
        content = json.loads(bytes(state.cpu().numpy()).decode())
        features, text = content["features"], content["trees"]
    except (KeyError, TypeError, ValueError):
        raise ValueError("the trees are damaged") from None
    if features != list(names) or not isinstance(text, str):
        raise ValueError("the trees are of other features than the graph gives")
    return text
