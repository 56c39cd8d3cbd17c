"""What negatives are asked for, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.keys import default_examples
from gnnscale.sampling.negatives.known import KnownPositives
from gnnscale.schema import SchemaError
from gnnscale.store import NEVER


@dataclass(frozen=True)
class NegativeRequest:
    """Examples that need negatives.

    Args:
        entities: node ids, int64 ``[batch]``.
        anchors: int32 ``[batch]``, seconds after the graph's origin.
        known: targets of every entity that are no negatives for it, those of ``positives`` among them.
        examples: identity of each example, int64 ``[batch]``; default: a hash of entity and anchor.
        positives: one target an example, int64 ``[batch]``: what in-batch negatives are made of, and what hard ones
            lie around. An entity with several has an example for each; give those an identity each.
        epoch: part of the key.
        step: of the epoch; part of the key of what a whole batch shares.
        batch_positives: of the whole global batch, int64, where these examples are a part of it: what in-batch
            negatives are made of; default: ``positives``.

    Raises:
        SchemaError: arrays of other lengths, an entity that ``known`` has no row of, an anchor at or past ``NEVER``, or
            a positive that is not known.
    """

    entities: NDArray[np.int64]
    anchors: NDArray[np.int32]
    known: KnownPositives
    examples: NDArray[np.int64] | None = None
    positives: NDArray[np.int64] | None = None
    epoch: int = 0
    step: int = 0
    batch_positives: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name in ("anchors", "examples", "positives"):
            array = getattr(self, name)
            if array is not None and array.shape != self.entities.shape:
                raise SchemaError(f"{name} have shape {array.shape}; entities have {self.entities.shape}")
        rows = len(self.known)
        if self.entities.size and (self.entities.min() < 0 or self.entities.max() >= rows):
            raise SchemaError(
                f"entities must be in 0 .. {rows - 1}, the rows of known positives, "
                f"not {self.entities.min()} .. {self.entities.max()}"
            )
        if self.anchors.size and self.anchors.max() >= NEVER:
            raise SchemaError(f"negatives need anchors before {NEVER}; that one means no anchor")
        if self.positives is not None:
            found = self.known.hold(self.entities, self.positives[:, None])[:, 0]
            if not found.all():
                at = int(np.flatnonzero(~found)[0])
                raise SchemaError(
                    f"positive {self.positives[at]} of entity {self.entities[at]} is not among its known positives"
                )

    def __len__(self) -> int:
        return len(self.entities)

    @property
    def identities(self) -> NDArray[np.int64]:
        """Of the examples, int64 ``[batch]``."""
        return default_examples(self.entities, self.anchors) if self.examples is None else self.examples


@dataclass(frozen=True)
class Negatives:
    """Targets that stand for all that an example did not choose.

    Args:
        nodes: int64, ``[batch, number]``, -1 where an example has no more targets allowed; or ``[number]`` where all
            examples share them.
        present: which are negatives for which example, bool ``[batch, number]``.
        log_share: log of the chance that one draw takes the node, float32, as ``nodes``; 0 where absent. Subtracted
            from a score, it makes the softmax over the sample one over all targets (Bengio and Senecal, 2008).
    """

    nodes: NDArray[np.int64]
    present: NDArray[np.bool_]
    log_share: NDArray[np.float32]

    @property
    def shared(self) -> bool:
        """Whether all examples have the same nodes."""
        return self.nodes.ndim == 1
