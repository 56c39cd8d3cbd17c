"""The ``gnnscale`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gnnscale.cli.interruption import end_by_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: of the command; None for those of the process, which is then the command's own, and ends in a line
            where it is interrupted before there is anything to end in order.

    Returns:
        0; 2 where the input is at fault, 1 where a process of Spark's or Ray's was lost, 130 after Ctrl-C and 143 after
        SIGTERM: then one message is on standard error.
    """
    if arguments is None:
        end_by_signals()
    # It takes seconds to load.
    from gnnscale.cli.command_line import run_command

    return run_command(arguments)


if __name__ == "__main__":
    sys.exit(main())
