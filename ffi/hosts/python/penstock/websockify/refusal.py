"""What can't be served here, said at the start."""


class Unsupported(Exception):
    """An option or an override that would have no effect, or another one; the text says what to do."""
