"""Three joint training steps and a decode with models of the paper's size and random weights.

test_fullsize.py runs it in a separate process to measure its peak memory:
``python3 tests/support/fullsize.py FOLDER``. Only model paths and max_duration differ from
conf/joint.yaml.
"""

import resource
import sys
from pathlib import Path

import torch
from lhotse import CutSet
from tiny import utterances

from jointasr.bench import random_models
from jointasr.config import conf_files
from jointasr.decoding import decode
from jointasr.decoding.decoder import Decoder
from jointasr.models import checkpoint
from jointasr.text.lang import Units
from jointasr.training.trainer import Trainer

LABELS = ["ang", "hap", "neu", "sad"]


def main(folder: Path) -> None:
    torch.set_num_threads(2)
    encoder = random_models.write("wav2vec2-large", folder / "encoder")
    bert = random_models.write("bert-base", folder / "bert")
    changes = [
        f"encoder.model={encoder}",
        f"bert.model={bert}",
        "batch.max_duration=4",
    ]
    conf = conf_files.load("joint.yaml", folder, changes)
    model = checkpoint.initial(conf, Units.char(), LABELS)
    made = utterances(folder / "wavs", 12, 1, words=8)
    cuts = CutSet.from_cuts(sorted(made, key=lambda cut: cut.duration)[-3:])
    trainer = Trainer(model, cuts, cuts, folder / "out", seed=0)
    done = trainer.train_epoch(trainer.batches(range(1)))
    print(f"steps {trainer.state.steps}, loss {done.loss / done.utterances:.3f}")
    search = conf_files.load_decode("decode.yaml", folder)
    found = decode.decode(Decoder(model, search), cuts)
    print(f"decoded {len(found.texts)} texts, {len(found.emotion_posteriors)} posteriors")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
