"""Progress of long work: plain lines with rate and time left."""

import logging
import sys
import time


def start_log(quiet: bool = False) -> None:
    """Log to stderr with the time of day, as every program of the recipe does.

    Of the libraries only warnings are let through: torch and lhotse tell of their own start.
    ``quiet``: nothing but errors, from a process beside one that says the same.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr, force=True
    )
    for name in ("jointasr", "__main__"):
        logging.getLogger(name).setLevel(logging.ERROR if quiet else logging.INFO)


def clock(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """How far a job is, how fast it goes, when it will end."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.audio = 0.0

    def add(self, seconds: float) -> None:
        """Count so many seconds of audio as done."""
        self.audio += seconds

    def __call__(self, share: float) -> str:
        """Rate and time left when ``share`` (0..1) of the job is done."""
        passed = time.monotonic() - self.start
        left = passed * (1 - share) / share if share > 0 else 0.0
        return f"{self.audio / max(passed, 1e-9):.1f} s audio/s, {clock(left)} left"
