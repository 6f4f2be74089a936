"""Numbers between host and device."""

import torch

from jointasr.utils.transfer import Fetch, send


def test_there_and_back() -> None:
    values = [[1, 2], [3, 4]]
    there = send(values, torch.device("cpu"))
    assert there.tolist() == values and there.dtype == torch.int64
    assert Fetch(there).wait().tolist() == values
    assert send(there, torch.device("cpu")) is there
