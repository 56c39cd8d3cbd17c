"""Indexes in the lake: files beside a manifest that says what they are of."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import hold_built, locked, name_folder, remove_older, scratch_folder
from gnnscale.lake import Lake, fingerprint
from gnnscale.retrieval.index.kind import SavedIndex
from gnnscale.retrieval.index.recall import Recall
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import ConfigError, LakeError

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
VECTORS = "targets.npy"
"""File of the target vectors in order of node id, beside the index."""
CHUNK = 1 << 24
"""Bytes of a file that are read at once."""


@dataclass(frozen=True)
class IndexManifest:
    """What a saved index is of.

    Args:
        setting: how it was built and is searched.
        size: targets.
        channels: of a vector.
        table: that the vectors are from.
        version: of that table.
        anchor: of the vectors, epoch seconds.
        recall: on the sample that its width was found by.
        seconds: that building and measuring it took.
        files: name -> bytes and SHA-256.
        shards: targets of each shard, for an index that is kept in several; none for one that is whole.
    """

    setting: IndexSetting
    size: int
    channels: int
    table: str
    version: int
    anchor: int
    recall: Recall
    seconds: float
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    shards: tuple[int, ...] = ()

    def in_words(self) -> str:
        """Its setting, and the number of its shards."""
        each = f"{len(self.shards)} shards, each " if self.shards else ""
        return each + self.setting.in_words()

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return {**asdict(self), "setting": self.setting.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> IndexManifest:
        """Inverse of :meth:`to_dict`."""
        files = {name: (int(size), str(digest)) for name, (size, digest) in data["files"].items()}
        setting, recall = IndexSetting.from_dict(data["setting"]), Recall(**data["recall"])
        shards = tuple(data.get("shards", ()))
        return cls(**{**data, "setting": setting, "recall": recall, "files": files, "shards": shards})


@dataclass(frozen=True, eq=False)
class LoadedIndex:
    """A saved index, open.

    Args:
        index: to search.
        manifest: of it.
        folder: on a local disk, that its files were opened in.
        vectors: of the targets, in order of node id, mapped, float32 ``[targets, channels]``.
    """

    index: SavedIndex
    manifest: IndexManifest
    folder: Path
    vectors: NDArray[np.float32]


def index_path(query: str, anchor: int, shard: int | None = None) -> str:
    """Where the index of a query at an anchor is in the lake, or one of its shards."""
    return f"_indexes/{query}/{anchor}" + ("" if shard is None else f"/shard-{shard}")


@contextmanager
def building_folder(lake: Lake, query: str, cache: str | None, shard: int | None = None) -> Iterator[Path]:
    """An empty folder on a local disk for the files of an index, or of a shard, while it is being built."""
    owner = f"{lake.uri} {query}" + ("" if shard is None else f" {shard}")
    with scratch_folder(lake.cache_folder(cache), "index", owner) as held:
        (held / "files").mkdir()
        yield held / "files"


def save_index(
    lake: Lake, query: str, index: SavedIndex, manifest: IndexManifest, folder: Path, shard: int | None = None
) -> IndexManifest:
    """Put an index into the lake; its manifest comes last, and a reader that finds one finds all files.

    Of several processes of a host that save the same one, each puts its own in place of what is there.

    Args:
        lake: gets the files.
        query: whose targets it holds.
        index: to save.
        manifest: of it; its files are filled in here.
        folder: gets the files of the index, of which it may hold some.
        shard: that the index is, of several.

    Returns:
        The manifest as saved.
    """
    index.write(folder)
    path = index_path(query, manifest.anchor, shard)
    files = {file.name: (file.stat().st_size, _digest(file)) for file in sorted(folder.iterdir())}
    saved = replace(manifest, files=files)
    with locked(name_folder(lake.cache_folder(None), "saved-index", lake.uri, path)):
        lake.remove_folder(path)
        lake.put_folder(folder, path)
        write_manifest(lake, path, saved)
    return saved


def write_manifest(lake: Lake, path: str, manifest: IndexManifest) -> None:
    """Put a manifest beside the files that it names, which have to be there."""
    lake.write_bytes(f"{path}/{MANIFEST}", json.dumps(manifest.to_dict(), indent=1, sort_keys=True).encode())


def read_manifest(lake: Lake, query: str, anchor: int, shard: int | None = None) -> IndexManifest | None:
    """Manifest of the saved index, or of one of its shards; None where there is none that can be read."""
    path = index_path(query, anchor, shard)
    content = lake.read_bytes(f"{path}/{MANIFEST}")
    if content is None:
        return None
    try:
        return IndexManifest.from_dict(json.loads(content))
    except (KeyError, ConfigError) as error:
        # Of another version, or of a kind that is not installed here.
        log.warning("%s/%s is passed over: %s", path, MANIFEST, error)
        return None


def current_manifest(lake: Lake, query: str, anchor: int, shard: int | None = None) -> IndexManifest:
    """Manifest of the saved index, or of one of its shards, which has to be of the embeddings that there are now.

    Raises:
        LakeError: there is none, or the embeddings have been written again since.
    """
    manifest = read_manifest(lake, query, anchor, shard)
    path = index_path(query, anchor, shard)
    if manifest is None:
        raise LakeError(f"lake {lake.uri} has no {path}; run the index stage")
    if (version := lake.version(manifest.table)) != manifest.version:
        raise LakeError(
            f"{path} is of version {manifest.version} of {manifest.table}, which is at version {version} now; run the "
            "index stage again"
        )
    return manifest


def is_intact(lake: Lake, query: str, anchor: int) -> bool:
    """Whether the saved index is of the embeddings that there are now, and its files have the manifest's sizes."""
    manifest = read_manifest(lake, query, anchor)
    if manifest is None or not lake.exists(manifest.table) or lake.version(manifest.table) != manifest.version:
        return False
    sizes = lake.file_sizes(index_path(query, anchor))
    return all(sizes.get(name) == size for name, (size, _) in manifest.files.items())


def load_index(
    lake: Lake, query: str, anchor: int, cache: str | None = None, shard: int | None = None, threads: int = 0
) -> LoadedIndex:
    """Open a saved index.

    The files of a lake that is not local are fetched once a host, whoever opens them, and those of past anchors go.

    Args:
        lake: holds it.
        query: whose targets it holds.
        anchor: of the targets, epoch seconds.
        cache: a local folder, for lakes that are not.
        shard: that is wanted, of several.
        threads: that search; 0 for every core.

    Raises:
        LakeError: there is none, files are missing or differ from the manifest, or the embeddings have been written
            again since.
    """
    manifest = current_manifest(lake, query, anchor, shard)
    setting = replace(manifest.setting, threads=threads)
    with _local_files(lake, query, manifest, cache, shard) as folder:
        _check_sizes(folder, manifest, "run the index stage again" if lake.local else "remove that folder")
        return LoadedIndex(setting.of_kind.open(folder, setting), manifest, folder, saved_vectors(folder))


def _local_files(
    lake: Lake, query: str, manifest: IndexManifest, cache: str | None, shard: int | None
) -> AbstractContextManager[Path]:
    """The files of an index in a folder on a local disk, which stays while they are opened."""
    path = index_path(query, manifest.anchor, shard)
    if lake.local:
        return nullcontext(lake.get_folder(path))

    def fetch(made: Path) -> None:
        lake.get_folder(path, made)
        _check_sizes(made, manifest, "run the index stage again")
        for name, (_, digest) in manifest.files.items():
            if _digest(made / name) != digest:
                raise LakeError(f"{path}/{name} is not the file that its manifest names; run the index stage again")
        # Whatever else was there is of another index.
        remove_older(folder)

    owner = f"{lake.uri} {query}" + ("" if shard is None else f" {shard}")
    folder = name_folder(lake.cache_folder(cache), "fetched-index", owner, fingerprint(manifest.to_dict()))
    return hold_built(folder, fetch)


def _check_sizes(folder: Path, manifest: IndexManifest, remedy: str) -> None:
    for name, (size, _) in manifest.files.items():
        if not (folder / name).exists() or (folder / name).stat().st_size != size:
            raise LakeError(f"{folder}/{name} is missing or not of {size:,} bytes; {remedy}")


def saved_vectors(folder: Path) -> NDArray[np.float32]:
    """Vectors beside a saved index, in order of node id, mapped."""
    vectors: NDArray[np.float32] = np.load(folder / VECTORS, mmap_mode="r")
    return vectors


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
