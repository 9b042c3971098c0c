"""The one exception that is shown to a user as a line, never as a traceback."""

from __future__ import annotations


class TurncoatError(Exception):
    """A mistake in what was given: says what was expected, what came and what to do.

    The command line prints it as one line (or one line a mistake) and exits with code 2.
    """
