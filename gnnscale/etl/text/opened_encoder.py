"""The text encoder of a configuration."""

from __future__ import annotations

import hashlib

from gnnscale.config import TextSettings
from gnnscale.etl.text.cached_encoder import CachedEncoder
from gnnscale.etl.text.text_encoder import TextEncoder, TextVectors
from gnnscale.schema import TEXT_ENCODERS


def open_encoder(settings: TextSettings) -> TextVectors:
    """The encoder of a configuration; a model is read when it is first used.

    Raises:
        ConfigError: there is no such encoder, or it does not have the options.
    """
    encoder: type[TextEncoder] = TEXT_ENCODERS.find(settings.encoder)
    options = settings.options_of(encoder)
    made = encoder.build(options)
    if settings.cache is None:
        return made
    stamp = hashlib.sha256(f"{settings.encoder} {options!r}".encode()).hexdigest()[:16]
    return CachedEncoder(made, f"{settings.cache}/{stamp}")
