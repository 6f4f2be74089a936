"""Joint speech and emotion recognition in noise.

``jointasr.load("folder or hub id").recognize(array, rate)`` recognizes audio with a trained model;
see :func:`jointasr.inference.recognizer.load`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import ``load`` on first use, because it needs torch and transformers."""
    if name == "load":
        return import_module("jointasr.inference.recognizer").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
