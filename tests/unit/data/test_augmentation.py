"""Speeds, notches and chunks: draws, spectra, and independence of batching."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from jointasr.data import augmentation
from jointasr.data.augmentation import (
    BAND_HZ,
    RATE,
    Draw,
    apply,
    draw,
    drop_bands,
    drop_chunks,
    speed_factor,
)
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack

LENGTHS = [16000, 40000, 9360, 0, 33333, 5000, 100]


def noise(lengths: list[int]) -> Tensor:
    """Rows of noise, including the padding, so that reading padding changes the result."""
    return torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(0))


def draws(lengths: list[int], epoch: int = 1) -> list[Draw]:
    return [draw(0, f"utt-{row}", epoch, n) for row, n in enumerate(lengths)]


def tone(hertz: float, samples: int = 32000) -> Tensor:
    return torch.sin(2 * torch.pi * hertz * torch.arange(samples) / RATE)


# --- draws


def test_draws_depend_on_seed_utterance_and_epoch_only() -> None:
    one = draw(3, "a", 5, 40000)
    assert one == draw(3, "a", 5, 40000)
    others = [draw(4, "a", 5, 40000), draw(3, "b", 5, 40000), draw(3, "a", 6, 40000)]
    assert one not in others
    assert draw(3, "a", 5, 50000).bands == one.bands  # whatever the length


def test_counts_are_uniform_and_in_range() -> None:
    many = [draw(0, f"u{n}", 0, 80000) for n in range(6000)]
    bands = Counter(len(one.bands) for one in many)
    chunks = Counter(len(one.chunks) for one in many)
    assert sorted(bands) == [0, 1, 2, 3] and sorted(chunks) == [0, 1, 2, 3, 4, 5]
    assert max(abs(count / 6000 - 1 / 4) for count in bands.values()) < 0.02
    assert max(abs(count / 6000 - 1 / 6) for count in chunks.values()) < 0.02
    edges = [low for one in many for low in one.bands]
    assert min(edges) >= 0 and max(edges) <= RATE / 2 - BAND_HZ
    lengths = [length for one in many for _, length in one.chunks]
    assert min(lengths) == 1000 and max(lengths) == 2000
    assert abs(float(np.mean(lengths)) - 1500) < 15
    assert all(a >= 0 and a + length <= 80000 for one in many for a, length in one.chunks)


@pytest.mark.parametrize("samples", [0, 1, 999, 1999, 2000, 3000, 9360, 20000])
def test_never_more_than_half_of_an_utterance_is_zeroed(samples: int) -> None:
    many = [draw(0, f"u{n}", 0, samples) for n in range(500)]
    assert max(sum(length for _, length in one.chunks) for one in many) <= samples / 2
    counts = Counter(len(one.chunks) + one.skipped_chunks for one in many)
    assert sorted(counts) == [0, 1, 2, 3, 4, 5]  # skipped chunks are counted
    assert any(one.skipped_chunks for one in many) == (samples < 20000)


def test_augmentation_can_be_turned_off() -> None:
    assert draw(0, "a", 0, 40000, max_bands=0, max_chunks=0) == Draw()
    assert speed_factor(0, "a", 0, [100]) == 1.0
    with pytest.raises(DataError, match=r"augment\.max_bands: 99"):
        draw(0, "a", 0, 40000, max_bands=99)


# --- speed


def test_speeds_are_drawn_evenly() -> None:
    factors = Counter(speed_factor(0, f"u{n}", 0) for n in range(3000))
    assert sorted(factors) == [0.95, 1.0, 1.05]
    assert all(abs(count - 1000) < 100 for count in factors.values())
    assert speed_factor(0, "a", 1) == speed_factor(0, "a", 1)
    assert len({speed_factor(0, "a", epoch) for epoch in range(20)}) == 3


def test_toolkit_semantics_inverts_the_same_draw() -> None:
    for n in range(30):
        ours = speed_factor(0, f"u{n}", 0)
        theirs = speed_factor(0, f"u{n}", 0, semantics="toolkit")
        assert theirs == pytest.approx(1 / ours, rel=2e-4)
        assert round(theirs * RATE) % 40 == 0  # resampled by a ratio of small numbers


def perturbed(tmp_path: Path, factor: float, hertz: float = 1000.0) -> np.ndarray:
    """A tone of two seconds, read through lhotse as in training."""
    lhotse = pytest.importorskip("lhotse")
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * tone(hertz).numpy(), RATE)
    cut = lhotse.Recording.from_file(path).to_cut().perturb_speed(factor)
    return np.asarray(cut.load_audio()[0])


def pitch(wave: np.ndarray) -> float:
    """Frequency of the strongest line, Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 18))
    return float(np.argmax(spectrum)) * RATE / (1 << 18)


@pytest.mark.parametrize("speed", [95, 105])
def test_95_is_slower_longer_and_lower(tmp_path: Path, speed: int) -> None:
    wave = perturbed(tmp_path, speed_factor(0, "a", 0, [speed]))
    assert len(wave) == pytest.approx(32000 / (speed / 100), abs=2)
    assert pitch(wave) == pytest.approx(1000 * speed / 100, abs=0.5)


def test_95_of_the_toolkit_is_faster_shorter_and_higher(tmp_path: Path) -> None:
    wave = perturbed(tmp_path, speed_factor(0, "a", 0, [95], "toolkit"))
    assert len(wave) == pytest.approx(32000 * 0.95, rel=2e-4)
    assert pitch(wave) == pytest.approx(1000 / 0.95, abs=0.5)


# --- notches


@pytest.mark.parametrize("low", [0.0, 300.0, 2000.0, 5123.4, RATE / 2 - BAND_HZ])
def test_response_of_a_notch(low: float) -> None:
    """Half amplitude at both edges, 40 dB down in the middle, flat within 1 % outside."""
    response = torch.fft.rfft(augmentation.notch(low), RATE).abs()  # one bin per Hz
    hertz = torch.arange(len(response))
    outside = (hertz < low - 500) | (hertz > low + BAND_HZ + 500)
    assert ((response - 1).abs()[outside] < 0.01).all()
    assert response[round(low + BAND_HZ / 2)] < 0.01
    for edge in (low, low + BAND_HZ):
        if 500 < edge < RATE / 2 - 500:  # the mirror image of the spectrum does not reach it
            assert response[round(edge)] == pytest.approx(0.5, abs=0.01)


def test_a_notch_removes_its_band_and_nothing_else() -> None:
    one = [Draw(bands=(1000.0,))]
    middle = slice(1000, 31000)  # away from the ends of the tone
    inside, outside = tone(1000 + BAND_HZ / 2), tone(3000)
    wave = (inside + outside).unsqueeze(0)
    after = drop_bands(wave, [32000], one)[0]
    torch.testing.assert_close(after[middle], outside[middle], rtol=0, atol=0.01)  # no delay either


def test_several_notches_are_the_product_of_their_responses() -> None:
    bands = (500.0, 700.0, 6000.0)
    impulse = torch.zeros(1, 4001)
    impulse[0, 2000] = 1.0
    after = drop_bands(impulse, [4001], [Draw(bands=bands)])[0].double()
    expected = torch.ones(1)
    for low in bands:
        expected = expected * torch.fft.rfft(augmentation.notch(low), RATE).abs()
    torch.testing.assert_close(torch.fft.rfft(after, RATE).abs(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(after, after.flip(0), rtol=0, atol=1e-6)  # linear phase, centred


def test_block_convolution_equals_a_plain_one() -> None:
    one = Draw(bands=(800.0, 4000.0))
    wave = noise([10000])
    taps = np.convolve(augmentation.notch(800.0).numpy(), augmentation.notch(4000.0).numpy())
    expected = np.convolve(wave[0].double().numpy(), taps, mode="same")
    after = drop_bands(wave, [10000], [one])[0].numpy()
    np.testing.assert_allclose(after, expected, atol=2e-6)


def test_without_notches_samples_stay_bit_for_bit() -> None:
    wave = noise([5000, 4000])
    after = drop_bands(wave, [5000, 4000], [Draw(), Draw(bands=(10.0,))])
    assert torch.equal(after[0], wave[0]) and not torch.equal(after[1], wave[1])


# --- chunks and whole batches


def test_chunks_are_zeroed_where_drawn() -> None:
    wave = noise([9000, 8000])
    after = drop_chunks(wave, [9000, 8000], [Draw(chunks=((0, 1000), (7000, 2000))), Draw()])
    changed = (after != wave).nonzero()
    assert set(changed[:, 0].tolist()) == {0}
    assert not after[0, :1000].any() and not after[0, 7000:].any()
    assert torch.equal(after[0, 1000:7000], wave[0, 1000:7000])


def test_a_batch_equals_its_utterances_alone() -> None:
    waves, all_draws = noise(LENGTHS), draws(LENGTHS)
    original = waves.clone()
    together = apply(waves, LENGTHS, all_draws)
    assert torch.equal(waves, original)  # the input is not modified
    for row, n in enumerate(LENGTHS):
        alone = apply(waves[row : row + 1, :n], [n], [all_draws[row]])[0]
        assert torch.equal(together[row, :n], alone)
        assert torch.equal(together[row, n:], waves[row, n:])  # padding is not modified


def test_the_draws_above_cover_all_cases() -> None:
    all_draws = draws(LENGTHS)
    assert any(one.bands for one in all_draws) and any(one.chunks for one in all_draws)
    assert any(one.skipped_chunks for one in all_draws) and any(not one.bands for one in all_draws)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu() -> None:
    waves, all_draws = noise(LENGTHS), draws(LENGTHS)
    there = apply(waves.cuda(), LENGTHS, all_draws).cpu()
    torch.testing.assert_close(there, apply(waves, LENGTHS, all_draws), rtol=0, atol=1e-5)
