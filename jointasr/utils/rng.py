"""Random streams that depend only on what they are for.

A stream is keyed by a seed and by names: what is drawn, for which utterance, in which epoch or
condition. Never by a system, a job, a worker or what was drawn before. Two arms of an experiment
therefore see the same speeds, drops and noise, and a run resumed or spread differently draws the
same numbers.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def stream(seed: int, *keys: str | int) -> "np.random.Generator":
    """The generator of ``(seed, *keys)``; the same numbers on every machine and numpy >= 1.24.

    ``stream(0, "speed", "utt-1", 3)`` and ``stream(0, "speed", "utt-13")`` are unrelated: keys
    are hashed with their types and lengths, not joined.
    """
    import numpy as np

    words = np.frombuffer(_digest(seed, keys), dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64(words))


def derive(seed: int, *keys: str | int) -> int:
    """A seed in [0, 2**63) for another library's generator, keyed like :func:`stream`."""
    return int.from_bytes(_digest(seed, keys)[:8], "little") >> 1


def _digest(seed: int, keys: tuple[str | int, ...]) -> bytes:
    """16 bytes of BLAKE2b over an encoding in which different key tuples never look alike."""
    digest = hashlib.blake2b(digest_size=16)
    for key in (seed, *keys):
        assert type(key) in (int, str), f"a key is a str or an int, not {key!r}"
        data = str(key).encode("utf-8")
        digest.update(f"{type(key).__name__}{len(data)}:".encode())
        digest.update(data)
    return digest.digest()
