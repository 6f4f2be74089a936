"""A toy recipe folder: two folds, five decoded utterances, with known error counts.

Fold Ses01F: 5 reference words, 3 deletions, 1 insertion (against an empty reference). Fold Ses02M:
3 words, 1 substitution. Pooled 5 / 8 = 62.5 %, while the mean of the folds would be 56.7 %.
Emotions: 3 of 5 right; recalls 1/2, 0, 1, 1.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from jointasr.data.datadir import write_table
from jointasr.utils import jsonl

FOLDS = ("Ses01F", "Ses02M")
TESTS = ("clean", "noise_snr5")
REFS = {
    "Ses01F": {"Ses01F-a": "THE CAT SAT", "Ses01F-b": "", "Ses01F-c": "GO ON"},
    "Ses02M": {"Ses02M-a": "WERE YOU", "Ses02M-b": "NO"},
}
HYPS = {
    "Ses01F": {"Ses01F-a": "THE CAT", "Ses01F-b": "OH", "Ses01F-c": ""},
    "Ses02M": {"Ses02M-a": "WHERE YOU", "Ses02M-b": "NO"},
}
EMOTIONS = {
    "Ses01F": {"Ses01F-a": "ang", "Ses01F-b": "hap", "Ses01F-c": "sad"},
    "Ses02M": {"Ses02M-a": "neu", "Ses02M-b": "ang"},
}
PREDICTED = {
    "Ses01F": {"Ses01F-a": "ang", "Ses01F-b": "neu", "Ses01F-c": "sad"},
    "Ses02M": {"Ses02M-a": "neu", "Ses02M-b": "hap"},
}
POSTERIORS = {  # of each recognized emotion: .7
    "ang": "0.700000 0.100000 0.100000 0.100000",
    "hap": "0.100000 0.700000 0.100000 0.100000",
    "neu": "0.100000 0.100000 0.700000 0.100000",
    "sad": "0.100000 0.100000 0.100000 0.700000",
}


def make_data(recipe: Path) -> None:
    """Write conf/tests.tsv, the test dirs and the lang dirs of the folds."""
    (recipe / "conf").mkdir(parents=True)
    (recipe / "conf" / "tests.tsv").write_text("clean\t-\t-\nnoise_snr5\tnoise\t5\n")
    for fold in FOLDS:
        fold_dir = recipe / "data" / "folds" / "speaker" / fold
        (fold_dir / "lang_char").mkdir(parents=True)
        (fold_dir / "lang_char" / "labels.txt").write_text("ang\nhap\nneu\nsad\n")
        for test in TESTS:
            data = fold_dir / f"test_{test}"
            write_table(data / "text", REFS[fold])
            write_table(data / "utt2emo", EMOTIONS[fold])
            write_table(data / "utt2spk", dict.fromkeys(REFS[fold], fold))
            jsonl.write(data / "cuts.jsonl.gz", [_cut(utt) for utt in REFS[fold]])


def _cut(utterance: str) -> dict[str, object]:
    """Return the fields of a cut that scoring reads; the first utterance is scripted."""
    style = "scripted" if utterance.endswith("a") else "improvised"
    return {"id": utterance, "supervisions": [{"custom": {"style": style}}]}


def make_system(
    recipe: Path,
    system: str,
    kind: str,
    train: str = "clean",
    folds: Sequence[str] = FOLDS,
    method: str = "default",
) -> Path:
    """Write exp/<system>_<train> with finished decode folders; return its path in the recipe."""
    for fold in folds:
        model_dir = recipe / "exp" / f"{system}_{train}" / f"fold_{fold}"
        model_dir.mkdir(parents=True, exist_ok=True)
        model = {
            "system": system,
            "kind": kind,
            "conf": f"conf/{system}.yaml",
            "seed": 0,
            "train": train,
            "fold": fold,
            "engine": "k2",
            "stack": "k2-pypi",
            "lang": f"data/folds/speaker/{fold}/lang_char",
            "data": f"data/folds/speaker/{fold}",
            "commit": "abc",
            "budget": {"epochs": 2, "steps": 8, "utterances": 9, "dev_utterances": 3},
            "selected": {
                "on": f"data/folds/speaker/{fold}/dev_{train}",
                **{"epoch": 1, "error": 60.0, "loss": 1.5, "wer": 20.0, "wa": 60.0},
            },
        }
        (model_dir / "model.json").write_text(json.dumps(model))
        for test in TESTS:
            decode = model_dir / (f"decode_{test}" + ("" if method == "default" else f"_{method}"))
            if kind in ("asr", "joint"):
                write_table(decode / "text", HYPS[fold])
            if kind in ("ser", "joint"):
                write_table(decode / "utt2emo", PREDICTED[fold])
                rows = {utt: POSTERIORS[emotion] for utt, emotion in PREDICTED[fold].items()}
                write_table(decode / "emo_post", rows)
            (decode / ".done").write_text("{}")
    return Path("exp") / f"{system}_{train}"
