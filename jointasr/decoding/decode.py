"""Decoding: what a trained model says of test sets, written as Kaldi tables."""

import logging
import resource
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lhotse import CutSet, MonoCut
from torch import Tensor

from jointasr.data import archive, datadir, dataset
from jointasr.data.batch import to_device
from jointasr.decoding.decoder import UNIT_SCALES, Decoder, Scales
from jointasr.models import failures, systems
from jointasr.models.checkpoint import TrainedModel
from jointasr.models.fusion import States
from jointasr.scoring import decode_dir
from jointasr.scoring.decode_dir import Usage
from jointasr.utils.errors import DataError
from jointasr.utils.progress import Progress
from jointasr.utils.timer import synchronize

log = logging.getLogger(__name__)


class Hypotheses(NamedTuple):
    """Output of a model by utterance id; empty where its kind has no such output."""

    texts: dict[str, str]
    word_posteriors: dict[str, list[float]]
    """one for each word, if the decoding method estimates them"""
    emotion_posteriors: dict[str, list[float]]
    """in the order of labels.txt"""
    usage: Usage
    unreadable: dict[str, str]
    """why an utterance could not be read; it has an empty text and a wrong emotion"""


@torch.no_grad()
def decode(
    decoder: Decoder,
    cuts: CutSet,
    conv: Path | None = None,
    skip_bad: bool = False,
    scales: Scales = UNIT_SCALES,
) -> Hypotheses:
    """Hypotheses of every cut, in fp32. ``conv``: feats.scp to read instead of audio; ``scales``
    weigh the decoder's language model.

    Raises DataError naming an utterance that cannot be decoded or has no features. ``skip_bad``:
    one whose audio or features cannot be read is an error in the score instead.
    """
    model = decoder.model
    texts: dict[str, str] = {}
    word_posteriors: dict[str, list[float]] = {}
    emotion_posteriors: dict[str, list[float]] = {}
    progress, done, truncated = Progress(), 0, 0
    began, searching, audio = time.perf_counter(), 0.0, 0.0
    unreadable = _find_unreadable(cuts, conv) if skip_bad else {}
    sound = cuts.filter(lambda cut: cut.id not in unreadable).to_eager()
    heard = model_outputs(decoder, sound, conv) if len(sound) else ()
    for ids, seconds, output in heard:
        if output.log_probs is not None:
            synchronize()  # for the encoder, whose time is not the search's
            start = time.perf_counter()
            with failures.explain_divergence(ids):
                found = decoder.transcribe(output.log_probs, output.frames, scales)
            searching += time.perf_counter() - start
            texts.update({name: each.text for name, each in zip(ids, found, strict=True)})
            known = zip(ids, (each.word_posteriors for each in found), strict=True)
            word_posteriors.update({utt: values for utt, values in known if values is not None})
        if output.emotion_logits is not None:
            rows = output.emotion_logits.double().softmax(-1).tolist()
            emotion_posteriors.update(zip(ids, rows, strict=True))
        done += len(ids)
        truncated += output.truncated
        audio += seconds
        progress.add(seconds)
        log.info("%d of %d utterances, %s", done, len(sound), progress(done / len(sound)))
    if truncated:
        log.warning("%d transcripts were truncated to BERT's maximum length", truncated)
    words = sum(len((cut.supervisions[0].text or "").split()) for cut in cuts)
    if model.conf.has_ctc:
        failures.warn_if_all_empty(words, sum(map(bool, texts.values())), "test")
    for cut in cuts:
        if cut.id in unreadable:
            log.warning("%s; counted as an error", unreadable[cut.id])
            texts[cut.id] = ""
            if word_posteriors:
                word_posteriors[cut.id] = []
            emotion_posteriors[cut.id] = _wrong(cut, model.labels)
    usage = Usage(audio, time.perf_counter() - began, searching, memory())
    return Hypotheses(texts, word_posteriors, emotion_posteriors, usage, unreadable)


def memory() -> float:
    """Most memory that this process has had, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _find_unreadable(cuts: CutSet, conv: Path | None) -> dict[str, str]:
    """Why audio, or with ``conv`` features, cannot be read, by utterance."""
    features = datadir.read_table(conv) if conv is not None else {}
    found: dict[str, str] = {}
    for cut in cuts:
        try:
            if conv is None:
                dataset.load_audio(cut)
            else:
                archive.read_feats(features[cut.id])
        except (DataError, KeyError) as error:
            found[cut.id] = str(error) if isinstance(error, DataError) else f"{cut.id}: no features"
    return found


def _wrong(cut: MonoCut, labels: list[str]) -> list[float]:
    """Posteriors that are sure of another emotion than the cut's."""
    known = cut.supervisions[0].custom.get("emotion")
    truth = labels.index(known) if known else 0
    return [float(place == (truth + 1) % len(labels)) for place in range(len(labels))]


def write(out: Path, model: TrainedModel, hypotheses: Hypotheses) -> None:
    """Write the hypothesis files of a decode folder."""
    out.mkdir(parents=True, exist_ok=True)
    decode_dir.write_usage(out, hypotheses.usage)
    if model.conf.has_ctc:
        decode_dir.write_words(out, hypotheses.texts, hypotheses.word_posteriors)
    if model.conf.has_emotion:
        decode_dir.write_emotions(out, hypotheses.emotion_posteriors, model.labels)


def model_outputs(
    decoder: Decoder, cuts: CutSet, conv: Path | None = None
) -> Iterator[tuple[list[str], float, systems.Output]]:
    """(ids, seconds of audio, output) batch by batch."""
    model, device = decoder.model, decoder.device
    system = model.system.to(device).eval()
    data = dataset.SpeechDataset(model.units, model.labels, load=conv is None)
    data.check(cuts, system.encoder.min_samples)
    batches = dataset.evaluation_batches(cuts, data, decoder.conf.max_duration, workers=0)
    features = datadir.read_table(conv) if conv is not None else None
    if features is not None and (missing := {cut.id for cut in cuts} - features.keys()):
        raise DataError(f"{conv}: no features of {min(missing)}; make them again (stage 6)")
    for batch in batches:
        batch = to_device(batch, device)
        if features is None:
            output = systems.forward(system, batch.waves, batch.lengths, batch.texts)
        else:
            matrices = [archive.read_feats(features[name]) for name in batch.ids]
            frames = torch.tensor([len(matrix) for matrix in matrices])
            expected = system.encoder.frames(batch.lengths)
            if frames.tolist() != expected.tolist():
                raise DataError(f"{conv}: frames do not fit the audio; make them again (stage 6)")
            hidden = system.encoder.transform(_stack(matrices).to(device), frames)
            output = systems.forward_states(system, States(hidden, frames), batch.texts)
        yield batch.ids, batch.seconds, output


def _stack(matrices: Iterable[np.ndarray]) -> Tensor:
    """Matrices (frames, C) as one zero-padded tensor (N, F, C)."""
    tensors = [torch.from_numpy(np.array(matrix, dtype=np.float32)) for matrix in matrices]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
