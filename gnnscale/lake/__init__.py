"""Tables at rest: where they are and how they are read and committed."""

from gnnscale.lake.lake import Lake, check_readable, table_files
from gnnscale.lake.snapshot import SourceGrowth, SourceSnapshot, growth_since, take_snapshot
from gnnscale.lake.source import Source, SourceFormat, column_kinds, find_source, source_state
from gnnscale.lake.stages import StageRecord, fingerprint, is_current, read_stage, write_stage

__all__ = [
    "Lake",
    "Source",
    "SourceFormat",
    "SourceGrowth",
    "SourceSnapshot",
    "StageRecord",
    "check_readable",
    "column_kinds",
    "find_source",
    "fingerprint",
    "growth_since",
    "is_current",
    "read_stage",
    "source_state",
    "table_files",
    "take_snapshot",
    "write_stage",
]
