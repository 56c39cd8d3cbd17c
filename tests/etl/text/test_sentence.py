"""A language model of the test's own making runs where sentence-transformers is installed; faults are told anywhere."""

import importlib.util

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.config.sections.text import TextSettings
from gnnscale.etl.nodes.column_features import encode_features
from gnnscale.etl.nodes.list_columns import encode_lists
from gnnscale.etl.text import open_encoder
from gnnscale.etl.text.sentence_encoder import SentenceEncoder
from gnnscale.schema import ConfigError, FeatureManifest
from tests.etl.frames import frame_of

INSTALLED = importlib.util.find_spec("sentence_transformers") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="sentence-transformers is not installed: gnnscale[text]")
TEXTS = pa.array(["red shoe", None, "green tea", "", "  ", "red shoe"])


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """The folder of a model that averages eight random numbers a word."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

    folder = tmp_path_factory.mktemp("model")
    vocabulary = ["red", "shoe", "green", "tea"]
    weights = np.random.default_rng(0).normal(size=(len(vocabulary), 8)).astype(np.float32)
    words = modules.WordEmbeddings(WhitespaceTokenizer(vocabulary, stop_words=[]), weights)
    SentenceTransformer(modules=[words, modules.Pooling(8)], device="cpu").save(str(folder))
    return str(folder)


@needs_package
def test_texts_get_the_models_vectors_and_what_is_blank_zeros(model):
    encoder = SentenceEncoder(model)
    found = encoder.encode(TEXTS)
    assert encoder.dims == 8 and found.shape == (6, 8) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 1, 0, 0, 1], atol=1e-5)
    np.testing.assert_allclose(found[0], found[5], atol=1e-6)
    np.testing.assert_allclose(SentenceEncoder(model, batch_size=1).encode(TEXTS), found, atol=1e-5)


@needs_package
def test_a_model_can_be_cut_short_and_not_made_longer(model):
    short = open_encoder(TextSettings(encoder="sentence_transformers", model=model, dims=3))
    found = short.encode(TEXTS)
    assert short.dims == 3 and found.shape == (6, 3)
    assert np.linalg.norm(found[0]) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ConfigError, match=r"graph.text.dims is 9, and .* gives 8"):
        _ = SentenceEncoder(model, 9).dims


@needs_package
def test_executors_give_the_same_vectors(spark, model):
    encoder = SentenceEncoder(model)
    feature = FeatureManifest("x", "text", dims=encoder.dims)
    frame = encode_features(frame_of(spark, i=list(range(6)), x=TEXTS).repartition(2), (feature,))
    rows = encode_lists(frame, [feature], encoder).toPandas().sort_values("i")
    np.testing.assert_allclose(np.stack(rows["emb_x"]), encoder.encode(TEXTS), atol=1e-5)


@needs_package
def test_a_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"is no sentence-transformers model"):
        SentenceEncoder(str(tmp_path)).encode(TEXTS)


@pytest.mark.skipif(INSTALLED, reason="sentence-transformers is installed")
def test_a_missing_package_names_the_extra(tmp_path):
    with pytest.raises(ConfigError, match=r"pip install gnnscale\[text\]"):
        _ = SentenceEncoder(str(tmp_path)).dims


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("no/such/model", r"no folder at no/such/model; models are not downloaded"),
        ("package://no_such_package/model", r"package 'no_such_package' is not installed"),
        ("package://gnnscale/no_model", r"no folder at .*gnnscale/no_model"),
    ],
)
def test_a_model_that_is_not_there_is_an_error(model, says):
    with pytest.raises(ConfigError, match=says):
        SentenceEncoder(model).encode(TEXTS)
