"""The one exception that is shown to a user as a line, never as a traceback."""

from __future__ import annotations


class TurncoatError(Exception):
    """A mistake in what was given: says what was expected, what came and what to do.

    The command line prints it as one line (or one line a mistake) and exits with code 2.
    """


def shown(value: object) -> str:
    """``value`` on one line: control characters, as a file name may hold them, are escaped."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
