"""Hashed n-grams equal their definition, worked out one by one in plain Python."""

import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.config.sections.text import TextSettings
from gnnscale.etl.text import open_encoder
from gnnscale.etl.text.hashed_encoder import HashedEncoder

MASK = 2**64 - 1
DIMS = 32


def fnv(content: bytes, kind: int) -> int:
    key = 0xCBF29CE484222325 ^ kind
    for byte in content:
        key = (key ^ byte) * 0x100000001B3 & MASK
    return key


def place_and_sign(key: int) -> tuple[int, int]:
    key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 & MASK
    key = (key ^ key >> 27) * 0x94D049BB133111EB & MASK
    key ^= key >> 31
    return (key >> 32) % DIMS, 1 if key & 1 else -1


def words_of(text: str) -> list[str]:
    """Letters, marks and digits in a row, in lower case."""
    text = unicodedata.normalize("NFKD", text).lower()
    return "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split()


def by_definition(text: str) -> np.ndarray:
    words = words_of(text)
    keys = [fnv(word.encode(), 1) for word in words]
    grams = list(keys)
    for one, other in pairwise(keys):
        mixed = (one * 0xBF58476D1CE4E5B9 & MASK) ^ other
        grams.append((mixed * 0x100000001B3 & MASK) ^ 2)
    for word in words:
        letters = f" {word} "
        grams += [fnv(letters[i : i + 3].encode(), 3) for i in range(len(letters) - 2)]
    vector = np.zeros(DIMS)
    for place, sign in map(place_and_sign, grams):
        vector[place] += sign
    length = np.linalg.norm(vector)
    return vector / length if length else vector


# Arrow and Python know different versions of Unicode; these blocks are the same in both.
letters = st.characters(codec="utf-8", max_codepoint=0x24F) | st.sampled_from("шрифт字典ａ½é e\u0301 \n-_'")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(letters, max_size=30), min_size=1, max_size=4))
def test_a_vector_is_the_signed_count_of_its_ngrams(texts):
    found = HashedEncoder(DIMS).encode(pa.array(texts))
    np.testing.assert_allclose(found, [by_definition(text) for text in texts], atol=1e-6)


def test_what_is_null_or_holds_no_word_is_zero_and_all_else_of_length_one():
    texts = pa.array([None, "", " ", "...", "—", "a", "Größe 42", "一"])
    lengths = np.linalg.norm(HashedEncoder(DIMS).encode(texts), axis=1)
    np.testing.assert_allclose(lengths, [0, 0, 0, 0, 0, 1, 1, 1], atol=1e-6)
    assert HashedEncoder(DIMS).encode(pa.array([], pa.string())).shape == (0, DIMS)
    assert not HashedEncoder(DIMS).encode(pa.array([None, None], pa.string())).any()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_vector_does_not_depend_on_its_batch(size):
    texts = pa.array([None if i % 7 == 0 else f"Item {i}, colour {i % 5}: ähnlich" for i in range(100)])
    whole = HashedEncoder(DIMS).encode(texts)
    # Slices of an Arrow array share its buffers and start within them.
    parts = [HashedEncoder(DIMS).encode(texts.slice(start, size)) for start in range(0, 100, size)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(HashedEncoder(DIMS).encode(texts.cast(pa.large_string())), whole)


def test_texts_that_share_words_or_stems_are_nearer():
    one, same, stem, other = HashedEncoder(256).encode(
        pa.array(["red running shoes", "RED, running shoes!", "red runner's shoe", "green tea with lemon"])
    )
    assert one @ same == pytest.approx(1)
    assert one @ stem > 0.3 > abs(one @ other)


def test_words_count_in_their_order():
    one, other = HashedEncoder(256).encode(pa.array(["dog bites man", "man bites dog"]))
    assert 0.5 < one @ other < 0.99


def test_the_configuration_says_the_dimensions():
    assert open_encoder(TextSettings()).dims == 128
    assert open_encoder(TextSettings(dims=64)).dims == 64
