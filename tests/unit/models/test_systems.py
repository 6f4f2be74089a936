"""The three systems: gradients, independence of the batch, every shipped configuration."""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import shipped_confs
import tiny
import torch
from tiny import batch, build_model, forward
from transformers import AutoModelForCTC

from jointasr.config import conf_files, schema
from jointasr.ctc import prefix_beam, search
from jointasr.models import checkpoint, encoder, fusion, systems
from jointasr.models.fusion import SkipMlp, States, average
from jointasr.models.text_encoder import EncodedTexts
from jointasr.text.lang import Units
from jointasr.training import losses
from jointasr.training.optim import Optimisers, grad_scaler
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack


def confs() -> list[Any]:
    """Return (name, recipe) of every shipped configuration of a system, for every recipe."""
    found = []
    for recipe in [conf_files.ROOT, *shipped_confs.RECIPES]:
        for name in shipped_confs.names(recipe):
            if shipped_confs.is_system(name, recipe):
                found.append(pytest.param(name, recipe, id=f"{recipe.name}:{name}"))
    return found


@pytest.mark.parametrize(("name", "recipe"), confs())
def test_every_conf_builds_and_takes_a_step(models: Path, name: str, recipe: Path) -> None:
    overrides = tiny.settings(models)
    if find_spec("k2"):
        overrides.remove("ctc=torch")
    conf = conf_files.load(name, recipe, overrides)
    units = Units.char()
    if conf.units.type != "char":
        units = Units.train_pieces([" ".join(tiny.WORDS)] * 9, conf.units.type, 32)
    model = build_model(conf, units)
    optimisers = Optimisers(model.system, conf.optim)
    data = batch(units)
    before = {key: value.clone() for key, value in model.system.named_parameters()}
    model.system.train()
    loss = losses.total_loss(conf, forward(model, data), data)
    loss.backward()
    assert optimisers.step(grad_scaler(False)) > 0
    assert torch.isfinite(loss)
    moved = [key for key, value in model.system.named_parameters() if not value.equal(before[key])]
    assert any("encoder" in key for key in moved) is not conf.encoder.freeze
    assert any("encoder" not in key for key in moved)


FUSIONS = ["acoustic_only", "co_attention", "concat", "soft_text", "text_only"]
KINDS = ["asr", "ser", "joint", *(f"ablation/{name}" for name in FUSIONS)]


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("kind", KINDS)
def test_padded_batch_equals_batch_of_one(models: Path, kind: str, norm: str) -> None:
    model = build_model(tiny.conf(models, f"{kind}.yaml", norm=norm))
    model.system.eval()
    data = batch(model.units)
    with torch.no_grad():
        together = forward(model, data)
        for row, length in enumerate(data.lengths.tolist()):
            lone = data._replace(
                waves=data.waves[row : row + 1, :length],
                lengths=data.lengths[row : row + 1],
                texts=data.texts[row : row + 1],
            )
            alone = forward(model, lone)
            count = int(alone.frames)
            assert count == together.frames[row]
            if together.log_probs is not None and alone.log_probs is not None:
                got = together.log_probs[row, :count]
                torch.testing.assert_close(got, alone.log_probs[0], atol=1e-4, rtol=0)
            if together.emotion_logits is not None and alone.emotion_logits is not None:
                got = together.emotion_logits[row]
                torch.testing.assert_close(got, alone.emotion_logits[0], atol=1e-4, rtol=0)
    assert (together.log_probs is None) == (kind == "ser")
    assert (together.emotion_logits is None) == (kind == "asr")


@pytest.mark.parametrize("gradient", ["full", "stopped"])
@pytest.mark.parametrize("transcript", ["greedy", "oracle", "empty", "soft"])
@pytest.mark.parametrize("modalities", ["both", "linguistic", "acoustic"])
def test_gradient_of_the_emotion_loss(
    models: Path, modalities: str, transcript: str, gradient: str
) -> None:
    """It reaches the CTC head only through a soft transcript, and the encoder through this and the
    acoustic states, unless it is stopped."""
    settings = [
        f"emotion.gradient={gradient}",
        f"emotion.transcript={transcript}",
        f"emotion.modalities={modalities}",
    ]
    model = build_model(tiny.conf(models, "joint.yaml", *settings))
    model.system.train()
    data = batch(model.units)
    logits = forward(model, data).emotion_logits
    assert logits is not None
    loss = torch.nn.functional.cross_entropy(logits, data.emotions)
    loss.backward()
    found = {name: p.grad for name, p in model.system.named_parameters()}
    reached = {name.split(".")[0] for name, grad in found.items() if grad is not None}
    expected = {"fusion"} if modalities == "acoustic" else {"bert", "fusion"}
    if gradient == "full":
        soft = transcript == "soft" and modalities != "acoustic"
        expected |= {"encoder"} if modalities != "linguistic" or soft else set()
        expected |= {"head"} if soft else set()
    assert reached == expected


def test_soft_transcript_interpolates_words_with_the_mask(models: Path) -> None:
    """Posterior 1 gives the word's own embedding, posterior 0 that of [MASK]."""
    model = build_model(tiny.conf(models, "ablation/soft_text.yaml"))
    assert isinstance(model.system.eval(), systems.Joint)
    bert = model.system.bert
    assert bert is not None
    texts = ["GOOD ROAD", "", "OLD DREAM GAME"]
    words = [len(text.split()) for text in texts]
    certain = bert(texts, [torch.ones(count) for count in words]).states
    torch.testing.assert_close(certain.hidden, bert(texts).states.hidden)
    assert certain.lengths.equal(bert(texts).states.lengths)
    uncertain = bert(texts, [torch.tensor([0.0, 1.0]), torch.ones(0), torch.ones(3)]).states
    ids = bert.tokenizer(["good road"], return_tensors="pt")["input_ids"]
    ids[0, 1 : 1 + len(bert.tokenizer.tokenize("good"))] = bert.tokenizer.mask_token_id
    masked = bert.model(input_ids=ids).last_hidden_state[0]
    torch.testing.assert_close(uncertain.hidden[0, : ids.shape[1]], masked)
    torch.testing.assert_close(uncertain.hidden[1:], certain.hidden[1:])


def test_word_posterior_is_the_geometric_mean_of_its_units_posteriors() -> None:
    units = Units.char()
    a, space = [*units.encode("A"), 1]
    path = {0: (a, 0.5), 1: (a, 0.9), 2: (0, 0.8), 3: (a, 0.4), 4: (space, 0.7), 5: (a, 0.6)}
    posteriors = torch.full((2, 6, units.size), 1e-3)
    for frame, (unit, probability) in path.items():
        posteriors[0, frame, unit] = probability
    posteriors[1, :, space] = 0.9  # no word in it at all
    frames = torch.tensor([6, 6])
    texts, words = systems.soft_transcripts(units, posteriors.log(), frames)
    assert texts == ["AA A", ""]
    torch.testing.assert_close(words[0], torch.tensor([(0.9 * 0.4) ** 0.5, 0.6]))
    assert words[1].tolist() == []


def test_co_attention_equals_its_definition(models: Path) -> None:
    """One head, softmax(q k / sqrt(dim)) v, on unpadded sequences."""
    torch.manual_seed(3)
    conf = schema.Emotion(dim=6, heads=1, dropout=0.0)
    layer = fusion.CoAttention([5, 4], conf, 3).eval()
    pair = [States(torch.randn(1, n, size), torch.tensor([n])) for n, size in ((7, 5), (3, 4))]
    linear = zip(layer.project, pair, strict=True)
    inputs = [project(states.hidden[0]) for project, states in linear]
    pooled = []
    for i, (attend, norm) in enumerate(zip(layer.attend, layer.norm, strict=True)):
        weights, biases = attend.in_proj_weight.chunk(3), attend.in_proj_bias.chunk(3)
        sources = (inputs[i], inputs[1 - i], inputs[1 - i])
        q, k, v = (x @ w.T + b for x, w, b in zip(sources, weights, biases, strict=True))
        found = attend.out_proj(torch.softmax(q @ k.T / 6**0.5, -1) @ v)
        pooled.append(norm(inputs[i] + found).mean(0))
    torch.testing.assert_close(layer(*pair)[0], layer.classify(torch.cat(pooled)))


def test_invalid_fusions(models: Path) -> None:
    with pytest.raises(DataError, match="co_attention needs modalities: both"):
        tiny.conf(models, "ablation/co_attention.yaml", "emotion.modalities=acoustic")
    with pytest.raises(DataError, match="dim 16 is not divisible by 3 heads"):
        tiny.conf(models, "ablation/co_attention.yaml", "emotion.heads=3")


def test_acoustic_only_system_loads_no_bert(models: Path, tmp_path: Path) -> None:
    model = build_model(tiny.conf(models, "ablation/acoustic_only.yaml", "bert.model=nowhere"))
    assert isinstance(model.system, systems.Joint) and model.system.bert is None
    checkpoint.save(tmp_path / "best", model)
    assert not (tmp_path / "best" / "bert").exists()
    back = checkpoint.load(tmp_path / "best").system
    assert isinstance(back, systems.Joint) and back.bert is None


def test_ctc_loss_reaches_the_encoder_with_stopped_gradient(models: Path) -> None:
    model = build_model(tiny.conf(models, "joint.yaml", "emotion.gradient=stopped", "alpha=0"))
    model.system.train()
    data = batch(model.units)
    losses.total_loss(model.conf, forward(model, data), data).backward()
    layer = model.system.encoder.model.encoder.layers[0].attention.k_proj
    assert layer.weight.grad.abs().sum() > 0


def test_transcripts_given_to_bert(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts_of: dict[str, list[str]] = {}
    for kind in ("greedy", "oracle", "empty"):
        model = build_model(tiny.conf(models, "joint.yaml", f"emotion.transcript={kind}"))
        assert isinstance(model.system.eval(), systems.Joint)
        data = batch(model.units)
        own = model.system.bert.forward

        def spy(texts: list[str], kind: str = kind, own: Any = own) -> EncodedTexts:
            texts_of[kind] = texts
            return own(texts)

        monkeypatch.setattr(model.system.bert, "forward", spy)
        output = forward(model, data)
        if kind == "greedy":
            assert output.log_probs is not None
            found = search.greedy(output.log_probs, output.frames)
            assert texts_of[kind] == [model.units.decode(ids) for ids in found]
            assert any(texts_of[kind])
    assert texts_of["oracle"] == batch(Units.char()).texts and texts_of["empty"] == [""] * 4


def test_nbest_transcripts_are_weighted_by_posteriors(models: Path) -> None:
    """The logits of the expected embedding, computed term by term."""
    conf = tiny.conf(models, "joint.yaml", "emotion.transcript=nbest", "emotion.paths=3")
    model = build_model(conf)
    system = model.system.eval()
    assert isinstance(system, systems.Joint) and system.bert is not None
    data = batch(model.units)
    with torch.no_grad():
        states = States(*system.encoder(data.waves, data.lengths))
        ctc = system.ctc_output(states)
        assert ctc.log_probs is not None
        vectors = []
        for found in prefix_beam.search_units(ctc.log_probs, ctc.frames):
            total = sum(math.exp(score) for _, score in found[:3])
            parts = [
                math.exp(score) / total * average(system.bert([model.units.decode(ids)]).states)
                for ids, score in found[:3]
            ]
            vectors.append(torch.stack(parts).sum(0))
        read = States(torch.stack(vectors), torch.ones(len(vectors), dtype=torch.long))
        expected = system.fusion(states, read)
        logits = system.emotion_output(ctc, None).logits
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)


def test_asr_and_joint_have_the_same_initial_head_and_dropout(models: Path) -> None:
    outputs = []
    for kind in ("asr", "joint"):
        model = build_model(
            tiny.conf(models, f"{kind}.yaml", "head.init=fresh", "encoder.dropout=0.3")
        )
        model.system.train()
        torch.manual_seed(7)
        outputs.append(forward(model, batch(model.units)).log_probs)
    assert torch.equal(*outputs)


def test_head_is_mapped_by_symbol(models: Path, tmp_path: Path) -> None:
    """A unit's logit is that of its symbol for any order of the vocabulary."""
    vocabulary = list(reversed(tiny.VOCABULARY))
    folder = tiny.make_wav2vec2(tmp_path / "permuted", "layer", vocabulary)
    model = build_model(tiny.conf(models, "asr.yaml", f"encoder.model={folder}"))
    model.system.eval()
    data = batch(model.units)
    names = ["<pad>", *model.units.symbols[1:]]
    rows = [vocabulary.index(name) for name in names]
    reference = AutoModelForCTC.from_pretrained(folder).eval()
    with torch.no_grad():
        log_probs = forward(model, data).log_probs
        assert log_probs is not None
        for row, length in enumerate(data.lengths.tolist()):
            lone = data.waves[row : row + 1, :length]
            wave = encoder.normalise(lone, data.lengths[row : row + 1])
            expected = reference(wave).logits[0, :, rows].log_softmax(-1)
            got = log_probs[row, : len(expected)]
            torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_vocabulary_without_a_character(models: Path, tmp_path: Path) -> None:
    vocabulary = [symbol for symbol in tiny.VOCABULARY if symbol != "Q"]
    folder = tiny.make_wav2vec2(tmp_path / "poor", "layer", vocabulary)
    with pytest.raises(DataError, match=r"poor.*vocab.json: has no symbol 'Q'"):
        build_model(tiny.conf(models, "asr.yaml", f"encoder.model={folder}"))
    build_model(tiny.conf(models, "asr.yaml", f"encoder.model={folder}", "head.init=fresh"))
    build_model(tiny.conf(models, "ser.yaml", f"encoder.model={folder}"))


def test_blank_bias_of_a_new_head(models: Path) -> None:
    model = build_model(tiny.conf(models, "asr.yaml", "head.init=fresh", "head.blank_bias=-3"))
    assert isinstance(model.system, systems.Asr)
    assert model.system.head[-1].bias.tolist() == [-3.0] + [0.0] * 28


def test_paper_head_has_two_hidden_layers(models: Path) -> None:
    model = build_model(tiny.conf(models, "paper/paper_asr.yaml"))
    assert isinstance(model.system, systems.Asr)
    linear = [layer for layer in model.system.head if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in linear] == [1024, 1024, 29]


def test_average_is_over_valid_frames() -> None:
    hidden = torch.randn(2, 5, 3)
    pooled = average(States(hidden, torch.tensor([5, 2])))
    torch.testing.assert_close(pooled[0], hidden[0].mean(0))
    torch.testing.assert_close(pooled[1], hidden[1, :2].mean(0))


def test_skip_connection() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7)
    plain, skip = (SkipMlp(7, 4, on, 0.0) for on in (False, True))
    skip.load_state_dict(plain.state_dict())
    torch.testing.assert_close(skip(x), plain(x) + plain.project(x))


def test_texts_are_encoded_independently_and_truncation_is_counted(models: Path) -> None:
    model = build_model(tiny.conf(models, "joint.yaml"))
    assert isinstance(model.system.eval(), systems.Joint)
    bert = model.system.bert
    texts = ["", "GOOD", "OLD DREAM GAME " * 10]
    assert bert is not None
    encoded = bert(texts)
    assert encoded.truncated == 1
    for row, text in enumerate(texts):
        alone = average(bert([text]).states)[0]
        torch.testing.assert_close(alone, average(encoded.states)[row], atol=1e-5, rtol=0)
    assert bert(["good"]).states.hidden.equal(bert(["GOOD"]).states.hidden)


def test_frozen_bert_stays_in_eval_mode(models: Path) -> None:
    model = build_model(tiny.conf(models, "joint.yaml", "bert.freeze=true"))
    assert isinstance(model.system.train(), systems.Joint)
    assert not model.system.bert.model.training
    assert not any(p.requires_grad for p in model.system.bert.parameters())
    assert "bert" not in Optimisers(model.system, model.conf.optim).by_part


def test_missing_bert_is_named(models: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"BERT .*nowhere: neither .*--bert FOLDER"):
        build_model(tiny.conf(models, "joint.yaml", f"bert.model={tmp_path / 'nowhere'}"))
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DataError, match=r"BERT .*hollow: no config.json"):
        build_model(tiny.conf(models, "joint.yaml", f"bert.model={tmp_path / 'hollow'}"))
