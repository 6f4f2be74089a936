"""The folder of the project: where run.sh, conf/ and the packages are in a checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
