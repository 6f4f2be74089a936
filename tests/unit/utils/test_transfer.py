"""Copies between host and device."""

import pytest
import torch

from jointasr.utils.transfer import CopyToHost, copy_to_device

pytestmark = pytest.mark.stack


def test_there_and_back() -> None:
    values = [[1, 2], [3, 4]]
    there = copy_to_device(values, torch.device("cpu"))
    assert there.tolist() == values and there.dtype == torch.int64
    assert CopyToHost(there).wait().tolist() == values
    assert copy_to_device(there, torch.device("cpu")) is there
