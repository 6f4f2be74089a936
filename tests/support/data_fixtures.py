"""Small synthetic corpora in the layout of ``data/local``, for tests of the data stages."""

import subprocess
from pathlib import Path

import forked
import numpy as np
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

from jointasr.data import manifest
from jointasr.utils import files, jsonl
from jointasr.utils.project import ROOT

RATE = 16000
EMOTIONS = ("ang", "hap", "neu", "sad")
TESTS = str(ROOT / "conf/tests.tsv")


def sound(seed: int, frames: int, level: float = 0.1) -> np.ndarray:
    """Amplitude-modulated noise as int16; ``level`` is its root mean square over full scale."""
    generator = np.random.default_rng(seed)
    wave = generator.standard_normal(frames)
    wave *= 0.2 + np.abs(np.sin(np.arange(frames) / 900.0))
    wave *= level / np.sqrt(np.mean(wave**2))
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def cut_of(path: Path, utterance: str, frames: int, **fields: str) -> MonoCut:
    """A cut as corpus preparation writes it; ``fields`` override text, speaker and emotion."""
    speaker = fields.get("speaker", utterance.split("-")[0])
    recording = Recording(
        id=utterance,
        sources=[AudioSource(type="file", channels=[0], source=str(path))],
        sampling_rate=RATE,
        num_samples=frames,
        duration=frames / RATE,
    )
    emotion = fields.get("emotion", "neu")
    dialogue = fields.get("dialogue", "_".join(utterance.split("-")[1].split("_")[:-1]))
    supervision = SupervisionSegment(
        id=utterance,
        recording_id=utterance,
        start=0.0,
        duration=frames / RATE,
        text=fields.get("text", "GOOD MORNING"),
        language="English",
        speaker=speaker,
        gender=speaker[-1],
        custom={
            "label": emotion,
            "emotion": emotion,
            "dialogue": dialogue,
            "session": speaker[:5],
            "style": "scripted" if "script" in dialogue else "improvised",
        },
    )
    return MonoCut(
        id=utterance,
        start=0.0,
        duration=frames / RATE,
        channel=0,
        recording=recording,
        supervisions=[supervision],
    )


def make_iemocap(recipe: Path, sessions: int = 2, dialogues: int = 3, turns: int = 2) -> CutSet:
    """Write data/local/corpus: each dialogue has ``turns`` of both speakers of its session.

    Two further utterances are to be excluded: one without words, one labelled ``fru``.
    """
    cuts = []
    for session in range(1, sessions + 1):
        for number in range(1, dialogues + 1):
            for who in "FM":
                for turn in range(turns):
                    cuts.append(_turn(recipe, session, number, who, turn))
    cuts.append(_turn(recipe, 1, 1, "F", turns, text=""))
    cuts.append(_turn(recipe, 1, 1, "M", turns, emotion="fru"))
    done = CutSet.from_cuts(cuts)
    manifest.write(done, recipe / "data/local/corpus")
    (recipe / "data/local/corpus/.done").write_text("{}\n")
    return done


def _turn(recipe: Path, session: int, number: int, who: str, turn: int, **fields: str) -> MonoCut:
    dialogue = f"Ses0{session}{'FM'[number % 2]}_impro0{number}"
    utterance = f"Ses0{session}{who}-{dialogue}_{who}{turn:03d}"
    seed = 1000 * session + 100 * number + 10 * turn + (who == "M")
    frames = 6000 + 37 * (seed % 101)
    path = write_wav(recipe / f"corpus/{utterance}.wav", sound(seed, frames))
    given = {"emotion": EMOTIONS[seed % 4], "text": f"TURN {'ABCDEFG'[turn]}", **fields}
    return cut_of(path, utterance, frames, **given)


def make_musan(recipe: Path) -> None:
    """Write data/local/musan: two files per type and pool, one shorter than any utterance."""
    recordings, pools = [], []
    for kind in ("music", "noise", "speech"):
        for pool in ("train", "dev", "test"):
            for number, frames in enumerate((2500, 30000)):
                name = f"{kind}-{pool}-{number}"
                seed = sum(map(ord, name)) + number
                path = write_wav(recipe / f"musan/{name}.wav", sound(seed, frames, 0.05))
                source = AudioSource(type="file", channels=[0], source=str(path))
                recordings.append(Recording(name, [source], RATE, frames, frames / RATE).to_dict())
                pools.append(f"{name}\t{kind}\t{pool}\n")
    folder = recipe / "data/local/musan"
    jsonl.write(folder / "recordings.jsonl.gz", sorted(recordings, key=lambda item: item["id"]))
    files.write_text(folder / "pools.tsv", "".join(sorted(pools)))
    (folder / ".done").write_text("{}\n")


def bin_run(recipe: Path, name: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run ``jointasr.bin.<name>`` in the recipe dir as a step does."""
    return forked.run_module(f"jointasr.bin.{name}", *args, cwd=recipe)


def program(recipe: Path, name: str, *args: str) -> str:
    """Run a program that must succeed; return its standard output."""
    done = bin_run(recipe, name, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def prepare(recipe: Path, jobs: int) -> None:
    """Run the programs that steps/mix_noise.sh, make_folds.sh and make_archives.sh run."""
    common = ["data", "--musan", "data/local/musan", "--tests", TESTS, "--jobs", str(jobs)]
    program(recipe, "select_turns", "data/local/corpus", "data/local/selected")
    for name, step, end in (("mix_noise", "plan", "merge"), ("make_archives", "write", "combine")):
        todo = program(recipe, name, "todo", *common)
        for job in range(1, jobs + 1):
            program(recipe, name, step, *common, "--sets", todo, "--job", str(job))
        program(recipe, name, end, *common, "--sets", todo)
    program(recipe, "make_folds", "data/local/selected", "data/folds/speaker")
