"""Push ``model`` to a hub, load it from there, load the folder, and load a missing model.

Prints a line for each. A program, because the hub's client reads its settings when it is imported.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import jointasr
from jointasr.inference import packing
from jointasr.utils.errors import DataError

WAVE = np.random.default_rng(0).uniform(-0.1, 0.1, 16000)


def result_or_error(action: Callable[[], object]) -> str:
    try:
        return str(action())
    except DataError as error:
        return str(error)


def recognize(model: str) -> str:
    return result_or_error(lambda: jointasr.load(model, "cpu").recognize(WAVE, 16000))


if __name__ == "__main__":
    print(result_or_error(lambda: packing.push(Path("model"), "me/model")))
    print(*map(recognize, ("me/model", "model", "me/other")), sep="\n")
