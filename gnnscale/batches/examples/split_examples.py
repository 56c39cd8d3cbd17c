"""The labelled examples of a query that train its network, and those that choose its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.batches.examples.entity_examples import AnswerShape, EntityExamples, entity_examples_of
from gnnscale.batches.examples.link_examples import Examples, examples_of
from gnnscale.query import Split
from gnnscale.schema import DataError

E = TypeVar("E", Examples, EntityExamples)

USED = (Split.TRAIN, Split.VALIDATION)
"""Splits that training looks at, in their order."""


@dataclass(frozen=True)
class SplitExamples(Generic[E]):
    """Examples by row number.

    Args:
        examples: of all that training looks at, and others maybe.
        training: row numbers, int64, ascending.
        validation: row numbers, int64, ascending.
        known: row numbers of whose targets none is a negative; None for those of training.
    """

    examples: E
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    known: NDArray[np.int64] | None = None


def used_labels(table: pa.Table) -> pa.Table:
    """Labels of the training split, and after them those of the validation split; each in the table's order."""
    return pa.concat_tables([table.filter(pc.equal(table["split"], str(split))) for split in USED])


def split_rows(table: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the training examples, and of the validation examples.

    Args:
        table: labels.
        name: of the query.

    Raises:
        DataError: there is none of a split.
    """
    training, validation = (np.flatnonzero(pc.equal(table["split"], str(own)).to_numpy()) for own in USED)
    for own, rows in zip(USED, (training, validation), strict=True):
        if len(rows) == 0:
            raise DataError(f"labels_{name} holds no {own} example")
    return training, validation


def split_links(table: pa.Table, name: str, origin: int, named: bool) -> SplitExamples[Examples]:
    """Labels of a query that ranks rows as examples.

    Args:
        table: labels.
        name: of the query.
        origin: of the graph, in epoch seconds.
        named: whether examples to train on that have no target are left out.

    Raises:
        DataError: a split is empty.
    """
    training, validation = split_rows(table, name)
    examples = examples_of(table, origin)
    if named:
        training = training[np.diff(examples.indptr)[training] > 0]
        if len(training) == 0:
            raise DataError(f"labels_{name} holds no {Split.TRAIN} example with a target")
    return SplitExamples(examples, training, validation)


def split_answers(table: pa.Table, name: str, origin: int, shape: AnswerShape) -> SplitExamples[EntityExamples]:
    """Labels of a node-level task as examples.

    Args:
        table: labels.
        name: of the query.
        origin: of the graph, in epoch seconds.
        shape: of the answers.

    Raises:
        DataError: a split is empty.
    """
    training, validation = split_rows(table, name)
    return SplitExamples(entity_examples_of(table, origin, shape), training, validation)
