"""Versions of a registered model: which one is the champion, and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"

RESULT: Final = "holdout_result.json"
"""File of a run that says how its model did on the holdout."""


def find_champion(model: str) -> ModelVersion | None:
    """The version of a registered model that answers, or None.

    Args:
        model: its name; of three parts in Unity Catalog.
    """
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(model, CHAMPION)
    except MlflowException:
        return None


def read_result(version: ModelVersion) -> dict[str, Any] | None:
    """How the model of a version did, as its run has kept it; None where it has not."""
    if not version.run_id:
        return None
    client = mlflow.MlflowClient()
    try:
        if RESULT not in [file.path for file in client.list_artifacts(version.run_id)]:
            return None
        text = mlflow.artifacts.load_text(f"runs:/{version.run_id}/{RESULT}")
    except MlflowException:
        return None
    content: dict[str, Any] = json.loads(text)
    return content


def set_alias(model: str, version: str, alias: str, tags: Mapping[str, str]) -> None:
    """Give a version an alias and tags; a version is never champion and challenger at once.

    Args:
        model: registered name.
        version: its number.
        alias: ``champion`` or ``challenger``.
        tags: kept with the version.
    """
    client = mlflow.MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(model, version, key, value)
    client.set_registered_model_alias(model, alias, version)
    other = CHALLENGER if alias == CHAMPION else CHAMPION
    held = client.get_registered_model(model).aliases.get(other)
    if held is not None and str(held) == str(version):
        client.delete_registered_model_alias(model, other)
