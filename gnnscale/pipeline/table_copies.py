"""Tables that Spark alone can read: copied to the lake before anything reads them, and anew with every graph stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnnscale.config import copied_tables, missing_copies, with_copies
from gnnscale.pipeline.room import check_room

if TYPE_CHECKING:
    from gnnscale.pipeline.stages.stage import PipelineContext


class TableCopies:
    """The copies that a run reads in place of a warehouse or a catalog.

    Args:
        work: whose settings may name such tables.
    """

    def __init__(self, work: PipelineContext) -> None:
        self._work, self._settings = work, work.settings
        self._fresh = False
        """Whether this run has copied all tables."""

    def settle(self) -> None:
        """Have the run read copies; those that the lake lacks are made, unless it may only look.

        Raises:
            LakeError: a table can't be read, or was not copied, and nothing may be written.
        """
        if not copied_tables(self._settings):
            return
        if not self._work.read_only and missing_copies(self._work.lake, self._settings):
            self.refresh()
        self._work.settings = with_copies(self._work.lake, self._settings)

    def refresh(self) -> None:
        """Copy what has changed there, unless this run has done so.

        Raises:
            LakeError: a table can't be read.
        """
        tables = copied_tables(self._settings)
        if self._fresh or not tables:
            return
        from gnnscale.etl import copy_to_lake

        work = self._work
        check_room(work.lake)
        session = work.spark.open()
        try:
            for name in tables:
                copy_to_lake(session, work.lake, self._settings, name)
        finally:
            # How much memory Java is to have is known when the columns are.
            work.spark.close()
        self._fresh = True
