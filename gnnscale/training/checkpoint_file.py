"""Files of weights and training states: tensors and plain values, read without running anything that is in them."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gnnscale.schema import LakeError

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)
"""What torch raises for a file that is not one of its own, or is cut off, or holds more than tensors."""


def write_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write the state of a training to a local file."""
    torch.save(dict(state), path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state of a training.

    Raises:
        LakeError: the file is damaged, or holds more than tensors and plain values.
    """
    return read_tensors(path.read_bytes(), str(path))


def read_tensors(content: bytes, place: str) -> dict[str, Any]:
    """The content of a file of tensors and plain values, on the CPU.

    Args:
        content: of the file.
        place: where it is, for messages.

    Raises:
        LakeError: it is damaged, or holds anything that is not a tensor or a plain value.
    """
    try:
        # Torch does not look whether what it reads is what was written.
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if (changed := archive.testzip()) is not None:
                raise LakeError(
                    f"{place} is damaged in its part {changed}, so it is not read; run the train stage again"
                )
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except DAMAGED as error:
        why = "holds more than tensors and plain values" if "Unsupported" in str(error) else "is damaged"
        raise LakeError(f"{place} {why}, so it is not read; run the train stage again") from None
    if not isinstance(saved, dict):
        raise LakeError(f"{place} holds a {type(saved).__name__} and no model; run the train stage again")
    return saved


def check_model(saved: Mapping[str, Any], place: str) -> None:
    """See that a model file has what a model needs.

    Raises:
        LakeError: weights or description are missing, or a weight is not a finite tensor.
    """
    for part in ("weights", "description"):
        if not isinstance(saved.get(part), dict):
            raise LakeError(f"{place} lacks its {part}; run the train stage again")
    for name, weight in saved["weights"].items():
        if not isinstance(weight, Tensor) or not bool(torch.isfinite(weight).all()):
            raise LakeError(f"{place}: weight '{name}' is not a tensor of finite numbers; run the train stage again")
