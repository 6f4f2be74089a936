"""Batches: every utterance once, an order that depends on nothing but seed and epoch."""

import json
import os
import subprocess
import sys
from collections import Counter
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from data_fixtures import ROOT
from lhotse import CutSet, MonoCut

from jointasr import dataset, perturb, schema
from jointasr.errors import DataError
from jointasr.lang import Units

SPEEDS = partial(perturb.speed_factor, 0, epoch=0)


def as_is(_: str) -> float:
    return 1.0


def conf(**keys: object) -> schema.Batch:
    return schema.Batch(**{"max_duration": 6.0, "workers": 0, **keys})


def utterances() -> dataset.Utterances:
    return dataset.Utterances(Units.char(), tiny.LABELS)


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> CutSet:
    return tiny.utterances(tmp_path_factory.mktemp("wavs"), 40, seed=1, words=3)


def ids(batches: list[CutSet]) -> list[list[str]]:
    return [[cut.id for cut in batch] for batch in batches]


def test_a_batch_is_what_the_cuts_say(cuts: CutSet) -> None:
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
    batch = dataset.Utterances(Units.char(), tiny.LABELS, load=False)[cuts]
    assert batch.waves.shape == (len(cuts), 0)
    assert batch.lengths.tolist() == [cut.num_samples for cut in cuts]


@pytest.mark.parametrize("epoch", range(3))
@pytest.mark.parametrize("keys", [{}, {"max_utterances": 3}, {"max_duration": 0.1}, {"buckets": 1}])
def test_every_utterance_once_an_epoch(cuts: CutSet, epoch: int, keys: dict[str, float]) -> None:
    speed = partial(perturb.speed_factor, 0, epoch=epoch)
    found = ids(dataset.batches(cuts, conf(**keys), speed, 0, epoch))
    assert sorted(chain(*found)) == sorted(cut.id for cut in cuts)
    assert max(map(len, found)) <= keys.get("max_utterances", 99)
    if keys.get("max_duration") == 0.1:
        assert max(map(len, found)) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 9, 17])
def test_small_sets(cuts: CutSet, count: int) -> None:
    few = CutSet.from_cuts(list(cuts)[:count])
    assert sum(map(len, dataset.batches(few, conf(), as_is, 0, 0))) == count
    same = CutSet.from_cuts(few[0].with_id(f"same-{i}") for i in range(count))
    assert sum(map(len, dataset.batches(same, conf(), as_is, 0, 0))) == count


def test_batches_are_of_similar_lengths_and_within_the_limit(cuts: CutSet) -> None:
    found = dataset.batches(cuts, conf(buckets=4), SPEEDS, 0, 0)
    spread = []
    for batch in found:
        durations = [cut.duration for cut in batch]
        # lhotse closes a batch when one more cut as long as its longest would not fit
        assert sum(durations) <= 6.0 + max(durations) - min(durations)
        spread.append(max(durations) / min(durations))
    everything = [cut.duration for cut in cuts]
    assert np.mean(spread) < 0.6 * max(everything) / min(everything)


def test_order_depends_on_seed_and_epoch_only(cuts: CutSet) -> None:
    first = ids(dataset.batches(cuts, conf(), as_is, 0, 0))
    np.random.seed(9)
    torch.manual_seed(9)
    assert ids(dataset.batches(cuts, conf(), as_is, 0, 0)) == first
    assert ids(dataset.batches(cuts, conf(), as_is, 0, 1)) != first
    assert ids(dataset.batches(cuts, conf(), as_is, 1, 0)) != first


def test_long_and_short_batches_come_in_another_order_each_epoch(cuts: CutSet) -> None:
    """lhotse's sampler alone visits its buckets in one order in all epochs."""
    orders = set()
    for epoch in range(4):
        found = dataset.batches(cuts, conf(max_utterances=1, buckets=2), as_is, 0, epoch)
        durations = [batch[0].duration for batch in found]
        middle = sorted(durations)[len(durations) // 2]
        orders.add(tuple(duration > middle for duration in durations))
    assert len(orders) == 4


def test_order_in_other_processes(cuts: CutSet, tmp_path: Path) -> None:
    """Neither the hash seed of Python nor a global generator has a part in it."""
    cuts.to_file(tmp_path / "cuts.jsonl")
    script = (
        "import json, sys\n"
        "from lhotse import CutSet\n"
        "from jointasr import config, dataset, schema\n"
        "cuts = CutSet.from_file(sys.argv[1]).to_eager()\n"
        "conf = schema.Batch(max_duration=6)\n"
        "found = dataset.batches(cuts, conf, lambda name: 1.0, 0, 0)\n"
        "print(json.dumps([[cut.id for cut in batch] for batch in found]))\n"
    )
    expected = ids(dataset.batches(cuts, conf(), as_is, 0, 0))
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "cuts.jsonl")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == expected


def test_workers_change_nothing(cuts: CutSet) -> None:
    loaded = []
    for workers in (0, 2):
        loader = dataset.training_batches(
            cuts, utterances(), conf(workers=workers), SPEEDS, seed=0, epoch=0
        )
        loaded.append(list(loader))
    assert [batch.ids for batch in loaded[0]] == [batch.ids for batch in loaded[1]]
    for one, other in zip(*loaded, strict=True):
        assert torch.equal(one.waves, other.waves) and torch.equal(one.lengths, other.lengths)
        assert one.targets == other.targets and torch.equal(one.emotions, other.emotions)


def test_speed_is_applied_before_bucketing(cuts: CutSet) -> None:
    found = dataset.batches(cuts, conf(), SPEEDS, 0, 0)
    original = {cut.id: cut for cut in cuts}
    seen: Counter[float] = Counter()
    for cutset in found:
        batch = utterances()[cutset]
        for cut, length in zip(cutset, batch.lengths.tolist(), strict=True):
            factor = SPEEDS(cut.id)
            seen[factor] += 1
            assert abs(length - original[cut.id].num_samples / factor) <= 1
            assert abs(cut.num_samples - length) <= 1
            assert cut.supervisions[0].text == original[cut.id].supervisions[0].text
    assert set(seen) == {0.95, 1.0, 1.05}


def test_slower_is_lower(cuts: CutSet) -> None:
    """95 % of the speed: 1/0.95 as long, and a tone of 0.95 of its pitch."""
    cut = cuts[0]
    slow = next(iter(dataset.batches(CutSet.from_cuts([cut]), conf(), lambda _: 0.95, 0, 0)))[0]
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
    """The cuts with something wrong in the second."""
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
    """Also when a worker process meets it, at any speed."""
    listed = copies(cuts)
    source = Path(listed[3].recording.sources[0].source)
    damaged = tmp_path / "damaged.wav"
    damaged.write_bytes(source.read_bytes()[:30])
    listed[3].recording.sources[0].source = str(damaged)
    loader = dataset.training_batches(
        CutSet.from_cuts(listed), utterances(), conf(workers=workers), lambda _: factor, 0, 0
    )
    with pytest.raises(DataError, match=f"utterance {listed[3].id}: its audio cannot be") as caught:
        list(loader)
    assert "damaged.wav" in str(caught.value) and "\n" not in str(caught.value)
