"""Means of words' vectors, from files as GloVe and word2vec have them, and from an array with its words."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.config.sections.text import TextSettings
from gnnscale.etl.text import open_encoder
from gnnscale.etl.text.cached_encoder import CachedEncoder
from gnnscale.schema import ConfigError

WORDS = {"the": [1, 0, 0], "red": [0, 2, 0], "don't": [0, 0, 1], "shoe": [0, 1, 1]}
LINES = "".join(f"{word} {' '.join(map(str, numbers))}\n" for word, numbers in WORDS.items())
TEXTS = pa.array(["Red SHOE!", None, "red, red; the", "nothing known", "don't", "Red SHOE!"])


@pytest.fixture(params=["glove.txt", "glove.txt.gz", "word2vec.txt", "array"])
def model(request, tmp_path):
    """The same words in each of the forms."""
    place = tmp_path / request.param
    if request.param == "array":
        place.mkdir()
        np.save(place / "vectors.npy", np.array(list(WORDS.values()), np.float32))
        pq.write_table(pa.table({"number": range(4), "index": list(WORDS)}), place / "words.parquet")
    elif request.param.endswith(".gz"):
        place.write_bytes(gzip.compress(LINES.encode()))
    else:
        place.write_text(("4 3\n" if request.param == "word2vec.txt" else "") + LINES)
    return str(place)


def test_a_text_is_the_mean_of_its_words(model):
    options = {"smooth": 0.0}
    encoder = open_encoder(TextSettings(encoder="word_vectors", model=model, options=options))
    sums = np.array([[0, 3, 1], [0, 0, 0], [1, 4, 0], [0, 0, 0], [0, 0, 1], [0, 3, 1]], np.float32)
    expected = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, rtol=1e-6)
    assert encoder.dims == 3


def test_frequent_words_count_less(model):
    encoder = open_encoder(TextSettings(encoder="word_vectors", model=model, dims=2, options={"smooth": 0.1}))
    share = 1 / np.arange(1, 5) / (1 / np.arange(1, 5)).sum()
    the, red = (0.1 / (0.1 + share))[:2]
    found = encoder.encode(pa.array(["the red"]))[0]
    np.testing.assert_allclose(found, np.array([the, 2 * red]) / np.hypot(the, 2 * red), rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "dims", "says"),
    [
        ("red 1 2\nshoe 1\n", "auto", "no file of words and as many numbers each"),
        ("red one two\n", "auto", "no file of words"),
        ("", "auto", "no word with finite numbers"),
        (LINES, 4, "graph.text.dims is 4, and .* gives 3"),
        (None, "auto", "no file or folder at"),
    ],
)
def test_what_is_no_file_of_words_is_told(content, dims, says, tmp_path):
    file = tmp_path / "words.txt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=says):
        _ = open_encoder(TextSettings(encoder="word_vectors", model=str(file), dims=dims)).dims


def test_a_package_that_is_not_installed_and_a_folder_of_something_else_are_told(tmp_path):
    with pytest.raises(ConfigError, match="pip install no_such_words"):
        _ = open_encoder(TextSettings(encoder="word_vectors", model="package://no_such_words/data")).dims
    with pytest.raises(ConfigError, match=r"one \.npy of vectors and one \.parquet of words; it holds 0 and 0"):
        _ = open_encoder(TextSettings(encoder="word_vectors", model=str(tmp_path))).dims


def test_texts_that_were_encoded_before_are_looked_up_by_their_content(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text(LINES)
    settings = TextSettings(encoder="word_vectors", model=str(file), cache=str(tmp_path / "kept"))
    plain = open_encoder(settings.model_copy(update={"cache": None})).encode(TEXTS)
    first = open_encoder(settings)
    np.testing.assert_array_equal(first.encode(TEXTS), plain)
    (folder,) = (tmp_path / "kept").iterdir()
    assert len(list(folder.iterdir())) == 1
    # Nothing is encoded that is there, not even by an encoder that says something else.
    other = CachedEncoder(open_encoder(TextSettings(dims=3)), str(folder))
    np.testing.assert_array_equal(other.encode(TEXTS), plain)
    assert len(list(folder.iterdir())) == 1
    other.encode(pa.array(["something new", "red, red; the"]))
    assert sum(pq.read_table(path).num_rows for path in folder.iterdir()) == len(set(TEXTS.to_pylist()) - {None}) + 1
    # Of other options nothing is taken.
    changed = open_encoder(settings.model_copy(update={"dims": 2}))
    assert changed.encode(TEXTS).shape == (6, 2) and len(list((tmp_path / "kept").iterdir())) == 2
