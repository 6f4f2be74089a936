"""Decoding: the hypotheses of a trained model for a test set."""

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
    """Outputs of a model by utterance id; {} for outputs that its kind does not have."""

    texts: dict[str, str]
    word_posteriors: dict[str, list[float]]
    """one value for each word; {} if the decoding method does not estimate them"""
    emotion_posteriors: dict[str, list[float]]
    """in the order of labels.txt"""
    usage: Usage
    unreadable: dict[str, str]
    """reason for each unreadable utterance; it gets an empty text and a wrong emotion"""


@torch.no_grad()
def decode(
    decoder: Decoder,
    cuts: CutSet,
    conv: Path | None = None,
    skip_bad: bool = False,
    scales: Scales = UNIT_SCALES,
) -> Hypotheses:
    """Recognize the utterances of a test set in fp32.

    Args:
        decoder: model and decoding method.
        cuts: a test set.
        conv: feats.scp of archived convolutional features to read instead of audio.
        skip_bad: count unreadable utterances as errors instead of raising DataError.
        scales: weights of the language model of the decoder.

    Raises DataError naming an utterance that cannot be read or has no features.
    """
    model = decoder.model
    start = time.perf_counter()
    unreadable = _find_unreadable(cuts, conv) if skip_bad else {}
    readable = cuts.filter(lambda cut: cut.id not in unreadable).to_eager()
    hypotheses = Hypotheses({}, {}, {}, Usage(0.0, 0.0, 0.0, 0.0), unreadable)
    progress, num_decoded, num_truncated, audio, search = Progress(), 0, 0, 0.0, 0.0
    outputs = model_outputs(decoder, readable, conv) if len(readable) else ()
    for ids, seconds, output in outputs:
        search += _add_batch(hypotheses, decoder, ids, output, scales)
        num_decoded += len(ids)
        num_truncated += output.truncated
        audio += seconds
        progress.add(seconds)
        share = num_decoded / len(readable)
        log.info("%d of %d utterances, %s", num_decoded, len(readable), progress(share))
    if num_truncated:
        log.warning("%d transcripts were truncated to BERT's maximum length", num_truncated)
    if model.conf.has_ctc:
        num_words = sum(len((cut.supervisions[0].text or "").split()) for cut in cuts)
        nonempty = sum(map(bool, hypotheses.texts.values()))
        failures.warn_if_all_empty(num_words, nonempty, "test")
    _add_unreadable(hypotheses, cuts, model.labels)
    usage = Usage(audio, time.perf_counter() - start, search, peak_memory())
    return hypotheses._replace(usage=usage)


def _add_batch(
    hypotheses: Hypotheses, decoder: Decoder, ids: list[str], output: systems.Output, scales: Scales
) -> float:
    """Add the hypotheses of a batch; return the seconds spent on search."""
    search = 0.0
    if output.log_probs is not None:
        synchronize()  # otherwise the time of the encoder would count as search
        start = time.perf_counter()
        with failures.explain_divergence(ids):
            transcripts = decoder.transcribe(output.log_probs, output.frames, scales)
        search = time.perf_counter() - start
        for utt, transcript in zip(ids, transcripts, strict=True):
            hypotheses.texts[utt] = transcript.text
            if transcript.word_posteriors is not None:
                hypotheses.word_posteriors[utt] = transcript.word_posteriors
    if output.emotion_logits is not None:
        rows = output.emotion_logits.double().softmax(-1).tolist()
        hypotheses.emotion_posteriors.update(zip(ids, rows, strict=True))
    return search


def _add_unreadable(hypotheses: Hypotheses, cuts: CutSet, labels: list[str]) -> None:
    """Give each unreadable utterance an empty text and a wrong emotion."""
    for cut in cuts:
        if cut.id in hypotheses.unreadable:
            log.warning("%s; counted as an error", hypotheses.unreadable[cut.id])
            hypotheses.texts[cut.id] = ""
            if hypotheses.word_posteriors:
                hypotheses.word_posteriors[cut.id] = []
            hypotheses.emotion_posteriors[cut.id] = _wrong_emotion(cut, labels)


def _wrong_emotion(cut: MonoCut, labels: list[str]) -> list[float]:
    """Return posteriors with probability one for an emotion that is not that of the cut."""
    label = cut.supervisions[0].custom.get("emotion")
    wrong = ((labels.index(label) if label else 0) + 1) % len(labels)
    return [float(index == wrong) for index in range(len(labels))]


def peak_memory() -> float:
    """Return the peak memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _find_unreadable(cuts: CutSet, conv: Path | None) -> dict[str, str]:
    """Return ``{utterance: why its audio, or its features in ``conv``, cannot be read}``."""
    features = datadir.read_table(conv) if conv is not None else {}
    reasons: dict[str, str] = {}
    for cut in cuts:
        try:
            if conv is None:
                dataset.load_audio(cut)
            else:
                archive.read_feats(features[cut.id])
        except DataError as error:
            reasons[cut.id] = str(error)
        except KeyError:
            reasons[cut.id] = f"{cut.id}: no features"
    return reasons


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
    """Yield ids, seconds of audio and output of the model for each batch.

    ``conv``: feats.scp to read instead of audio. Raises DataError naming an utterance that cannot
    be read or has no features.
    """
    model, device = decoder.model, decoder.device
    system = model.system.to(device).eval()
    data = dataset.SpeechDataset(model.units, model.labels, load=conv is None)
    data.check(cuts, system.encoder.min_samples)
    batches = dataset.evaluation_batches(cuts, data, decoder.conf.max_duration, workers=0)
    features = datadir.read_table(conv) if conv is not None else None
    if features is not None and (missing := {cut.id for cut in cuts} - features.keys()):
        raise DataError(f"{conv}: no features of {min(missing)}; create them again (stage 6)")
    for batch in batches:
        batch = to_device(batch, device)
        if features is None:
            output = systems.forward(system, batch.waves, batch.lengths, batch.texts)
        else:
            matrices = [archive.read_feats(features[name]) for name in batch.ids]
            frames = torch.tensor([len(matrix) for matrix in matrices])
            expected = system.encoder.frames(batch.lengths)
            if frames.tolist() != expected.tolist():
                raise DataError(
                    f"{conv}: the number of frames does not match the audio; create the "
                    "features again (stage 6)"
                )
            hidden = system.encoder.transform(_stack(matrices).to(device), frames)
            output = systems.forward_states(system, States(hidden, frames), batch.texts)
        yield batch.ids, batch.seconds, output


def _stack(matrices: Iterable[np.ndarray]) -> Tensor:
    """Stack matrices (frames, C) into a zero-padded tensor (N, max frames, C)."""
    tensors = [torch.from_numpy(np.array(matrix, dtype=np.float32)) for matrix in matrices]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
