#!/usr/bin/env python3
"""Time training with SpeechBrain and with jointasr on the same files, model and threads.

Epochs of the two alternate. utils/bench_peers.sh runs this in an environment that has both.
SpeechBrain is used through its public classes, as in its documentation: Brain, DynamicItemDataset,
Wav2Vec2 and Augmenter.
"""

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import soundfile
import speechbrain as sb
import torch
from lhotse import CutSet
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import DropChunk, DropFreq, SpeedPerturb
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.nnet.losses import ctc_loss, nll_loss
from speechbrain.nnet.pooling import StatisticsPooling

from jointasr.bench import bench, corpus, random_models
from jointasr.config import conf_files
from jointasr.models import encoder
from jointasr.text.lang import Units

PLAIN = ["augment.speeds=[100]", "augment.max_bands=0", "augment.max_chunks=0"]


class Peer(sb.Brain):
    """Training of one task with SpeechBrain."""

    def compute_forward(self, batch: Any, stage: sb.Stage) -> Any:
        """Return log-probabilities and the relative lengths of the waveforms."""
        waves, lengths = batch.sig
        if self.hparams.augment is not None:
            waves, lengths = self.hparams.augment(waves, lengths)
        hidden = self.modules.encoder(waves, lengths)
        if self.hparams.pool is not None:
            hidden = self.hparams.pool(hidden, lengths).squeeze(1)
        return self.modules.head(hidden).log_softmax(-1), lengths

    def compute_objectives(self, predictions: Any, batch: Any, stage: sb.Stage) -> Any:
        """Return the loss."""
        scores, lengths = predictions
        if self.hparams.pool is not None:
            return nll_loss(scores, batch.emotion.data[:, 0])
        return ctc_loss(scores, batch.tokens.data, lengths, batch.tokens.lengths, blank_index=0)


def peer(task: str, model: Path, out: Path) -> Peer:
    """Return a SpeechBrain trainer of a model."""
    network = Wav2Vec2(str(model), str(out / "hub"), freeze=False, freeze_feature_extractor=True)
    width = network.model.config.hidden_size
    augment = None
    if task == "asr":
        augment = Augmenter(
            augmentations=[
                SpeedPerturb(encoder.RATE, speeds=[95, 100, 105]),
                DropFreq(drop_freq_count_low=0, drop_freq_count_high=3),
                DropChunk(1000, 2000, drop_count_low=0, drop_count_high=5),
            ],
            min_augmentations=3,
            max_augmentations=3,
            concat_original=False,
        )
    classes = Units.char().size if task == "asr" else len(corpus.EMOTIONS)
    return Peer(
        modules={"encoder": network, "head": torch.nn.Linear(width, classes)},
        opt_class=lambda parameters: torch.optim.AdamW(parameters, lr=1e-4),
        hparams={
            "augment": augment,
            "pool": None if task == "asr" else StatisticsPooling(return_std=False),
        },
        run_opts={"device": "cuda" if torch.cuda.is_available() else "cpu"},
    )


def loader(cuts: CutSet, wavs: Path, size: int, order: str) -> Any:
    """Return a SpeechBrain data loader of the audio of cuts."""
    items = {
        cut.id: {
            "wav": str(wavs / f"{cut.id}.wav"),
            "duration": cut.duration,
            "text": cut.supervisions[0].text,
            "label": cut.supervisions[0].custom["emotion"],
        }
        for cut in cuts
    }
    data = DynamicItemDataset(items)
    if order == "sorted":
        data = data.filtered_sorted(sort_key="duration")
    units = Units.char()

    @sb.utils.data_pipeline.takes("wav")
    @sb.utils.data_pipeline.provides("sig")
    def sig(wav: str) -> torch.Tensor:
        return torch.from_numpy(soundfile.read(wav, dtype="float32")[0])

    @sb.utils.data_pipeline.takes("text")
    @sb.utils.data_pipeline.provides("tokens")
    def tokens(text: str) -> torch.Tensor:
        return torch.LongTensor(units.encode(text))

    @sb.utils.data_pipeline.takes("label")
    @sb.utils.data_pipeline.provides("emotion")
    def emotion(label: str) -> torch.Tensor:
        return torch.LongTensor([corpus.EMOTIONS.index(label)])

    for item in (sig, tokens, emotion):
        data.add_dynamic_item(item)
    data.set_output_keys(["id", "sig", "tokens", "emotion"])
    shuffle = order == "shuffled"
    return sb.dataio.dataloader.make_dataloader(data, batch_size=size, shuffle=shuffle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=("asr", "ser"), required=True)
    parser.add_argument("--shape", choices=("tiny", "base", "large"), default="tiny")
    parser.add_argument("--batch", type=int, default=4, help="utterances per SpeechBrain batch")
    parser.add_argument("--order", choices=("sorted", "shuffled"), default="shuffled")
    parser.add_argument("--minutes", type=float, default=10, help="minutes of audio per epoch")
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each toolkit")
    parser.add_argument("--set", nargs="*", default=[], help="overrides of jointasr conf keys")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cuts = corpus.write(folder / "corpus", 60 * args.minutes)
        model = random_models.write(f"wav2vec2-{args.shape}", folder / "model")
        jointasr_seconds, peer_seconds = timings(args, cuts, model, folder)
    audio = sum(cut.duration for cut in cuts)
    ratio = statistics.median(peer_seconds) / statistics.median(jointasr_seconds)
    ratios = [b / a for a, b in zip(jointasr_seconds, peer_seconds, strict=True)]
    threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    print(
        f"{args.task}, {args.shape}, batches of {args.batch} {args.order} ({threads}): SpeechBrain "
        f"{sb.__version__} {audio / statistics.median(peer_seconds):.1f}, jointasr "
        f"{audio / statistics.median(jointasr_seconds):.1f} s audio/s, ratio {ratio:.2f} "
        f"({', '.join(f'{r:.2f}' for r in ratios)})"
    )


def timings(
    args: argparse.Namespace, cuts: CutSet, model: Path, folder: Path
) -> tuple[list[float], list[float]]:
    """Return the seconds per epoch of jointasr and of SpeechBrain."""
    # the same audio per step: the limit includes padding, of which jointasr's batches have little
    seconds = args.batch * sum(cut.duration for cut in cuts) / len(cuts)
    overrides = [f"encoder.model={model}", f"batch.max_duration={seconds}", "ctc=torch"]
    overrides += ["batch.workers=0", "train.precision=fp32", "train.save_minutes=1e6"]
    overrides += [*(PLAIN if args.task == "ser" else []), *args.set]
    conf = conf_files.load(f"{args.task}.yaml", Path(), overrides)
    labels = list(corpus.EMOTIONS)
    trainer = bench.TrainingBench(conf, cuts, labels, folder / "jointasr").trainer
    brain = peer(args.task, model, folder)
    batches = loader(cuts, folder / "corpus" / "wavs", args.batch, args.order)
    jointasr_seconds, peer_seconds = [], []
    for epoch in range(args.rounds + 1):  # the first epoch is a warm-up
        start = time.perf_counter()
        trainer.train_epoch(trainer.batches(range(epoch, epoch + 1)))
        trainer.state.next_epoch()
        middle = time.perf_counter()
        brain.fit([epoch], batches, progressbar=False)
        brain.init_optimizers = lambda: None  # keep the optimizers in the next epoch
        jointasr_seconds.append(middle - start)
        peer_seconds.append(time.perf_counter() - middle)
    return jointasr_seconds[1:], peer_seconds[1:]


if __name__ == "__main__":
    main()
