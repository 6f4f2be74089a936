"""Batches contain each utterance once, in an order that depends on seed and epoch only."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from lhotse import CutSet, MonoCut, Recording

from jointasr.bench import corpus
from jointasr.config import schema
from jointasr.data import augmentation, dataset, sampler
from jointasr.data.batch import UNKNOWN_EMOTION
from jointasr.data.sampler import TrainingSampler
from jointasr.text.lang import Units
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

SPEED = partial(augmentation.speed_factor, 0)


def as_is(utterance: str, epoch: int) -> float:
    return 1.0


def conf(**keys: object) -> schema.Batch:
    return schema.Batch(**{"max_duration": 6.0, "workers": 0, **keys})


def utterances() -> dataset.SpeechDataset:
    return dataset.SpeechDataset(Units.char(), tiny.LABELS)


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> CutSet:
    return tiny.utterances(tmp_path_factory.mktemp("wavs"), 40, seed=1, words=3)


def ids(batches: list[CutSet]) -> list[list[str]]:
    return [[cut.id for cut in batch] for batch in batches]


def partly_labelled(cuts: CutSet) -> list[MonoCut]:
    """Three cuts: without a transcript, without an emotion, and with both."""
    no_text, no_emotion, complete = (MonoCut.from_dict(cut.to_dict()) for cut in list(cuts)[:3])
    no_text.supervisions[0].text = None
    del no_emotion.supervisions[0].custom["emotion"]
    return [no_text, no_emotion, complete]


def test_missing_labels_are_marked(cuts: CutSet) -> None:
    one, two, three = partly_labelled(cuts)
    batch = utterances()[CutSet.from_cuts([one, two, three])]
    assert batch.texts == [None, two.supervisions[0].text, three.supervisions[0].text]
    assert batch.targets[0] == [] and all(batch.targets[1:])
    assert batch.emotions.tolist()[1] == UNKNOWN_EMOTION != batch.emotions.tolist()[0]
    utterances().check(CutSet.from_cuts([one, two, three]), 400)


def test_trainable_cuts_of_each_system(cuts: CutSet, models: Path) -> None:
    given = partly_labelled(cuts)
    for name, expected in (("asr", given[1:]), ("ser", given[::2]), ("joint", given)):
        conf = tiny.conf(models, f"{name}.yaml")
        trainable = dataset.trainable_cuts(CutSet.from_cuts(given), conf, "here")
        assert [cut.id for cut in trainable] == [cut.id for cut in expected], name
    with pytest.raises(DataError, match="here: no utterance has a transcript, which system asr"):
        dataset.trainable_cuts(CutSet.from_cuts(given[:1]), tiny.conf(models, "asr.yaml"), "here")


def test_a_batch_has_the_values_of_the_cuts(cuts: CutSet) -> None:
    chosen = CutSet.from_cuts(list(cuts)[:3])
    batch = utterances()[chosen]
    assert batch.ids == [cut.id for cut in chosen]
    assert batch.texts == [cut.supervisions[0].text for cut in chosen]
    assert [Units.char().decode(ids) for ids in batch.targets] == batch.texts
    emotions = [cut.supervisions[0].custom["emotion"] for cut in chosen]
    assert [tiny.LABELS[index] for index in batch.emotions] == emotions
    for row, cut in enumerate(chosen):
        assert batch.lengths[row] == cut.num_samples
        samples = batch.waves[row].numpy()
        np.testing.assert_array_equal(samples[: cut.num_samples], cut.load_audio()[0])
        assert not samples[cut.num_samples :].any()
    assert batch.seconds == pytest.approx(sum(cut.duration for cut in chosen))


def test_without_audio_there_are_lengths(cuts: CutSet) -> None:
    batch = dataset.SpeechDataset(Units.char(), tiny.LABELS, load=False)[cuts]
    assert batch.waves.shape == (len(cuts), 0)
    assert batch.lengths.tolist() == [cut.num_samples for cut in cuts]


def make_sampler(
    cuts: CutSet, seed: int = 0, speed: Callable[[str, int], float] = SPEED, **keys: object
) -> TrainingSampler:
    return TrainingSampler(cuts, conf(**keys), speed, seed)


def batches(sampler: TrainingSampler, epoch: int = 0) -> list[CutSet]:
    return [sampler.batch(epoch, indices) for indices in sampler.epoch(epoch)]


@pytest.mark.parametrize("epoch", range(3))
@pytest.mark.parametrize("keys", [{}, {"max_utterances": 3}, {"max_duration": 0.1}])
def test_every_utterance_once_an_epoch(cuts: CutSet, epoch: int, keys: dict[str, float]) -> None:
    found = ids(batches(make_sampler(cuts, **keys), epoch))
    assert sorted(chain(*found)) == sorted(cut.id for cut in cuts)
    assert max(map(len, found)) <= keys.get("max_utterances", 99)
    if keys.get("max_duration") == 0.1:
        assert max(map(len, found)) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 9, 17])
def test_small_sets(cuts: CutSet, count: int) -> None:
    few = CutSet.from_cuts(list(cuts)[:count])
    assert sum(map(len, make_sampler(few).epoch(0))) == count
    same = CutSet.from_cuts(few[0].with_id(f"same-{i}") for i in range(count))
    assert sum(map(len, make_sampler(same, speed=as_is).epoch(0))) == count


def test_batches_are_full_and_within_the_limit(cuts: CutSet) -> None:
    """Padding counts. Only the last batch may have room for another utterance."""
    found = batches(make_sampler(cuts))
    computed = [len(batch) * max(cut.duration for cut in batch) for batch in found]
    assert max(computed) <= 6.0
    longest = max(cut.duration for batch in found for cut in batch)
    assert sorted(computed)[1] > 6.0 - 2 * longest


def test_padding() -> None:
    """With durations distributed as in IEMOCAP (see tests/unit/bench/test_bench.py)."""
    durations = corpus.durations(4500)
    cuts = CutSet.from_cuts(recorded(f"u{i:04d}", d) for i, d in enumerate(durations))
    for seconds, limit in ((100, 0.05), (300, 0.08)):
        built = make_sampler(cuts, max_duration=seconds)
        spoken = [cut.duration / SPEED(cut.id, 0) for cut in built.cuts]
        assert sampler.padding_share(spoken, built.epoch(0)) < limit
        # the batches are also full: batches of one utterance would have no padding
        assert len(built.epoch(0)) < 1.12 * sum(spoken) / seconds


def recorded(name: str, seconds: float) -> MonoCut:
    """A cut without audio."""
    samples = round(seconds * 16000)
    recording = Recording(name, [], 16000, samples, samples / 16000)
    return MonoCut(name, 0, recording.duration, 0, recording=recording)


def test_others_share_a_batch_in_each_epoch(cuts: CutSet) -> None:
    """Also without speed perturbation."""
    built = make_sampler(cuts, speed=as_is)
    pairs = [
        {frozenset(pair) for batch in ids(batches(built, epoch)) for pair in combinations(batch, 2)}
        for epoch in range(2)
    ]
    assert 0.05 < len(pairs[0] - pairs[1]) / len(pairs[0]) < 0.95


def test_order_depends_on_seed_and_epoch_only(cuts: CutSet) -> None:
    first = make_sampler(cuts).epoch(0)
    np.random.seed(9)
    torch.manual_seed(9)
    built = make_sampler(cuts)
    assert built.epoch(1) != first and built.epoch(0) == first
    assert make_sampler(cuts, seed=1).epoch(0) != first


def test_long_and_short_batches_come_in_another_order_each_epoch(cuts: CutSet) -> None:
    orders = set()
    for epoch in range(4):
        durations = [
            batch[0].duration for batch in batches(make_sampler(cuts, max_utterances=1), epoch)
        ]
        middle = sorted(durations)[len(durations) // 2]
        orders.add(tuple(duration > middle for duration in durations))
    assert len(orders) == 4


def test_order_in_other_processes(cuts: CutSet, tmp_path: Path) -> None:
    """The order depends neither on Python's hash seed nor on a global generator."""
    cuts.to_file(tmp_path / "cuts.jsonl")
    script = (
        "import json, sys\n"
        "from lhotse import CutSet\n"
        "from jointasr.config import schema\n"
        "from jointasr.data.sampler import TrainingSampler\n"
        "cuts = CutSet.from_file(sys.argv[1]).to_eager()\n"
        "sampler = TrainingSampler(cuts, schema.Batch(max_duration=6), lambda *_: 1.0, 0)\n"
        "print(json.dumps(sampler.epoch(0)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "cuts.jsonl")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == make_sampler(cuts, speed=as_is).epoch(0)


def test_workers_change_nothing(cuts: CutSet) -> None:
    loaded = []
    for workers in (0, 2):
        loaded.append(
            list(dataset.training_batches(make_sampler(cuts), utterances(), workers, range(2)))
        )
    expected = [batch for epoch in range(2) for batch in ids(batches(make_sampler(cuts), epoch))]
    assert [batch.ids for batch in loaded[0]] == expected
    assert [batch.ids for batch in loaded[0]] == [batch.ids for batch in loaded[1]]
    for one, other in zip(*loaded, strict=True):
        assert torch.equal(one.waves, other.waves) and torch.equal(one.lengths, other.lengths)
        assert one.targets == other.targets and torch.equal(one.emotions, other.emotions)


def test_speed_is_applied_before_bucketing(cuts: CutSet) -> None:
    found = batches(make_sampler(cuts))
    original = {cut.id: cut for cut in cuts}
    seen: Counter[float] = Counter()
    for cutset in found:
        batch = utterances()[cutset]
        for cut, length in zip(cutset, batch.lengths.tolist(), strict=True):
            factor = SPEED(cut.id, 0)
            seen[factor] += 1
            assert abs(length - original[cut.id].num_samples / factor) <= 1
            assert abs(cut.num_samples - length) <= 1
            assert cut.supervisions[0].text == original[cut.id].supervisions[0].text
    assert set(seen) == {0.95, 1.0, 1.05}


def test_slower_is_lower(cuts: CutSet) -> None:
    """95 % of the speed: length / 0.95, pitch * 0.95."""
    cut = cuts[0]
    slow = make_sampler(CutSet.from_cuts([cut]), speed=lambda *_: 0.95).batch(0, [0])[0]
    peaks = []
    for one in (cut, slow):
        wave = one.load_audio()[0]
        spectrum = np.abs(np.fft.rfft(wave, 1 << 18))
        spectrum[: int(350 / 16000 * (1 << 18))] = 0  # the emotion's low tone
        peaks.append(spectrum.argmax())
    assert peaks[1] / peaks[0] == pytest.approx(0.95, abs=0.01)


def test_evaluation_is_each_once_longest_first(cuts: CutSet) -> None:
    batches = list(dataset.evaluation_batches(cuts, utterances(), 6.0, 0))
    found = list(chain(*(batch.ids for batch in batches)))
    durations = {cut.id: cut.duration for cut in cuts}
    assert sorted(found) == sorted(durations)
    assert [durations[name] for name in found] == sorted(durations.values(), reverse=True)


def copies(cuts: CutSet) -> list[MonoCut]:
    return [
        MonoCut.from_dict({k: v for k, v in cut.to_dict().items() if k != "type"}) for cut in cuts
    ]


def changed(cuts: CutSet, **fields: object) -> CutSet:
    """The cuts with changed fields of the second supervision."""
    listed = copies(cuts)
    for key, value in fields.items():
        if key == "emotion":
            listed[1].supervisions[0].custom["emotion"] = value
        else:
            setattr(listed[1].supervisions[0], key, value)
    return CutSet.from_cuts(listed)


def test_unusable_utterances_are_named_before_work_starts(cuts: CutSet) -> None:
    name = list(cuts)[1].id
    utterances().check(cuts, 720)
    with pytest.raises(DataError, match=f"utterance {name}: emotion fru is none of ang hap neu"):
        utterances().check(changed(cuts, emotion="fru"), 720)
    with pytest.raises(DataError, match=f"utterance {name}: character 'é'"):
        utterances().check(changed(cuts, text="CAFé"), 720)
    shortest = min(cuts, key=lambda cut: cut.num_samples)
    with pytest.raises(DataError, match=f"utterance {shortest.id}: {shortest.num_samples} samples"):
        utterances().check(cuts, shortest.num_samples + 1)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("factor", [1.0, 1.05])
def test_damaged_audio_is_named_in_one_line(
    cuts: CutSet, tmp_path: Path, workers: int, factor: float
) -> None:
    """Also in a worker process, at any speed."""
    listed = copies(cuts)
    source = Path(listed[3].recording.sources[0].source)
    damaged = tmp_path / "damaged.wav"
    damaged.write_bytes(source.read_bytes()[:30])
    listed[3].recording.sources[0].source = str(damaged)
    built = make_sampler(CutSet.from_cuts(listed), speed=lambda *_: factor)
    loader = dataset.training_batches(built, utterances(), workers, range(1))
    with pytest.raises(DataError, match=f"utterance {listed[3].id}: its audio cannot be") as caught:
        list(loader)
    assert "damaged.wav" in str(caught.value) and "\n" not in str(caught.value)
