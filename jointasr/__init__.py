"""jointasr: what is said and how it is felt, from one model, in noise."""

__version__ = "0.1.0"
