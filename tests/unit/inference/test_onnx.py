"""ONNX graphs against the models they were exported from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_training import initial_model

from jointasr.inference import onnx_export
from jointasr.models import encoder, fusion, systems
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack

onnxruntime = pytest.importorskip("onnxruntime")


def waves(*samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(0)
    each = [generator.normal(0, 0.1, n).astype(np.float32) for n in samples]
    return encoder.pad(each), torch.tensor(samples)


def session(path: Path) -> "onnxruntime.InferenceSession":
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("kind", ["asr", "ser", "joint"])
def test_graphs_and_model_agree(models: Path, tmp_path: Path, kind: str, norm: str) -> None:
    """With other batch sizes and lengths than in tracing."""
    model = initial_model(models, f"{kind}.yaml", f"encoder.model={models / norm}")
    system = model.system.eval()
    onnx_export.export(tmp_path, model)
    ctc_graph = session(tmp_path / onnx_export.CTC_GRAPH)
    texts = ["GOOD ROAD", "", "A GOOD LONG GAME OF OLD LAMBS"]
    for samples in ((9000,), (20000, 16000), (33333, 4000, 22222)):
        given, lengths = waves(*samples)
        with torch.no_grad():
            hidden, frames = system.encoder(given, lengths)
        found = dict(
            zip(
                [output.name for output in ctc_graph.get_outputs()],
                ctc_graph.run(None, {"waves": given.numpy(), "lengths": lengths.numpy()}),
                strict=True,
            )
        )
        assert found["frames"].tolist() == frames.tolist()
        for row, count in enumerate(frames):
            ours = hidden[row, :count].numpy()
            assert np.abs(found["hidden"][row, :count] - ours).max() < 1e-3
        if kind != "ser":
            assert not isinstance(system, systems.Ser)
            with torch.no_grad():
                expected = torch.log_softmax(system.head(hidden), -1)
            for row, count in enumerate(frames):
                ours = expected[row, :count].numpy()
                assert np.abs(found["log_probs"][row, :count] - ours).max() < 1e-3
        if kind == "asr":
            continue
        inputs = {"hidden": found["hidden"], "frames": found["frames"]}
        states = systems.States(hidden, frames)
        with torch.no_grad():
            if isinstance(system, systems.Joint):
                assert system.bert is not None
                said = texts[: len(samples)]
                lower = [text.lower() for text in said]
                tokens = system.bert.tokenizer(lower, padding=True, return_tensors="np")
                inputs |= {name: tokens[name] for name in ("input_ids", "attention_mask")}
                logits = system.fusion(states, system.bert(said).states)
            else:
                logits = system.classify(fusion.average(states))
        (graph,) = session(tmp_path / onnx_export.EMOTION_GRAPH).run(["logits"], inputs)
        assert np.abs(graph - logits.numpy()).max() < 1e-3


def test_transcripts_of_more_than_one_text_are_refused(models: Path, tmp_path: Path) -> None:
    model = initial_model(models, "ablation/nbest_text.yaml")
    with pytest.raises(DataError, match=r"emotion\.transcript nbest: its text branch reads more"):
        onnx_export.export(tmp_path, model)
