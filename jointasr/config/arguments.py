"""Command-line options that several programs share. Each function adds them to a parser."""

import argparse

from jointasr.config import scenarios
from jointasr.config.layout import DEFAULT_METHOD, SCHEMES

SPACES = "separated by spaces"


def add_tests(parser: argparse.ArgumentParser) -> None:
    """Add ``--tests``, the path of the scenario table."""
    parser.add_argument(
        "--tests", type=scenarios.tests_file, default="", help="table of test scenarios"
    )


def add_scheme(parser: argparse.ArgumentParser) -> None:
    """Add ``--scheme``, the scheme of the folds."""
    parser.add_argument(
        "--scheme",
        choices=SCHEMES,
        default="speaker",
        help="leave one speaker or session out, or as given by the corpus (default: speaker)",
    )


def add_folds(parser: argparse.ArgumentParser) -> None:
    """Add ``--folds``, fold ids in one string; empty for all."""
    parser.add_argument("--folds", default="", help=f"fold ids, {SPACES} (default: all)")


def add_method(parser: argparse.ArgumentParser) -> None:
    """Add ``--method``, the decoding method."""
    parser.add_argument("--method", default=DEFAULT_METHOD, help="decoding method")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add ``--ctc``, the CTC engine; None for that of the training."""
    parser.add_argument(
        "--ctc", choices=("k2", "torch"), help="CTC engine (default: that of the training)"
    )


def add_feats(parser: argparse.ArgumentParser) -> None:
    """Add ``--feats``, the input of decoding."""
    parser.add_argument(
        "--feats",
        choices=("wav", "conv"),
        default="wav",
        help="input: audio or archived convolutional features",
    )


def add_training_jobs(parser: argparse.ArgumentParser) -> None:
    """Add ``--conditions``, ``--folds`` and ``--seed``: with the confs, what is trained."""
    parser.add_argument(
        "--conditions", default="clean noisy", help=f"training conditions, {SPACES}"
    )
    add_folds(parser)
    parser.add_argument(
        "--seed",
        default="0",
        help=f"training seeds, {SPACES}; the systems of seed K > 0 are named <name>-s<K>",
    )


def add_set_jobs(parser: argparse.ArgumentParser, default_sets: str = "all") -> None:
    """Add ``--tests``, ``--sets``, ``--job`` and ``--jobs``: the sets and the part of one job."""
    add_tests(parser)
    parser.add_argument(
        "--sets", default="", help=f"names of sets, {SPACES} (default: {default_sets})"
    )
    parser.add_argument("--job", type=int, default=1, help="number of this job, from 1")
    parser.add_argument("--jobs", type=int, default=1, help="number of jobs")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, a torch device; None for the default."""
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:1, ... (default: the GPU if there is one)"
    )
