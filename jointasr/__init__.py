"""jointasr: what is said and how it is felt, from one model, in noise.

``jointasr.load("folder or hub id").recognize(array, rate)``; see
:func:`jointasr.inference.recognizer.load`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``load``, with the libraries it needs: the steps import this package without them."""
    if name == "load":
        return import_module("jointasr.inference.recognizer").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
