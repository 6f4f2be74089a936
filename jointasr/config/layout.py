"""Folders and file names of a recipe. No other module builds these paths or takes them apart.

::

    data/                                  or data-<conf>/: a data folder
      local/selected/                      utterances that the experiment uses (a data dir)
      local/mix/<set>/                     planned mixtures
      <set>/                               archived set (a data dir): clean, train_noisy, ...
        conv_<digest>/feats.scp            archived convolutional features
      folds/<scheme>/<fold>/               a fold folder
        {train,dev,test}.list              utterance ids
        {train,dev}_{clean,noisy}/         data dirs
        test_<scenario>/                   data dirs
        lang_<units>/  lm_<order>gram/     output units, n-gram models
    exp/results.json                       pooled results
    exp/<system>_<condition>/fold_<fold>/  a model folder
      best/  resume/  model.json           best epoch, state of an unfinished training, description
      decode_<scenario>[_<method>]/        hypotheses
      align_<scenario>_{ref,hyp[_<method>]}/
      tune_<method>/                       chosen language model weights
"""

from pathlib import Path

EXP = Path("exp")
RESULTS = "results.json"
"""pooled results, in exp"""
MAX_DURATION = EXP / "max_duration.json"
"""maximum seconds of audio in a batch, measured on a GPU (``batch.max_duration: auto``)"""

CUTS = "cuts.jsonl.gz"
RECORDINGS = "recordings.jsonl.gz"
SUPERVISIONS = "supervisions.jsonl.gz"
FEATS = "feats.scp"
POOLS = "pools.tsv"
"""pool of each noise file: train, dev or test"""

BEST = "best"
RESUME = "resume"
MODEL_JSON = "model.json"
HISTORY = "epochs.tsv"
HISTORY_HEADER = "epoch\tsteps\ttrain_loss\tdev_loss\tdev_wer\tdev_wa"

SCHEMES = ("speaker", "session", "given")
"""ways to divide a corpus into folds, see :mod:`jointasr.prep.folds`"""
DEFAULT_METHOD = "default"
SELECTED = "local/selected"
MIX = "local/mix"
_FOLD = "fold_"
_TEST = "test_"


# ---- data folders ------------------------------------------------------------------------------


def selected_dir(data: Path) -> Path:
    """Return the data dir of the utterances that the experiment uses."""
    return data / SELECTED


def mix_dir(data: Path, set_name: str = "") -> Path:
    """Return the folder of the planned mixtures, of one set or of all."""
    return data / MIX / set_name


def conv_dir(archived: Path, digest: str) -> Path:
    """Return the folder of an archived set's convolutional features.

    ``digest`` identifies the weights of the feature extractor.
    """
    return archived / f"conv_{digest}"


# ---- fold folders ------------------------------------------------------------------------------


def scheme_dir(data: Path, scheme: str) -> Path:
    """Return the folder that holds the folds of a scheme."""
    return data / "folds" / scheme


def data_folder(fold_dir: Path) -> Path:
    """Return the data folder of a fold folder."""
    return fold_dir.parents[2]


def scheme_name(fold_dir: Path) -> str:
    """Scheme of a fold folder: speaker, session or given."""
    return fold_dir.parent.name


def list_file(fold_dir: Path, split: str) -> Path:
    """Return the path of the ids of a split (train, dev or test) of a fold."""
    return fold_dir / f"{split}.list"


def set_dir(fold_dir: Path, split: str, condition: str) -> Path:
    """Return the data dir of a fold's split, train or dev, in a condition, clean or noisy."""
    return fold_dir / f"{split}_{condition}"


def test_dir(fold_dir: Path, scenario: str) -> Path:
    """Return the data dir of a fold's test set in a scenario."""
    return fold_dir / f"{_TEST}{scenario}"


def test_scenario(folder: Path) -> str:
    """Return the scenario of a test dir: the inverse of :func:`test_dir`."""
    return folder.name.removeprefix(_TEST)


def lang_dir(fold_dir: Path, units: str, size: int) -> Path:
    """Return the folder of a fold's output units: lang_char, lang_bpe500 ..."""
    return fold_dir / ("lang_char" if units == "char" else f"lang_{units}{size}")


def lm_dir(folder: Path, order: int) -> Path:
    """Return the folder of the n-gram model of this order in a fold folder or a packed model."""
    return folder / f"lm_{order}gram"


# ---- model folders -----------------------------------------------------------------------------


def system_name(system: str, condition: str) -> str:
    """Return the name of a system under a training condition, clean or noisy."""
    return f"{system}_{condition}"


def system_dir(exp: Path, system: str, condition: str) -> Path:
    """Return the folder of a system's models under a training condition."""
    return exp / system_name(system, condition)


def model_dir(parent: Path, fold: str) -> Path:
    """Return the model folder of a fold in ``parent``, a :func:`system_dir`."""
    return parent / f"{_FOLD}{fold}"


def fold_name(folder: Path) -> str:
    """Return the fold of a model folder."""
    return folder.name.removeprefix(_FOLD)


def model_dirs(parent: Path) -> list[Path]:
    """Return all model folders in ``parent``, a :func:`system_dir`, sorted."""
    return sorted(parent.glob(f"{_FOLD}*"))


def exp_dir(folder: Path) -> Path:
    """Return the exp folder of a model folder."""
    return folder.parents[1]


def decode_dir(folder: Path, scenario: str, method: str) -> Path:
    """Return the folder of the hypotheses of a model (``folder``) in a test scenario."""
    return folder / f"decode_{scenario}{_suffix(method)}"


def align_dir(folder: Path, scenario: str, texts: str, method: str) -> Path:
    """Return the folder of a model's alignments.

    ``texts``: "ref" for aligned references, "hyp" for hypotheses of ``method``.
    """
    suffix = "" if texts == "ref" else _suffix(method)
    return folder / f"align_{scenario}_{texts}{suffix}"


def tune_dir(folder: Path, method: str) -> Path:
    """Return the folder of a method's language model weights, chosen on the dev set."""
    return folder / f"tune_{method}"


def tune_dirs(folder: Path) -> list[Path]:
    """Return the :func:`tune_dir` of each method that was used, sorted."""
    return sorted(folder.glob("tune_*"))


def _suffix(method: str) -> str:
    return "" if method == DEFAULT_METHOD else f"_{method}"
