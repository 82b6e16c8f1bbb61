"""The one way for a command to fail: a sentence that names the thing and the fix."""


class StackError(Exception):
    """Shown to the user as it is, without a trace."""
