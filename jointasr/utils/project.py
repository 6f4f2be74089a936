"""Root folder of the project: in a checkout, the folder with run.sh, conf/ and the packages."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
