"""Vectors of texts that were encoded before, kept by the texts' content."""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gnnscale.etl.text.text_encoder import TextVectors

KEY_BYTES: Final = 16


@dataclass(frozen=True)
class CachedEncoder:
    """An encoder that looks texts up in a folder first, and keeps there what it had to encode.

    A task writes a file of its own, which appears whole or not at all; what two tasks encode at once is there twice.

    Args:
        encoder: of texts that are not there.
        folder: that every executor sees; of this encoder with these options alone.
    """

    encoder: TextVectors
    folder: str

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return self.encoder.dims

    def encode(self, texts: pa.Array) -> NDArray[np.float32]:
        """Vectors, ``[texts, dims]``, as the encoder gives them; each text is encoded once in all runs."""
        coded = pc.dictionary_encode(texts.cast(pa.string()))
        words = coded.dictionary
        keys = [hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).digest() for text in words.to_pylist()]
        # The last row is that of no text.
        vectors = np.zeros((len(words) + 1, self.dims), np.float32)
        known = self._find(keys, vectors)
        missing = np.flatnonzero(~known)
        if len(missing):
            vectors[missing] = self.encoder.encode(words.take(pa.array(missing)))
            self._keep([keys[i] for i in missing], vectors[missing])
        return vectors[pc.fill_null(coded.indices, len(words)).to_numpy(zero_copy_only=False)]

    def _find(self, keys: list[bytes], vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Fill in the vectors that are there; which those are."""
        known = np.zeros(len(keys), np.bool_)
        place = Path(self.folder)
        wanted = pa.array(keys, pa.binary(KEY_BYTES))
        for file in sorted(place.glob("*.parquet")) if place.is_dir() else ():
            rows = pq.read_table(file)
            at = pc.index_in(wanted, value_set=rows["key"].combine_chunks()).to_numpy(zero_copy_only=False)
            found = np.flatnonzero(~np.isnan(at.astype(np.float64)))
            if len(found):
                values = rows["vector"].take(pa.array(at[found].astype(np.int64))).combine_chunks()
                vectors[found] = values.flatten().to_numpy(zero_copy_only=False).reshape(len(found), -1)
                known[found] = True
        return known

    def _keep(self, keys: list[bytes], vectors: NDArray[np.float32]) -> None:
        place = Path(self.folder)
        place.mkdir(parents=True, exist_ok=True)
        values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        rows = pa.table({"key": pa.array(keys, pa.binary(KEY_BYTES)), "vector": values})
        name = f"{uuid.uuid4().hex}.parquet"
        pq.write_table(rows, place / f".{name}.part")
        os.replace(place / f".{name}.part", place / name)
