"""The publish stage: what the lake has, to the key-value store that services read."""

from __future__ import annotations

import logging
from typing import Any, Final

# A door that is lazy: a stage is known, and skipped, without what does its work.
from gnnscale import publish
from gnnscale.pipeline.stages.stage import Stage
from gnnscale.schema import LakeError, mask_text
from gnnscale.tracking import progress_bar

log = logging.getLogger(__name__)

PUBLISHED: Final = "published_{query}"
"""Record of the version that readers see, with its rows and its lag."""


class PublishStage(Stage):
    """Predictions and vectors to a key-value store, as they are in the lake, whatever stages have run since."""

    name = "publish"
    help = "publish predictions and vectors to a key-value store"

    def inputs(self) -> dict[str, Any]:
        """What the lake has, and where it goes."""
        work = self.work
        return {
            "tables": publish.source_fingerprint(self.settings, work.lake, work.query),
            "store": publish.store_uri(self.settings, work.lake),
        }

    def outputs(self) -> list[str]:
        """No table of the lake."""
        return []

    def is_current(self) -> bool:
        """Whether :meth:`run` would skip the stage; where there is nothing to publish, it would not."""
        try:
            return super().is_current()
        except LakeError:
            return False

    def intact(self) -> bool:
        """Whether the store has it still."""
        return publish.is_published(self.settings, self.work.lake, self.work.query)

    def make(self) -> str:
        """Publish, and record the lag: how long after their anchor answers are there to be read."""
        work, name = self.work, self.settings.query.name
        uri = publish.store_uri(self.settings, work.lake)
        # Some may be there already.
        links = work.query.task_type.predicts_links
        tables = [work.query.entity, *([work.query.entity, work.query.target] if links else [])]
        most = sum(work.manifest.table(table.name).rows for table in tables)
        with progress_bar(work.console, "publish", most, "rows") as bar:
            done = publish.publish_query(self.settings, work.lake, work.query, bar.advance, work.force)
        work.lake.write_record(PUBLISHED.format(query=name), {**done.to_dict(), "store": mask_text(uri)})
        return done.in_words()
