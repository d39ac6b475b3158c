"""Standard output whose reader has gone (`| head`)."""


class ReaderGone(Exception):
    """Nobody reads what we print. Not an OSError: click ends the process at those without asking."""

    def __init__(self, exit_code: int = 0) -> None:
        super().__init__()
        self.exit_code = exit_code
