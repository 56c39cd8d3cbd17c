"""Tables at rest: where they are and how they are read and committed."""

from gnnscale.lake.lake import Lake, check_readable
from gnnscale.lake.source import Source, SourceFormat, find_source

__all__ = ["Lake", "Source", "SourceFormat", "check_readable", "find_source"]
