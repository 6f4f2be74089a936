"""Decoding with a language model: ranking of candidates, tuning of scales, calibration."""

import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from lhotse import CutSet
from sklearn.linear_model import LogisticRegression

from jointasr.config.decode_schema import Decode, LanguageModel
from jointasr.decoding import decode, tuning
from jointasr.decoding.decoder import Candidate, Decoder, Scales, best_candidate, best_transcript
from jointasr.decoding.tuning import ScaleTrial
from jointasr.lm import arpa, ngram, training_text
from jointasr.models import checkpoint
from jointasr.scoring import calibration
from jointasr.scoring.calibration import Calibration
from jointasr.scoring.metrics import WordCounts
from jointasr.text.lang import Units
from jointasr.text.normalizer import LETTERS
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack

HAS_K2 = find_spec("k2") is not None
METHODS = ["nbest", "hlg", "hlg_rescore", "beam"] if HAS_K2 else ["beam"]


def trial(scale: float, penalty: float, errors: int) -> ScaleTrial:
    return ScaleTrial(scale, penalty, WordCounts(sub=errors, ref_words=50))


def test_candidates_are_ranked_by_their_weighted_scores() -> None:
    candidates = [
        Candidate("A B", -4.0, -2.0),
        Candidate("A", -3.0, -4.0),
        Candidate("C D E", -6.0, 0.0),
    ]
    assert best_candidate(candidates, Scales(0.0)).text == "A"
    assert best_candidate(candidates, Scales(1.0)).text == "A B"
    assert best_candidate(candidates, Scales(2.0, word_penalty=-1.0)).text == "C D E"
    text, posteriors = best_transcript(candidates, Scales(1.0))
    weights = np.exp([-6.0, -7.0, -6.0])
    weights /= weights.sum()
    plain = Calibration()
    assert text == "A B"
    assert posteriors == pytest.approx([plain(weights[0] + weights[1]), plain(weights[0])])
    impossible = [Candidate("A", -math.inf, -1.0), Candidate("B", -math.inf, -2.0)]
    assert best_transcript(impossible, Scales(1.0)).text == "A"


def test_the_middle_one_of_equal_trials_is_chosen() -> None:
    trials = [trial(s, p, 3) for s in (0.2, 0.4, 0.6, 0.8) for p in (-1.0, 0.0, 1.0)]
    assert tuning.best_trial(trials)[:2] == (0.6, 0.0)
    assert tuning.best_trial([*trials, trial(0.9, 1.0, 2)])[:2] == (0.9, 1.0)
    assert ScaleTrial.parse(str(trial(0.25, -0.5, 7))) == trial(0.25, -0.5, 7)


def test_calibration_is_logistic_regression() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(4000)
    right = generator.random(4000) < truth
    estimated = 1 / (1 + np.exp(-3 * np.log(truth / (1 - truth)) - 0.5))  # overconfident
    found = calibration.fit(estimated.tolist(), right.tolist())
    logits = np.array([[calibration.logit(p)] for p in estimated])
    theirs = LogisticRegression(C=1e6).fit(logits, right)
    assert found.slope == pytest.approx(theirs.coef_[0, 0], rel=0.01)
    assert found.offset == pytest.approx(theirs.intercept_[0], abs=0.01)
    assert calibration.fit([], []) == Calibration()
    sure = calibration.fit([0.9] * 5, [True] * 5)
    assert 0 < sure.slope <= 10 and sure(0.9) > 0.9


@pytest.fixture
def fold(tmp_path: Path, models: Path) -> tuple[checkpoint.TrainedModel, CutSet, dict[int, Path]]:
    """An untrained model, dev, and n-gram models of the words of dev."""
    conf = tiny.conf(models, "asr.yaml", f"ctc={'k2' if HAS_K2 else 'torch'}")
    model = checkpoint.initial(conf, Units.char(), tiny.LABELS)
    cuts = tiny.utterances(tmp_path / "wavs", 6, seed=1)
    texts = [cut.supervisions[0].text.split() for cut in cuts]
    paths = {}
    for order in (2, 3):
        paths[order] = tmp_path / f"lm_{order}gram"
        paths[order].mkdir()
        arpa.write(paths[order] / arpa.FILE_NAME, ngram.estimate(texts, order))
    return model, cuts, paths


def conf_of(method: str, **lm: object) -> Decode:
    chosen = {"order": 2, "rescore_order": 3, "scales": [0.5, 1.0], "word_penalties": [0.0, 1.0]}
    return Decode(method=method, paths=10, lm=LanguageModel(**{**chosen, **lm}))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_decodes(
    fold: tuple[checkpoint.TrainedModel, CutSet, dict[int, Path]], method: str
) -> None:
    """Only words of the n-gram model (nbest: any), each with a posterior; the same in any batch."""
    model, cuts, paths = fold
    together, alone = (
        decode.decode(
            Decoder(
                model, conf_of(method).model_copy(update={"max_duration": limit}), ngram_dirs=paths
            ),
            cuts,
            scales=Scales(0.5),
        )
        for limit in (100.0, 0.01)
    )
    assert together.texts == alone.texts and together.texts.keys() == {cut.id for cut in cuts}
    for name, row in together.word_posteriors.items():
        assert row == pytest.approx(alone.word_posteriors[name], abs=1e-3)
    known = set(arpa.read(paths[2] / arpa.FILE_NAME).words)
    for name, text in together.texts.items():
        if method != "nbest":
            assert set(text.split()) <= known
        assert len(together.word_posteriors[name]) == len(text.split())
        assert all(0 < p < 1 for p in together.word_posteriors[name])


def test_posteriors_of_a_previous_method_are_removed(
    fold: tuple[checkpoint.TrainedModel, CutSet, dict[int, Path]], tmp_path: Path
) -> None:
    model, cuts, paths = fold
    for method, known in ((METHODS[-1], True), ("greedy", False)):
        decoder = Decoder(model, conf_of(method), ngram_dirs=paths)
        decode.write(tmp_path / "out", model, decode.decode(decoder, cuts, scales=Scales(0.5)))
        assert (tmp_path / "out" / "word_post").is_file() == known


@pytest.mark.parametrize("method", METHODS)
def test_edges_of_audio(
    fold: tuple[checkpoint.TrainedModel, CutSet, dict[int, Path]], method: str
) -> None:
    """One frame, no frame, a minute of blanks, noise, uniform posteriors, posteriors not finite."""
    model, _, paths = fold
    decoder = Decoder(model, conf_of(method), ngram_dirs=paths)
    scores = torch.full((5, 3000, model.units.size), -20.0)
    scores[..., 0] = 0.0
    scores[3] = 0.3 * torch.randn(
        3000, model.units.size, generator=torch.Generator().manual_seed(1)
    )
    scores[3, :, 0] += 8.0  # flat noise below blanks
    scores[4] = 0.0
    scores = scores.log_softmax(2)
    found = decoder.transcribe(scores, torch.tensor([1, 0, 3000, 3000, 500]), Scales(0.5))
    assert [text for text, _ in found[:3]] == ["", "", ""]
    scores[0] = -math.inf
    with pytest.raises(FloatingPointError, match=r"rows \[0\]"):
        decoder.transcribe(scores[:2], torch.tensor([1, 0]), Scales(0.5))


def test_scales_are_tuned_on_improvised_speech_and_resume(
    fold: tuple[checkpoint.TrainedModel, CutSet, dict[int, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, cuts, paths = fold
    for index, cut in enumerate(cuts):
        cut.supervisions[0].custom["style"] = "improvised" if index % 2 else "scripted"
    decoder = Decoder(model, conf_of(METHODS[-1]), ngram_dirs=paths)
    dev = tuning.DevPosteriors(decoder, cuts)
    assert dev.subset == "improvised" and len(dev.references) == 3
    tuning.tune(dev, decoder.conf.lm, tmp_path, "one")
    table = (tmp_path / tuning.TRIALS).read_text()
    lines = table.splitlines()
    assert lines[0] == "# one" and len(lines) == 2 + 4
    chosen = tuning.read_scales(tmp_path)
    assert (chosen.language, chosen.word_penalty) in {
        (s, p) for s in (0.5, 1.0) for p in (0.0, 1.0)
    }

    (tmp_path / tuning.TRIALS).write_text("\n".join(lines[:4]) + "\n")  # killed midway
    tried = []
    real = tuning.DevPosteriors.candidates
    monkeypatch.setattr(
        tuning.DevPosteriors, "candidates", lambda self, s: (tried.append(s), real(self, s))[1]
    )
    tuning.tune(dev, decoder.conf.lm, tmp_path, "one")
    assert (tmp_path / tuning.TRIALS).read_text() == table
    assert tried == [1.0, chosen.language]
    tuning.tune(dev, decoder.conf.lm, tmp_path, "another")  # model or conf changed: start over
    assert tried[2:] == [0.5, 1.0, chosen.language]
    assert tuning.read_scales(tmp_path) == chosen


def test_dev_without_words_is_an_error(
    fold: tuple[checkpoint.TrainedModel, CutSet, dict[int, Path]], tmp_path: Path
) -> None:
    model, cuts, paths = fold
    for cut in cuts:
        cut.supervisions[0].text = ""
    with pytest.raises(DataError, match=r"set lm\.scale"):
        tuning.DevPosteriors(Decoder(model, conf_of(METHODS[-1]), ngram_dirs=paths), cuts)
    fixed = conf_of(METHODS[-1], scale=0.7, word_penalty=0.5)  # as the message suggests
    dev = tuning.DevPosteriors(Decoder(model, fixed, ngram_dirs=paths), cuts)
    tuning.tune(dev, fixed.lm, tmp_path, "one")
    assert tuning.read_scales(tmp_path) == Scales(0.7, 0.5)


def test_lattices_without_k2_are_refused(
    fold: tuple[checkpoint.TrainedModel, CutSet, dict[int, Path]],
) -> None:
    model, _, paths = fold
    other = model._replace(conf=model.conf.model_copy(update={"ctc": "torch"}))
    with pytest.raises(DataError, match=r"--method hlg needs k2 lattices.*--method beam"):
        Decoder(other, conf_of("hlg"), ngram_dirs=paths)


def test_extra_text_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text("GOOD LINE\nB\u00c4D LINE\n")
    with pytest.raises(DataError, match=rf"{path}:2: character 'Ä'"):
        training_text.check_characters(path, LETTERS)
