"""Standard output whose reader has gone (`| head`)."""


class ReaderGone(BrokenPipeError):
    """Nobody reads what we print, and something is left to be done: no end without a word is well."""

    exit_code = 75
