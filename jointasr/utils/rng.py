"""Random streams that depend only on their keys.

A stream is keyed by a seed and by names: the purpose, the utterance, the epoch or condition. It
depends neither on the system, the job or the worker nor on earlier draws. Paired experiments
therefore use the same speeds, drops and noise, and a resumed or differently parallelized run draws
the same numbers.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def stream(seed: int, *keys: str | int) -> "np.random.Generator":
    """Return the generator of ``(seed, *keys)``, equal on all machines and numpy >= 1.24.

    Keys are hashed with their types and lengths, not concatenated, so that
    ``stream(0, "speed", "utt-1", 3)`` and ``stream(0, "speed", "utt-13")`` are unrelated.
    """
    import numpy as np

    words = np.frombuffer(_digest(seed, keys), dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64(words))


def derive(seed: int, *keys: str | int) -> int:
    """Return a seed in [0, 2**63) for other generators, keyed as in :func:`stream`."""
    return int.from_bytes(_digest(seed, keys)[:8], "little") >> 1


def _digest(seed: int, keys: tuple[str | int, ...]) -> bytes:
    """Return 16 bytes of BLAKE2b over an injective encoding of the keys."""
    digest = hashlib.blake2b(digest_size=16)
    for key in (seed, *keys):
        assert type(key) in (int, str), f"a key is a str or an int, not {key!r}"
        data = str(key).encode("utf-8")
        digest.update(f"{type(key).__name__}{len(data)}:".encode())
        digest.update(data)
    return digest.digest()
