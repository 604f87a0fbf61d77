"""The one exception that a user of `vmc` should ever meet."""


class BadInput(ValueError):
    """Something the caller gave cannot be used.

    The message is one sentence a newcomer can act on: what was wrong, what was expected, and what
    to do about it. The command line prints it without a traceback and exits with status 2.
    """
