"""Section ``graph.text``: how text columns become vectors."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gnnscale.config.implementation import options_section, read_options
from gnnscale.config.sections.section import Positive, Section
from gnnscale.schema import TEXT_ENCODERS, ConfigError


class TextSettings(Section):
    """How text columns become vectors.

    Args:
        encoder: ``hashed`` counts words, pairs of words and letter triples; ``sentence_transformers`` runs a language
            model; ``word_vectors`` takes the mean of words' vectors, such as GloVe's; others of the registry
            ``TEXT_ENCODERS`` come by their names.
        model: of sentence_transformers a folder, of word_vectors a file or folder, that every executor sees, or
            ``package://<package>/<path>`` of an installed package that carries one. Nothing is downloaded.
        dims: length of the vectors; ``auto`` takes 128, or what the model gives. Of a longer model, the first ones.
        batch_size: texts that a model reads at once.
        options: further ones of the encoder, by name.
        cache: folder that every executor sees, which keeps vectors by the texts' content, for models that take long.
    """

    encoder: str = "hashed"
    model: str | None = None
    dims: Literal["auto"] | Positive = "auto"
    batch_size: Positive = 64
    options: dict[str, Any] = Field(default_factory=dict)
    cache: str | None = None

    def options_of(self, encoder: Any) -> Section:
        """What an encoder is told.

        Args:
            encoder: of the registry; of ``model``, ``dims`` and ``batch_size`` those count that its options have.

        Raises:
            ConfigError: it lacks an option that it needs, or is given one that it does not have.
        """
        known = options_section(encoder).model_fields
        if self.model is not None and "model" not in known:
            raise ConfigError(f"a model is for encoders that run one, and {self.encoder} has none")
        given = {name: getattr(self, name) for name in ("model", "dims", "batch_size") if name in known}
        given = {name: value for name, value in given.items() if value is not None}
        return read_options(TEXT_ENCODERS.kind, self.encoder, encoder, given | self.options)

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        # The default is known, and what Spark does not run should not be loaded for it.
        if self.encoder != "hashed" or self.model is not None or self.options:
            self.options_of(TEXT_ENCODERS.find(self.encoder))
        return self
