"""An encoder that is registered elsewhere encodes a text column, in the executors of Spark too."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.config import Section
from gnnscale.config.sections.text import TextSettings
from gnnscale.etl.nodes.column_features import encode_features
from gnnscale.etl.nodes.list_columns import encode_lists
from gnnscale.etl.text import open_encoder
from gnnscale.schema import TEXT_ENCODERS, ConfigError, FeatureManifest
from tests.etl.frames import frame_of

TEXTS = pa.array(["red shoe", None, "green tea", ""])


@pytest.fixture
def vowels():
    """An encoder of a class that no module has, as those of notebooks are."""

    class VowelOptions(Section):
        vowels: str = "aeiou"

    class Vowels:
        """Counts the vowels of a text."""

        Options = VowelOptions

        def __init__(self, vowels):
            self.vowels = vowels

        @classmethod
        def build(cls, options):
            return cls(options.vowels)

        @property
        def dims(self):
            return len(self.vowels)

        def encode(self, texts):
            counts = [[(text or "").count(vowel) for vowel in self.vowels] for text in texts.to_pylist()]
            counts = np.array(counts, np.float32).reshape(len(texts), self.dims)
            return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)

    with TEXT_ENCODERS.temporarily({"vowels": Vowels}):
        yield


def test_it_is_found_by_its_name_with_its_options_and_goes_to_the_executors(spark, vowels):
    encoder = open_encoder(TextSettings(encoder="vowels", options={"vowels": "aeo"}))
    np.testing.assert_allclose(encoder.encode(TEXTS)[0], np.array([0, 2, 1]) / np.sqrt(5), atol=1e-6)
    feature = FeatureManifest("x", "text", dims=encoder.dims)
    frame = encode_features(frame_of(spark, i=[0, 1, 2, 3], x=TEXTS).repartition(2), (feature,))
    rows = encode_lists(frame, [feature], encoder).toPandas().sort_values("i")
    np.testing.assert_allclose(np.stack(rows["emb_x"]), encoder.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"encoder": "vowel"}, "there is no text_encoder 'vowel'. Did you mean 'vowels'"),
        ({"encoder": "vowels", "options": {"vowel": "a"}}, "'vowels' has no option 'vowel'. Did you mean 'vowels'"),
        ({"encoder": "vowels", "model": "m"}, "vowels has none"),
        ({"options": {"letters": 3}}, "text_encoder 'hashed' has no option 'letters'"),
    ],
)
def test_what_it_does_not_have_is_refused(vowels, settings, says):
    with pytest.raises(ConfigError, match=says):
        raise_as_configuration(settings)


def raise_as_configuration(settings):
    """As :func:`gnnscale.config.build_settings` has it: pydantic wraps what a validator raises."""
    try:
        TextSettings(**settings)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def test_the_default_loads_no_encoder():
    program = "import sys; from gnnscale.config.sections.text import TextSettings; TextSettings(dims=3); "
    program += "assert not [name for name in sys.modules if name.startswith('gnnscale.etl')]"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
