"""Models that are fitted as a whole, as text in a model file: what answers, and what had not seen the validation."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn


class RefitModel(nn.Module):
    """A model whose only weight is text, and which may be fitted again with the validation examples.

    Args:
        names: of the features that it is fitted on.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self._before = ""

    @abstractmethod
    def to_text(self) -> str:
        """All that has been fitted."""

    @abstractmethod
    def read_text(self, text: str) -> None:
        """Inverse of :meth:`to_text`.

        Raises:
            ValueError: the text is damaged.
        """

    def before_refit(self) -> None:
        """Keep what has been fitted without the validation examples beside what comes of fitting it again."""
        self._before = self.to_text()

    def hold_out(self) -> None:
        """Go back to what has been fitted without the validation examples, to be judged by them."""
        if self._before:
            self.read_text(self._before)

    def get_extra_state(self) -> Tensor:
        """The names of the features and the text, uint8 ``[bytes]``."""
        content = {"features": self.names, "fitted": self.to_text(), "before": self._before}
        return torch.from_numpy(np.frombuffer(json.dumps(content).encode(), np.uint8).copy())

    def set_extra_state(self, state: Tensor) -> None:
        """Take what a file has.

        Raises:
            RuntimeError: it is of other features, or damaged.
        """
        try:
            content = json.loads(bytes(state.cpu().numpy()).decode())
            names, text, self._before = (content[name] for name in ("features", "fitted", "before"))
            if tuple(names) != self.names:
                raise ValueError(f"it is of {len(names)} features, and the graph gives {len(self.names)}, or others")
            self.read_text(text)
        except (KeyError, TypeError, ValueError) as error:
            raise RuntimeError(str(error)) from None
