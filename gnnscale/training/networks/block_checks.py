"""What does not go together in networks on blocks."""

from __future__ import annotations

from gnnscale.config import Settings
from gnnscale.schema import ConfigError, TableManifest


def check_blocks(settings: Settings) -> None:
    """Refuse what does not go with walks, with shards, or with vectors that start from what was had.

    Raises:
        ConfigError: naming it.
    """
    training = settings.training
    _check_vectors(settings)
    if settings.sampling.strategy == "walk":
        for key, value, allowed in (
            ("embedding.method", settings.embedding.method, ("sampled",)),
            ("training.source", training.source, ("memory",)),
            ("training.sampler", training.sampler, ("auto", "cpu")),
            ("training.feature_type", training.feature_type, ("fp32",)),
        ):
            if value not in allowed:
                known = ", ".join(allowed)
                raise ConfigError(
                    f"{key}={value} is not for sampling.strategy=walk; with it, allowed: {known}, "
                    "for it walks on the CPU"
                )
    elif training.source == "shards" and settings.sampling.roots is not None:
        raise ConfigError("training.source=shards has a sample an example; sampling.roots goes with memory")
    elif training.source == "shards" and (training.sampler == "gpu" or training.feature_type != "fp32"):
        raise ConfigError(
            f"training.sampler={training.sampler} with training.feature_type={training.feature_type} is not for "
            "training.source=shards, whose blocks are read on the CPU; with it, allowed: auto or cpu, and fp32"
        )


def _check_vectors(settings: Settings) -> None:
    """Refuse what can't be had where vectors of entities start from those of what they have had, or have one length.

    Raises:
        ConfigError: naming it.
    """
    model, training = settings.model, settings.training
    beside = (
        ("training.source", training.source, "memory", ("entity_start",)),
        ("training.cuda_graphs", str(training.cuda_graphs).lower(), "false", ("entity_start",)),
        ("embedding.method", settings.embedding.method, "sampled", ("entity_start", "temperature")),
    )
    asked = {"entity_start": model.entity_start == "targets", "temperature": model.temperature is not None}
    for key, value, allowed, of in beside:
        for name in (name for name in of if asked[name]):
            if value != allowed:
                told = f"model.{name}={getattr(model, name)}"
                raise ConfigError(f"{key}={value} does not go with {told}; with it, allowed: {allowed}")


def check_shapes(settings: Settings, target: TableManifest) -> None:
    """Refuse CUDA graphs where batches of a query that ranks rows differ in shape: none would be replayed.

    Args:
        settings: ``model.target_embedding`` and ``training.cuda_graphs`` count.
        target: the targets' table.

    Raises:
        ConfigError: the targets' columns that the network reads have lists, of which a batch has now more, now fewer.
    """
    if settings.training.cuda_graphs and settings.model.target_embedding != "lookup" and target.multicategorical:
        columns = ", ".join(feature.column for feature in target.multicategorical)
        raise ConfigError(
            f"training.cuda_graphs=true needs batches of fixed shape, and {target.name}.{columns} has lists of any "
            "length; set it to false, or model.target_embedding=lookup"
        )
