"""Logging and progress of long jobs: plain lines with rate and remaining time."""

import logging
import sys
import time


def start_log(quiet: bool = False) -> None:
    """Log to stderr with the time of day.

    Messages of libraries below the level of warnings are dropped. ``quiet``: log errors only, for
    processes that would repeat the messages of the main process.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr, force=True
    )
    for name in ("jointasr", "__main__"):
        logging.getLogger(name).setLevel(logging.ERROR if quiet else logging.INFO)


def format_duration(seconds: float) -> str:
    """Format seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Speed and remaining time of a job that processes audio."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.audio = 0.0

    def add(self, seconds: float) -> None:
        """Count ``seconds`` of audio as processed."""
        self.audio += seconds

    def __call__(self, fraction: float) -> str:
        """Describe speed and remaining time when ``fraction`` (0..1) of the job is done."""
        elapsed = time.monotonic() - self.start
        left = elapsed * (1 - fraction) / fraction if fraction > 0 else 0.0
        return f"{self.audio / max(elapsed, 1e-9):.1f} s audio/s, {format_duration(left)} left"
