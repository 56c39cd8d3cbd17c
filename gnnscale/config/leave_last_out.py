"""Settings of the leave-last-out protocol on a file of interactions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gnnscale.config.section import Positive, Section


class LeaveLastOutSettings(Section):
    """A file of ``user item [time]``, and how the last item of each user is ranked.

    Args:
        source: a file or folder of rows, as ``tables.*.source``; those of a user are in order of time, or have one.
        user, item: columns; default: the first two that are none of those below.
        time: column that orders a user's rows and, where it is a date or epoch seconds, tells their gaps; default: the
            rows stand in their order.
        position: column that orders a user's rows and tells nothing else.
        part: column that says which rows are of ``train``, ``context``, ``validation`` and ``test``; default: the last
            row of a user is the test's, the one before the validation's, the others train. Users without a validation
            row train alone.
        users: most of them that are evaluated, by a keyed order; default: all.
        seen: whether items that the user has had are ranked too.
        negatives: unseen items that the sampled metrics rank the right one among.
        length: of the lists.
    """

    source: str
    user: str | None = None
    item: str | None = None
    time: str | None = None
    position: str | None = None
    part: str | None = None
    users: Positive | None = None
    seen: bool = False
    negatives: Annotated[int, Field(ge=0)] = 100
    length: Positive = 10
