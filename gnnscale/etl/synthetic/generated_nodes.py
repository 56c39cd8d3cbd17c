"""Generated users and items: keys, when they came to be known, and columns of every type that the graph takes."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.etl.synthetic.generated_events import TEXT_WIDTH, Int64, fill_births, fill_numbers, fill_text
from gnnscale.sampling import draw, example_keys, stream_key

TIME = pa.timestamp("us", tz="UTC")

COUNTRIES = ["br", "de", "fr", "id", "in", "it", "jp", "ke", "kr", "mx", "ng", "us"]
CATEGORIES = ["bags", "books", "food", "games", "home", "music", "pets", "shoes", "sport", "tools", "toys"]
"""Their number is prime: steps of any length go through all of them before one comes again."""
TITLES = [
    " ".join(words)
    for words in itertools.product(
        ["small", "large", "light", "warm", "plain", "bright", "quiet", "folding"],
        ["red", "blue", "green", "grey", "wooden", "steel", "woollen", "paper"],
        ["lamp", "chair", "box", "bag", "bottle", "kettle", "blanket", "brush"],
    )
]
NO_AGE = 1 / 16
HIGHEST_PRICE = 1_000.0

Floats = NDArray[np.floating]


def node_keys(seed: int, table: str, nodes: Int64, text: bool) -> pa.Array:
    """Keys of nodes, sparse and in no order: int64, or text such as ``u1ck4x0w7tq8zz``.

    Args:
        seed: of the whole graph.
        table: its first letter is that of text keys.
        nodes: numbers from 0, in any order.
        text: whether keys are text.
    """
    key = stream_key(seed, 0, f"{table} key")
    if not text:
        numbers = np.empty(len(nodes), np.int64)
        fill_numbers(key, nodes, numbers)
        return pa.array(numbers)
    letters = np.empty((len(nodes), TEXT_WIDTH), np.uint8)
    fill_text(key, ord(table[0]), nodes, letters)
    offsets = np.arange(0, TEXT_WIDTH * len(nodes) + 1, TEXT_WIDTH, dtype=np.int32)
    return pa.StringArray.from_buffers(len(nodes), pa.py_buffer(offsets), pa.py_buffer(letters))


def birth_key(seed: int, table: str) -> np.uint64:
    """Key of when the nodes of a table came to be known."""
    return stream_key(seed, 0, f"{table} birth")


def user_columns(seed: int, nodes: Int64, interests: int) -> dict[str, pa.Array]:
    """``age`` (missing for a sixteenth), ``country``, and with ``interests`` as many of the categories at most."""
    age = np.floor(18 + 72 * _shares(seed, "users age", nodes) ** 2)
    unknown = _shares(seed, "users without age", nodes) < NO_AGE
    columns = {
        "age": pa.array(age, mask=unknown),
        "country": _words(COUNTRIES, (len(COUNTRIES) + 1) ** _shares(seed, "users country", nodes) - 1),
    }
    if interests:
        columns["interests"] = _interests(seed, nodes, interests)
    return columns


def item_columns(seed: int, nodes: Int64, vector: int) -> dict[str, pa.Array]:
    """``price``, ``category``, ``title``, and with ``vector`` a list of as many numbers in ``[-1, 1)``."""
    columns = {
        "price": pa.array(np.round(HIGHEST_PRICE ** _shares(seed, "items price", nodes), 2)),
        "category": _words(CATEGORIES, len(CATEGORIES) * _shares(seed, "items category", nodes)),
        "title": _words(TITLES, len(TITLES) * _shares(seed, "items title", nodes)),
    }
    if vector:
        keys = example_keys(stream_key(seed, 0, "items vector"), nodes)
        bits = draw(keys[:, None], np.arange(vector, dtype=np.uint64))  # [rows, vector]
        values = (2 * _unit(bits) - 1).astype(np.float32)
        columns["vector"] = pa.FixedSizeListArray.from_arrays(values.ravel(), vector)
    return columns


def birth_times(seed: int, table: str, nodes: Int64, start: int, span: int) -> pa.Array:
    """When nodes came to be known; ``start`` and ``span`` in milliseconds."""
    times = np.empty(len(nodes), np.int64)
    fill_births(birth_key(seed, table), nodes, start, span, times)
    return timestamps(times)


def timestamps(milliseconds: Int64) -> pa.Array:
    """Times as Spark writes them: microseconds, UTC."""
    return pa.array(milliseconds * 1_000, TIME)


def _interests(seed: int, nodes: Int64, most: int) -> pa.Array:
    prime = len(CATEGORIES)
    counts = ((most + 1) * _shares(seed, "users interests", nodes)).astype(np.int64)
    first = (prime * _shares(seed, "users first interest", nodes)).astype(np.int64)
    step = 1 + ((prime - 1) * _shares(seed, "users next interest", nodes)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    values = (np.repeat(first, counts) + np.repeat(step, counts) * place) % prime
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _words(CATEGORIES, values))


def _shares(seed: int, stream: str, nodes: Int64) -> Floats:
    return _unit(example_keys(stream_key(seed, 0, stream), nodes))


def _unit(bits: NDArray[np.uint64]) -> Floats:
    return (bits >> np.uint64(11)) * 2.0**-53


def _words(words: list[str], indices: NDArray[np.generic]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(indices.astype(np.int16)), words)
