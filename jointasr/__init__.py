"""jointasr: what is said and how it is felt, from one model, in noise."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jointasr.recognizer import Recognizer

__version__ = "0.1.0"


def load(model: str, device: str | None = None, method: str | None = None) -> "Recognizer":
    """The recogniser of a model: ``jointasr.load("folder or hub id").recognize(array, rate)``.

    See :func:`jointasr.recognizer.load`.
    """
    # by name: a step of the recipe, which imports this package, does not hang on the recogniser
    found: Recognizer = import_module("jointasr.recognizer").load(model, device, method)
    return found
