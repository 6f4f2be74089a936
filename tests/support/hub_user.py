"""What a user of a hub does: put ``model`` there, load it, load the folder, ask for another one.

A line for each; it is a program, for the hub's client reads its settings when it is imported.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import jointasr
from jointasr.inference import packing
from jointasr.utils.errors import DataError

WAVE = np.random.default_rng(0).uniform(-0.1, 0.1, 16000)


def told(action: Callable[[], object]) -> str:
    try:
        return str(action())
    except DataError as error:
        return str(error)


def heard(model: str) -> str:
    return told(lambda: jointasr.load(model, "cpu").recognize(WAVE, 16000))


if __name__ == "__main__":
    print(told(lambda: packing.push(Path("model"), "me/model")))
    print(*map(heard, ("me/model", "model", "me/other")), sep="\n")
