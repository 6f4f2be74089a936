"""Training and decoding by their programs, on synthetic tones that a tiny model can learn."""

import json
import logging
import math
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_training import ENGINE, FAST, decode_all, fold_cuts, initial_model, train
from transformers import AutoModelForCTC

from jointasr.bin import export_encoder
from jointasr.config import conf_files, decode_schema, layout
from jointasr.data import archive, datadir, dataset
from jointasr.decoding import decode
from jointasr.decoding.decoder import Decoder
from jointasr.models import checkpoint, encoder, systems
from jointasr.text.lang import Units
from jointasr.training import epoch, fingerprint, losses, optim
from jointasr.training.trainer import Trainer
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack


def curve(out: Path, name: str) -> list[float]:
    events = EventAccumulator(str(out / "tb"))
    events.Reload()
    return [event.value for event in events.Scalars(name)]


@pytest.mark.parametrize("kind", ["asr", "ser", "joint"])
def test_training_and_decoding(
    recipe: Path,
    models: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = train(monkeypatch, models, kind, "train.epochs=6")
    log = capsys.readouterr().err
    losses = curve(out, "train/loss")
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3]), losses
    assert curve(out, "dev/loss")[-1] < curve(out, "dev/loss")[0]
    assert curve(out, "rate/encoder")[-1] < max(curve(out, "rate/encoder")) <= 3e-3 + 1e-9
    assert len(re.findall(r"epoch \d+: train loss", log)) == 6
    assert f"{kind} on cpu; trainable parameters: encoder" in log
    assert "Writing" not in log and "%|" not in log and "LOAD REPORT" not in log

    back = checkpoint.load(out / "best")
    again = Trainer(back, *fold_cuts(), out / "again", 0).evaluate(fold_cuts()[1])
    meta = json.loads((out / "model.json").read_text())
    chosen = meta["selected"]
    assert chosen["on"] == "data/folds/speaker/Ses01F/dev_clean"
    assert again.loss == pytest.approx(chosen["loss"], rel=1e-5)
    assert (again.wer, again.wa) == (chosen["wer"], chosen["wa"])
    rows = [line.split("\t") for line in (out / layout.HISTORY).read_text().splitlines()]
    assert "\t".join(rows[0]) == layout.HISTORY_HEADER and len(rows) == 7
    assert float(rows[chosen["epoch"]][3]) == pytest.approx(chosen["loss"], rel=1e-5)
    assert int(rows[-1][1]) == meta["budget"]["steps"] == len(losses)
    assert [row[4] == "-" for row in rows[1:]] == [kind == "ser"] * 6
    sizes = [len(part) for part in fold_cuts()]
    assert [meta["budget"][key] for key in ("utterances", "dev_utterances")] == sizes
    assert f"best on dev: epoch {chosen['epoch']}, loss" in log

    assert (meta["system"], meta["kind"], meta["train"], meta["seed"]) == (kind, kind, "clean", 0)
    assert (meta["fold"], meta["engine"], meta["lang"]) == (
        "Ses01F", ENGINE, "data/folds/speaker/Ses01F/lang_char",
    )  # fmt: skip
    assert conf_files.load(str(out / "conf.yaml")) == back.conf

    weights = load_file(out / "best" / checkpoint.WEIGHTS)
    train(monkeypatch, models, kind, "train.epochs=6")
    assert f"{out}: up to date" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"option optim.clip \(was 1.0, now 0.7\) changed"):
        train(monkeypatch, models, kind, "train.epochs=6", "optim.clip=0.7")
    if kind == "joint":
        with pytest.raises(DataError, match=r"option alpha \(was 0.1, now 0.7\) changed"):
            train(monkeypatch, models, kind, "train.epochs=6", "alpha=0.7")
    else:  # not used by the system
        train(monkeypatch, models, kind, "train.epochs=6", "alpha=0.7")
        assert f"{out}: up to date" in capsys.readouterr().out
    shutil.move(out, out.with_name("first"))
    train(monkeypatch, models, kind, "train.epochs=6", "train.log_every=1", "batch.workers=1")
    same = load_file(out / "best" / checkpoint.WEIGHTS)
    assert all(torch.equal(value, same[name]) for name, value in weights.items())

    decode_all(monkeypatch, out)
    for test in ("clean", "noise_snr5"):
        check_tables(
            kind, Path("data/folds/speaker/Ses01F") / f"test_{test}", out / f"decode_{test}"
        )
    capsys.readouterr()
    decode_all(monkeypatch, out)
    assert capsys.readouterr().out.count("up to date") == 2
    decode_all(monkeypatch, out, "--method", "greedy")
    if kind != "ser" and ENGINE == "k2":  # torch's own search sums over alignments
        for test in ("clean", "noise_snr5"):
            texts = [(out / f"decode_{test}{end}/text").read_text() for end in ("", "_greedy")]
            assert texts[0] == texts[1]


def check_tables(kind: str, source: Path, out: Path) -> None:
    ids = list(datadir.read_table(source / "text"))
    names = {"asr": ["text"], "ser": ["utt2emo", "emo_post"]}
    names["joint"] = names["asr"] + names["ser"]
    for name in ("text", "utt2emo", "emo_post"):
        assert (out / name).exists() == (name in names[kind])
        if name in names[kind]:
            assert list(datadir.read_table(out / name)) == ids
    if kind != "asr":
        best = datadir.read_table(out / "utt2emo")
        for name, row in datadir.read_table(out / "emo_post").items():
            shares = [float(value) for value in row.split()]
            assert len(shares) == 4 and sum(shares) == pytest.approx(1, abs=1e-5)
            assert best[name] == tiny.LABELS[shares.index(max(shares))]


def fit(model: checkpoint.TrainedModel, out: Path, seed: int = 0) -> Trainer:
    trainer = Trainer(model, *fold_cuts(), out, seed)
    trainer.fit()
    return trainer


def test_best_epoch_has_the_lowest_error(
    recipe: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum of a system's error rates decides, then the loss, then the earlier epoch."""
    scripted = [
        epoch.DevScores(4.0, 30.0, 40.0),  # error 90
        epoch.DevScores(3.0, 10.0, 20.0),  # 90, with a lower loss
        epoch.DevScores(3.0, 20.0, 30.0),  # 90, as good but later
        epoch.DevScores(0.1, 29.0, 35.0),  # 94, with the least loss
    ]
    seen: list[dict[str, torch.Tensor]] = []

    def evaluate(self: Trainer, _: object) -> epoch.DevScores:
        state = {checkpoint.canonical(k): v.clone() for k, v in self.system.state_dict().items()}
        seen.append(state)
        return scripted[len(seen) - 1]

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    trainer = Trainer(
        initial_model(models, "joint.yaml", "train.epochs=4"), *fold_cuts(), tmp_path, 0
    )
    assert trainer.fit() == epoch.BestEpoch(2, scripted[1])
    best = load_file(tmp_path / "best" / checkpoint.WEIGHTS)
    assert all(torch.equal(value, seen[1][name]) for name, value in best.items())
    assert any(not torch.equal(value, seen[3][name]) for name, value in best.items())


def test_error_is_the_sum_of_error_rates() -> None:
    assert epoch.DevScores(1.0, 20.0, 70.0).error == pytest.approx(50.0)
    assert epoch.DevScores(1.0, 20.0, None).error == pytest.approx(20.0)
    assert epoch.DevScores(1.0, None, 70.0).error == pytest.approx(30.0)


def test_accumulation_equals_a_larger_batch(recipe: Path, models: Path, tmp_path: Path) -> None:
    """Accumulating two batches of different sizes gives the update of a single larger batch."""
    cuts = list(fold_cuts()[0])

    def steps(order: list[list[int]], accumulate: int) -> dict[str, torch.Tensor]:
        settings = [f"batch.accumulate={accumulate}", "train.epochs=1", "schedule.warmup=0"]
        model = initial_model(
            models, "joint.yaml", *settings, "emotion.dropout=0", "bert.freeze=true"
        )
        trainer = Trainer(model, dataset.CutSet.from_cuts(cuts[:8]), fold_cuts()[1], tmp_path, 0)
        trainer.sampler.cache = 0, order
        trainer.train_epoch(trainer.batches(range(1)))
        assert trainer.state.steps == 1
        return {name: p.detach().clone() for name, p in trainer.system.named_parameters()}

    accumulated, single = steps([[0, 1, 2, 3, 4], [5, 6, 7]], 2), steps([list(range(8))], 1)
    for name, value in single.items():  # Adam's first step depends on the sign of the gradient
        close = torch.isclose(accumulated[name], value, atol=2e-5)
        assert close.float().mean() > 0.999, name


def test_systems_share_random_streams(
    recipe: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asr and joint get the same audio and, for each batch, the same dropout in the encoder."""
    seen: dict[str, list[torch.Tensor]] = {}
    own = encoder.Encoder.forward
    for kind in ("asr", "joint"):
        found = seen.setdefault(kind, [])

        def spy(self: Any, waves: Any, lengths: Any, found: Any = found) -> Any:
            if self.training:
                state = torch.get_rng_state()
                found.extend([waves.clone(), torch.rand(3)])
                torch.set_rng_state(state)
            return own(self, waves, lengths)

        monkeypatch.setattr(encoder.Encoder, "forward", spy)
        settings = ["batch.accumulate=2", "train.epochs=2", "encoder.dropout=0.1"]
        fit(
            initial_model(models, f"{kind}.yaml", *settings, "augment.max_chunks=5"),
            tmp_path / kind,
        )
    assert len(seen["asr"]) > 8
    assert all(torch.equal(*pair) for pair in zip(seen["asr"], seen["joint"], strict=True))


def test_stopped_gradient_scales_the_gradient_of_asr(
    recipe: Path, models: Path, tmp_path: Path
) -> None:
    """Without the emotion loss the encoder's gradient is (1 - alpha) times that of asr."""
    conf = ["emotion.gradient=stopped", "train.epochs=1", "alpha=0.1"]
    joint = initial_model(models, "joint.yaml", *conf)
    asr = initial_model(models, "asr.yaml", "train.epochs=1")
    cuts = dataset.CutSet.from_cuts(list(fold_cuts()[0])[:4])
    batch = dataset.SpeechDataset(Units.char(), tiny.LABELS)[cuts]
    grads = []
    for model in (joint, asr):
        model.system.train()
        output = systems.forward(model.system, batch.waves, batch.lengths, batch.texts)
        losses.total_loss(model.conf, output, batch).backward()
        grads.append(model.system.encoder.model.encoder.layers[1].attention.q_proj.weight.grad)
    torch.testing.assert_close(grads[0], 0.9 * grads[1], rtol=1e-4, atol=1e-7)


def test_engines_have_equal_losses(recipe: Path, models: Path, tmp_path: Path) -> None:
    pytest.importorskip("k2")
    losses = {}
    for engine in ("torch", "k2"):
        settings = [f"ctc={engine}", "train.epochs=1", "head.init=fresh"]
        fit(initial_model(models, "asr.yaml", *settings), tmp_path / engine)
        losses[engine] = curve(tmp_path / engine, "train/loss")
    assert losses["k2"][:5] == pytest.approx(losses["torch"][:5], rel=1e-4)


@pytest.mark.parametrize("name", ["paper_asr", "paper_ser", "paper_joint"])
def test_confs_of_the_paper_train(
    recipe: Path, models: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tiny.conf(models, f"paper/{name}.yaml", "train.epochs=3", "schedule.newbob_threshold=9")
    torch.manual_seed(0)
    trainer = fit(checkpoint.initial(conf, Units.char(), tiny.LABELS), tmp_path)
    assert all(map(math.isfinite, curve(tmp_path, "train/loss")))
    base = conf.optim.encoder
    assert trainer.optimisers.base_rates["encoder"] == pytest.approx(
        base.lr * base.newbob_factor**2
    )
    rates = curve(tmp_path, "rate/encoder")
    assert rates[0] == pytest.approx(base.lr)
    assert rates[-1] == pytest.approx(base.lr * base.newbob_factor)


def test_divergence_names_the_batch(recipe: Path, models: Path, tmp_path: Path) -> None:
    for kind in ("asr", "ser", "joint"):
        model = initial_model(models, f"{kind}.yaml", "train.epochs=1", "train.max_skipped=2")
        model.system.encoder.model.feature_projection.projection.bias.data[0] = math.nan
        with pytest.raises(DataError, match=r"2 steps in a row .*lower the learning rates") as end:
            fit(model, tmp_path / kind)
        saved = json.loads((tmp_path / kind / "bad_batch.json").read_text())
        assert f"({' '.join(saved[0]['ids'])})" in str(end.value)
        tensors = load_file(tmp_path / kind / "bad_batch.safetensors")
        texts = {cut.id: cut.supervisions[0].text for cut in fold_cuts()[0]}
        assert saved[0]["texts"] == [texts[name] for name in saved[0]["ids"]]
        assert tensors["waves.0"].shape == (len(saved[0]["ids"]), int(tensors["lengths.0"].max()))
        trainer = Trainer(model, *fold_cuts(), tmp_path / kind, 0)
        with pytest.raises(DataError, match="lower the learning rates"):
            trainer.evaluate(fold_cuts()[1])
        assert not (tmp_path / kind / "best").exists()


def test_excluded_parts_are_reported(
    recipe: Path, models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Transcripts too long for their frames or for BERT are counted in the log."""
    train_cuts, dev_cuts = fold_cuts()
    listed = list(train_cuts)
    listed[0].supervisions[0].text = "GOOD ROAD " * 30
    cuts = dataset.CutSet.from_cuts(listed)
    settings = ["train.epochs=1", "emotion.transcript=oracle"]
    with caplog.at_level(logging.INFO):
        model = initial_model(models, "joint.yaml", *settings)
        Trainer(model, cuts, dev_cuts, tmp_path, 0).fit()
    assert (
        "epoch 1: 1 transcripts need more frames than there are and gave no CTC loss" in caplog.text
    )
    assert "epoch 1: 1 transcripts were truncated to BERT's maximum length" in caplog.text


def test_no_feasible_transcript_is_an_error(recipe: Path, models: Path, tmp_path: Path) -> None:
    train_cuts, dev_cuts = fold_cuts()
    listed = list(train_cuts)
    for cut in listed:
        cut.supervisions[0].text = "GOOD ROAD " * 30
    model = initial_model(models, "asr.yaml", "train.epochs=1")
    cuts = dataset.CutSet.from_cuts(listed)
    with pytest.raises(DataError, match="every transcript needs more frames than there are"):
        Trainer(model, cuts, dev_cuts, tmp_path, 0).fit()


def test_unusable_utterance_stops_before_training(
    recipe: Path, models: Path, tmp_path: Path
) -> None:
    train_cuts, dev_cuts = fold_cuts()
    listed = list(dev_cuts)
    listed[2].supervisions[0].custom["emotion"] = "xxx"
    with pytest.raises(DataError, match=f"utterance {listed[2].id}: emotion xxx"):
        Trainer(
            initial_model(models, "ser.yaml"),
            train_cuts,
            dataset.CutSet.from_cuts(listed),
            tmp_path,
            0,
        )
    assert not (tmp_path / "tb").exists()


def test_precision_on_a_cpu(caplog: pytest.LogCaptureFixture) -> None:
    cpu = torch.device("cpu")
    assert optim.autocast_dtype("auto", cpu) is None and not caplog.text
    assert optim.autocast_dtype("fp16", cpu) is None
    assert "precision fp16 is for GPUs" in caplog.text


@pytest.mark.skipif(torch.__version__ < "2", reason="CPUs of torch 1 cannot mix all layers")
@pytest.mark.parametrize("norm", ["layer", "group"])
def test_mixed_precision_is_close_to_float32(
    recipe: Path, models: Path, tmp_path: Path, norm: str
) -> None:
    """Autocast to bfloat16, which CPUs support as well; the losses are in float32."""
    found = []
    for precision in (None, torch.bfloat16):
        torch.manual_seed(0)
        conf = tiny.conf(models, "joint.yaml", *FAST, f"ctc={ENGINE}", norm=norm)
        model = checkpoint.initial(conf, Units.char(), tiny.LABELS)
        trainer = Trainer(model, *fold_cuts(), tmp_path / str(precision), 0)
        trainer.train_step.dtype = precision
        found.append(trainer.train_epoch(trainer.batches(range(1))).loss)
    assert found[0] != found[1]
    assert found[1] == pytest.approx(found[0], rel=0.02)


@pytest.mark.parametrize(("capability", "expected"), [((7, 0), "float16"), ((8, 0), "bfloat16")])
def test_precision_on_a_gpu(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    cuda = torch.device("cuda")
    assert optim.autocast_dtype("auto", cuda) is getattr(torch, expected)
    assert optim.autocast_dtype("fp32", cuda) is None


@pytest.fixture(scope="module")
def saved(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained joint and asr systems; their hypotheses have many letters."""
    home = tmp_path_factory.mktemp("saved")
    for kind in ("asr", "joint"):
        checkpoint.save(home / kind / "best", initial_model(models, f"{kind}.yaml"))
    return home


@pytest.mark.parametrize("method", ["greedy", "one_best"])
def test_decoding_in_batches_equals_alone(recipe: Path, saved: Path, method: str) -> None:
    model = checkpoint.load(saved / "joint/best")
    cuts = fold_cuts()[0]
    together, alone = (
        decode.decode(Decoder(model, decode_schema.Decode(method=method, max_duration=limit)), cuts)
        for limit in (30, 0.01)
    )
    assert together.texts == alone.texts and any(together.texts.values())
    for name, row in together.emotion_posteriors.items():
        assert row == pytest.approx(alone.emotion_posteriors[name], abs=1e-4)


def test_decoding_from_archived_features(recipe: Path, saved: Path, tmp_path: Path) -> None:
    model = checkpoint.load(saved / "joint/best")
    cuts = fold_cuts()[1]
    feats = {c.id: model.system.encoder.conv_features([c.load_audio()[0]])[0] for c in cuts}
    scp = tmp_path / "feats.scp"
    archive.write_feats(feats.items(), tmp_path / "feats.ark", scp)
    decoder = Decoder(model, decode_schema.Decode(method="greedy"))
    from_feats, from_audio = decode.decode(decoder, cuts, scp), decode.decode(decoder, cuts)
    assert from_feats.texts == from_audio.texts
    missing = min(feats)
    datadir.write_table(
        scp, {key: value for key, value in datadir.read_table(scp).items() if key != missing}
    )
    with pytest.raises(DataError, match=f"feats.scp: no features of {missing}"):
        decode.decode(decoder, cuts, scp)
    short = {name: matrix[:-1] for name, matrix in feats.items()}
    archive.write_feats(short.items(), tmp_path / "short.ark", tmp_path / "short.scp")
    with pytest.raises(DataError, match="number of frames does not match the audio"):
        decode.decode(decoder, cuts, tmp_path / "short.scp")


def test_export_is_a_checkpoint_of_the_hub(
    recipe: Path, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (saved / "asr/.done").write_text("{}\n")
    out = tmp_path / "export"
    monkeypatch.setattr(sys, "argv", ["export_encoder", str(saved / "asr"), str(out)])
    export_encoder.main()
    model = checkpoint.load(saved / "asr/best")
    exported = AutoModelForCTC.from_pretrained(out).eval()
    again = checkpoint.initial(
        tiny.conf(out.parent, "asr.yaml", f"encoder.model={out}"), Units.char(), tiny.LABELS
    )
    again.system.eval()
    with torch.no_grad():
        for cut in list(fold_cuts()[1])[:3]:
            wave = torch.from_numpy(cut.load_audio())
            length = torch.tensor([wave.shape[1]])
            expected = systems.forward(model.system, wave, length).log_probs
            got = exported(encoder.normalise(wave, length)).logits.log_softmax(-1)
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
            got = systems.forward(again.system, wave, length).log_probs
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    with pytest.raises(DataError, match="only asr systems with character units and a linear head"):
        export_encoder.export(saved / "joint/best", tmp_path / "no")


def test_folder_of_the_users_own_is_known_by_its_files(models: Path, tmp_path: Path) -> None:
    names = {path.name for path in fingerprint.model_files(str(models / "layer"))}
    assert {"config.json", "model.safetensors", "vocab.json"} <= names
    assert fingerprint.model_files("facebook/wav2vec2-base") == []
    (tmp_path / ".done").write_text("{}")
    assert fingerprint.model_files(str(tmp_path)) == [tmp_path]
    (tmp_path / ".done").unlink()
    with pytest.raises(DataError, match=r"no config.json in it"):
        fingerprint.model_files(str(tmp_path))
