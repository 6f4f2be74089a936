"""Damaged files of every kind are either read or refused with DataError or OSError.

`pytest tests/unit/test_fuzz.py --fuzz-minutes 10` runs for 10 minutes, shared equally by the
parsers.
"""

import gzip
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import kaldiio
import numpy as np
import pytest
from data_fixtures import cut_of, sound, write_wav
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from lhotse import CutSet

from jointasr.config import conf_files, model_description, scenarios
from jointasr.data import archive, datadir, manifest, wav_scp
from jointasr.lm import arpa, ngram
from jointasr.scoring import results_json
from jointasr.text import lang
from jointasr.utils import jsonl
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT
from local.iemocap import counts, turns

sys.path.insert(0, str(ROOT / "utils"))
import jobs
import slurm_conf

LABELS = b"""% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-F1:\tNeutral;\t(curious)
[10.0100 - 11.3925]\tSes01F_impro01_F001\texc\t[2.5000, 2.5000, 2.5000]
"""
SPOKEN = b"""Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
Ses01F_impro01_M000 [007.5712-010.4750]: Do you have your forms?
M: Oh.
Ses01F_impro01_MXX0 [011.0-012.0]: [LAUGHTER]
"""
CONF = b"base: joint.yaml\nalpha: 0.3\ntrain:\n  epochs: 3\noptim:\n  head: {lr: 1.0e-3}\n"
TABLE = b"Ses01F-a WORDS HERE\nSes01F-b\nSes01F-c \xc3\xa9\n"


def wav_bytes(folder: Path) -> bytes:
    return write_wav(folder / "seed.wav", sound(1, 400)).read_bytes()


def ark_bytes(folder: Path) -> bytes:
    kaldiio.save_ark(str(folder / "seed.ark"), {"u": sound_matrix()}, compression_method=2)
    return (folder / "seed.ark").read_bytes()


def sound_matrix() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


def wav_ark_bytes(folder: Path) -> bytes:
    return b"Ses01F-a " + wav_bytes(folder)


def tokens_bytes(folder: Path) -> bytes:
    lang.Units.char().save(folder / "made")
    return (folder / "made/tokens.txt").read_bytes()


def cuts_bytes(folder: Path) -> bytes:
    name = "Ses01F-Ses01F_impro01_F000"
    cut = cut_of(write_wav(folder / "a.wav", sound(1, 800)), name, 800)
    manifest.write(CutSet.from_cuts([cut]), folder / "made", parts=False)
    return "".join(repr(item) + "\n" for item in jsonl.read(folder / "made/cuts.jsonl.gz")).encode()


def read_cuts(path: Path) -> object:
    """Read JSON lines, compressed here so that the JSON is damaged and not only the gzip file."""
    text = path.read_bytes().replace(b"'", b'"').replace(b"None", b"null")
    folder = path.parent / "dir"
    folder.mkdir(exist_ok=True)
    (folder / "cuts.jsonl.gz").write_bytes(gzip.compress(text))
    return manifest.load(folder)


def ark(path: Path) -> Path:
    """Rename the file to .ark."""
    return path.rename(path.with_suffix(".ark"))


def read_json_lines(path: Path) -> object:
    return list(jsonl.read(path))


def read_lang(path: Path) -> object:
    lang.Units.char().save(path.parent / "lang")
    (path.parent / "lang/tokens.txt").write_bytes(path.read_bytes())
    return lang.Units.load(path.parent / "lang")


def read_slurm(path: Path) -> object:
    try:
        return slurm_conf.read_conf(path)
    except ValueError as error:
        raise DataError(str(error)) from error


def read_jobs(path: Path) -> object:
    try:
        return jobs.parse(["--table", str(path), "true"], "")
    except ValueError as error:
        raise DataError(str(error)) from error


def read_model(path: Path) -> object:
    home = path.parent / "exp/asr_clean/fold_a"
    home.mkdir(parents=True, exist_ok=True)
    (home / "model.json").write_bytes(path.read_bytes())
    return model_description.read_model(home)


PARSERS: dict[str, tuple[Callable[[Path], object], bytes | Callable[[Path], bytes]]] = {
    "EmoEvaluation": (turns.read_labels, LABELS),
    "transcript": (lambda path: turns.read_transcript(path, Counter()), SPOKEN),
    "counts.tsv": (counts.read, b"set\titem\tcount\nlabelled\tturns\t3\n"),
    "data dir table": (datadir.read_table, b"Ses01F-a Ses01F\nSes01F-b Ses01F\n"),
    "text": (lambda path: datadir.read_table(path, allow_empty=True), TABLE),
    "list": (datadir.read_list, b"Ses01F-a\nSes01F-b\n"),
    "wav": (lambda path: wav_scp.read(str(path)), wav_bytes),
    "wav header": (lambda path: wav_scp.header(str(path)), wav_bytes),
    "wav.ark": (lambda path: wav_scp.read(f"{ark(path)}:9"), wav_ark_bytes),
    "feats.ark": (lambda path: archive.read_feats(f"{ark(path)}:2"), ark_bytes),
    "conf": (lambda path: conf_files.load(str(path), path.parent), CONF),
    "cuts": (read_cuts, cuts_bytes),
    "jsonl.gz": (read_json_lines, gzip.compress(b'{"id": "a"}\n' * 9)),
    "tests.tsv": (scenarios.read_tests, b"clean - -\nnoise_snr5 noise 5\n"),
    "tokens.txt": (read_lang, tokens_bytes),
    "results.json": (results_json.read, b'[{"system": "asr", "kind": "asr"}]'),
    "model.json": (read_model, b'{"system": "asr", "kind": "asr", "seed": 0}'),
    "slurm.conf": (read_slurm, b"command sbatch -p x\noption mem=* --mem=$0\nrequeues 2\n"),
    "lm.arpa": (arpa.read, arpa.text(ngram.estimate([["A", "B"], ["B"]], 2)).encode()),
    "job table": (read_jobs, b"a\tx.log\targument\nb\ty.log\n"),
}


def edits(original: bytes) -> st.SearchStrategy[bytes]:
    """The file with up to four random edits, or random bytes."""
    piece = st.one_of(
        st.binary(max_size=6),
        st.sampled_from([b"\n", b"\t", b" ", b"\0", b"\xff", b"|", b"-1", b"9" * 30, b"[", b": {"]),
        st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass")),
    )
    position = st.integers(0, len(original))
    change = st.tuples(position, st.integers(0, 12), piece)

    def apply(changes: list[tuple[int, int, bytes]]) -> bytes:
        data = original
        for start, length, new in changes:
            data = data[:start] + new + data[start + length :]
        return data

    return st.one_of(st.lists(change, max_size=4).map(apply), st.binary(max_size=300))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", PARSERS)
def test_damaged(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    parse, original = PARSERS[name]
    data = original if isinstance(original, bytes) else original(tmp_path)
    path = tmp_path / "Ses01F_impro01.yaml"  # a transcript file is named after its dialogue
    path.write_bytes(data)
    if name not in ("results.json", "model.json"):
        parse(path)  # the undamaged file is valid

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        try:
            parse(path)
        except (DataError, OSError) as error:
            assert str(error), content

    minutes = float(request.config.getoption("--fuzz-minutes"))
    until, number, tried = time.monotonic() + 60 * minutes / len(PARSERS), 0, [0]
    while True:

        @seed(number)
        @settings(
            max_examples=2000 if minutes else 80,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(content=edits(data))
        def damaged(content: bytes) -> None:
            tried[0] += 1
            attempt(content)

        damaged()
        number += 1
        if time.monotonic() >= until:
            break
    print(f"{name}: {tried[0]} damaged files, no crash")


def test_overrides_of_any_kind() -> None:
    """Random values of --set."""
    generator = random.Random(0)
    pieces = ["alpha", "train", "epochs", *".=3[{}:-é! ", "'"]
    for _ in range(1500):
        text = "".join(generator.choices(pieces, k=generator.randint(0, 8)))
        try:
            conf_files.load("joint.yaml", Path(), conf_files.split_overrides(text))
        except DataError as error:
            assert str(error)


def test_text_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes("base: joint.yaml  # é".encode("latin-1"))
    with pytest.raises(DataError, match=r"x.yaml: not UTF-8 text \(byte 0xe9 at offset 20\)"):
        conf_files.load(str(tmp_path / "x.yaml"), tmp_path)
