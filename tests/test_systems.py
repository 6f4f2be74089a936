"""The three systems: what reaches what, whatever the batch, from every shipped configuration."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from test_config import CONF, RECIPES, dumped
from transformers import AutoModelForCTC

from jointasr import checkpoint, config, encoder, objective, schema, search, systems
from jointasr.dataset import Batch
from jointasr.errors import DataError
from jointasr.fusion import SkipMlp, average
from jointasr.lang import Units
from jointasr.optim import Optimisers, grad_scaler

TEXTS = ["GOOD ROAD", "A", "OLD DREAM GAME", "MEAL"]
EMOTIONS = ["hap", "sad", "ang", "neu"]


def batch(units: Units) -> Batch:
    """Four utterances of very different lengths."""
    waves = [
        tiny.tones(text, emotion, seed).astype("float32") / 32768
        for seed, (text, emotion) in enumerate(zip(TEXTS, EMOTIONS, strict=True))
    ]
    return Batch(
        [f"utterance-{row}" for row in range(len(TEXTS))],
        encoder.pad(waves),
        torch.tensor([len(wave) for wave in waves]),
        TEXTS,
        [units.encode(text) for text in TEXTS],
        torch.tensor([tiny.LABELS.index(emotion) for emotion in EMOTIONS]),
    )


def model(conf: schema.Config, units: Units | None = None) -> checkpoint.Model:
    torch.manual_seed(0)
    return checkpoint.initial(conf, units or Units.char(), tiny.LABELS)


def forward(one: checkpoint.Model, data: Batch) -> systems.Output:
    return systems.forward(one.system, data.waves, data.lengths, data.texts)


def confs() -> list[Any]:
    """(name, recipe) of every shipped configuration of a system, alone and in every recipe."""
    found = []
    for recipe in [config.ROOT, *RECIPES]:
        paths = {path.relative_to(config.ROOT / "conf") for path in CONF}
        paths |= {path.relative_to(recipe / "conf") for path in recipe.glob("conf/**/*.yaml")}
        for name in sorted(map(str, paths)):
            if "system:" in dumped(name, recipe):
                found.append(pytest.param(name, recipe, id=f"{recipe.name}:{name}"))
    return found


@pytest.mark.parametrize(("name", "recipe"), confs())
def test_every_conf_builds_and_takes_a_step(models: Path, name: str, recipe: Path) -> None:
    overrides = tiny.settings(models)
    if find_spec("k2"):
        overrides.remove("ctc=torch")
    conf = config.load(name, recipe, overrides)
    units = Units.char()
    if conf.units.type != "char":
        units = Units.train_pieces([" ".join(tiny.WORDS)] * 9, conf.units.type, 32)
    one = model(conf, units)
    optimisers = Optimisers(one.system, conf.optim)
    data = batch(units)
    before = {key: value.clone() for key, value in one.system.named_parameters()}
    one.system.train()
    loss = objective.losses(conf, forward(one, data), data)
    loss.total.backward()
    assert optimisers.step(grad_scaler(False)) > 0
    assert torch.isfinite(loss.total) and loss.impossible == 0
    moved = [key for key, value in one.system.named_parameters() if not value.equal(before[key])]
    assert any("encoder" in key for key in moved) is not conf.encoder.freeze
    assert any("encoder" not in key for key in moved)


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("kind", ["asr", "ser", "joint"])
def test_padded_batch_equals_batch_of_one(models: Path, kind: str, norm: str) -> None:
    one = model(tiny.conf(models, f"{kind}.yaml", norm=norm))
    one.system.eval()
    data = batch(one.units)
    with torch.no_grad():
        together = forward(one, data)
        for row, length in enumerate(data.lengths.tolist()):
            lone = data._replace(
                waves=data.waves[row : row + 1, :length],
                lengths=data.lengths[row : row + 1],
                texts=data.texts[row : row + 1],
            )
            alone = forward(one, lone)
            count = int(alone.frames)
            assert count == together.frames[row]
            if together.log_probs is not None and alone.log_probs is not None:
                got = together.log_probs[row, :count]
                torch.testing.assert_close(got, alone.log_probs[0], atol=1e-4, rtol=0)
            if together.emotions is not None and alone.emotions is not None:
                got = together.emotions[row]
                torch.testing.assert_close(got, alone.emotions[0], atol=1e-4, rtol=0)
    assert (together.log_probs is None) == (kind == "ser")
    assert (together.emotions is None) == (kind == "asr")


@pytest.mark.parametrize("gradient", ["full", "stopped"])
@pytest.mark.parametrize("transcript", ["greedy", "oracle", "empty"])
def test_what_the_emotion_loss_reaches(models: Path, transcript: str, gradient: str) -> None:
    """Never the CTC head, for a transcript is a decision; the encoder only by the acoustics."""
    settings = [f"emotion.gradient={gradient}", f"emotion.transcript={transcript}"]
    one = model(tiny.conf(models, "joint.yaml", *settings))
    one.system.train()
    data = batch(one.units)
    emotions = forward(one, data).emotions
    assert emotions is not None
    loss = torch.nn.functional.cross_entropy(emotions, data.emotions)
    loss.backward()
    found = {name: p.grad for name, p in one.system.named_parameters()}
    reached = {name.split(".")[0] for name, grad in found.items() if grad is not None}
    assert reached == {"bert", "fusion"} | ({"encoder"} if gradient == "full" else set())


def test_ctc_loss_reaches_the_encoder_whatever_the_gradient(models: Path) -> None:
    one = model(tiny.conf(models, "joint.yaml", "emotion.gradient=stopped", "alpha=0"))
    one.system.train()
    data = batch(one.units)
    objective.losses(one.conf, forward(one, data), data).total.backward()
    layer = one.system.encoder.model.encoder.layers[0].attention.k_proj
    assert layer.weight.grad.abs().sum() > 0


def test_what_bert_reads(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: dict[str, list[str]] = {}
    for kind in ("greedy", "oracle", "empty"):
        one = model(tiny.conf(models, "joint.yaml", f"emotion.transcript={kind}"))
        assert isinstance(one.system.eval(), systems.Joint)
        data = batch(one.units)
        own = one.system.bert.forward

        def spy(texts: list[str], kind: str = kind, own: Any = own) -> torch.Tensor:
            read[kind] = texts
            return own(texts)

        monkeypatch.setattr(one.system.bert, "forward", spy)
        output = forward(one, data)
        if kind == "greedy":
            assert output.log_probs is not None
            found = search.greedy(output.log_probs, output.frames)
            assert read[kind] == [one.units.decode(ids) for ids in found]
            assert any(read[kind])
    assert read["oracle"] == TEXTS and read["empty"] == [""] * 4


def test_asr_and_joint_start_alike_and_see_the_same_dropout(models: Path) -> None:
    outputs = []
    for kind in ("asr", "joint"):
        one = model(tiny.conf(models, f"{kind}.yaml", "head.init=fresh", "encoder.dropout=0.3"))
        one.system.train()
        torch.manual_seed(7)
        outputs.append(forward(one, batch(one.units)).log_probs)
    assert torch.equal(*outputs)


def test_head_is_mapped_by_symbol(models: Path, tmp_path: Path) -> None:
    """Whatever the order of the vocabulary, a unit's logit is that of its symbol."""
    vocabulary = list(reversed(tiny.VOCABULARY))
    folder = tiny.make_wav2vec2(tmp_path / "permuted", "layer", vocabulary)
    one = model(tiny.conf(models, "asr.yaml", f"encoder.model={folder}"))
    one.system.eval()
    data = batch(one.units)
    names = ["<pad>", *one.units.symbols[1:]]
    rows = [vocabulary.index(name) for name in names]
    theirs = AutoModelForCTC.from_pretrained(folder).eval()
    with torch.no_grad():
        ours = forward(one, data).log_probs
        assert ours is not None
        for row, length in enumerate(data.lengths.tolist()):
            lone = data.waves[row : row + 1, :length]
            wave = encoder.normalise(lone, data.lengths[row : row + 1])
            expected = theirs(wave).logits[0, :, rows].log_softmax(-1)
            got = ours[row, : len(expected)]
            torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_vocabulary_without_a_character(models: Path, tmp_path: Path) -> None:
    vocabulary = [symbol for symbol in tiny.VOCABULARY if symbol != "Q"]
    folder = tiny.make_wav2vec2(tmp_path / "poor", "layer", vocabulary)
    with pytest.raises(DataError, match=r"poor.*vocab.json: has no symbol 'Q'"):
        model(tiny.conf(models, "asr.yaml", f"encoder.model={folder}"))
    model(tiny.conf(models, "asr.yaml", f"encoder.model={folder}", "head.init=fresh"))
    model(tiny.conf(models, "ser.yaml", f"encoder.model={folder}"))


def test_blank_bias_of_a_fresh_head(models: Path) -> None:
    one = model(tiny.conf(models, "asr.yaml", "head.init=fresh", "head.blank_bias=-3"))
    assert isinstance(one.system, systems.Asr)
    assert one.system.head[-1].bias.tolist() == [-3.0] + [0.0] * 28


def test_paper_head_has_two_hidden_layers(models: Path) -> None:
    one = model(tiny.conf(models, "paper/paper_asr.yaml"))
    assert isinstance(one.system, systems.Asr)
    linear = [layer for layer in one.system.head if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in linear] == [1024, 1024, 29]


def test_average_is_over_valid_frames() -> None:
    hidden = torch.randn(2, 5, 3)
    pooled = average(hidden, torch.tensor([5, 2]))
    torch.testing.assert_close(pooled[0], hidden[0].mean(0))
    torch.testing.assert_close(pooled[1], hidden[1, :2].mean(0))


def test_skip_connection() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7)
    plain, skip = (SkipMlp(7, 4, on, 0.0) for on in (False, True))
    skip.load_state_dict(plain.state_dict())
    torch.testing.assert_close(skip(x), plain(x) + plain.project(x))


def test_texts_in_a_batch_are_embedded_as_alone_and_truncation_is_counted(models: Path) -> None:
    one = model(tiny.conf(models, "joint.yaml"))
    assert isinstance(one.system.eval(), systems.Joint)
    bert = one.system.bert
    texts = ["", "GOOD", "OLD DREAM GAME " * 10]
    together = bert(texts)
    assert bert.truncated == 1
    for row, text in enumerate(texts):
        torch.testing.assert_close(bert([text])[0], together[row], atol=1e-5, rtol=0)
    torch.testing.assert_close(bert(["good"]), bert(["GOOD"]), atol=0, rtol=0)


def test_frozen_bert_stays_in_eval_mode(models: Path) -> None:
    one = model(tiny.conf(models, "joint.yaml", "bert.freeze=true"))
    assert isinstance(one.system.train(), systems.Joint)
    assert not one.system.bert.model.training
    assert not any(p.requires_grad for p in one.system.bert.parameters())
    assert "bert" not in Optimisers(one.system, one.conf.optim).by_part


def test_missing_bert_is_named(models: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"BERT .*nowhere: neither .*--bert FOLDER"):
        model(tiny.conf(models, "joint.yaml", f"bert.model={tmp_path / 'nowhere'}"))
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DataError, match=r"BERT .*hollow: no config.json"):
        model(tiny.conf(models, "joint.yaml", f"bert.model={tmp_path / 'hollow'}"))
