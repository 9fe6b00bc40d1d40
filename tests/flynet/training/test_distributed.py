"""Batch normalization over processes, alone in its group, is torch's; also in half precision."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from flynet_tiny.flynet.training.distributed import SynchronisedBatchNorm2d

TWO_PROCESSES = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from flynet_tiny.flynet.training.distributed import SynchronisedBatchNorm2d, distribute, gathered, my_share, summed, undistribute
from flynet_tiny.flynet.networks.noise import QuantizationNoise

torch.set_num_threads(1)
store, rank = sys.argv[1], int(sys.argv[2])
values = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
weights = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))
whole = nn.Sequential(nn.BatchNorm2d(3), QuantizationNoise(5))
one = values.clone().requires_grad_()
expected = whole(one)
(expected * weights).sum().backward()
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
mine = my_share(6)
shared = nn.Sequential(SynchronisedBatchNorm2d(3), QuantizationNoise(5))
other = values.clone().requires_grad_()
found = shared(other[mine])
torch.testing.assert_close(found, expected[mine], rtol=1e-5, atol=1e-5)
(found * weights[mine]).sum().backward()
torch.testing.assert_close(other.grad[mine], one.grad[mine], rtol=1e-4, atol=1e-5)
torch.testing.assert_close(shared[0].running_var, whole[0].running_var)
head = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48))  # a MicroNet has such ones
alone = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48))
expected = alone(values)
torch.testing.assert_close(distribute(head)(values[mine]), expected[mine], rtol=1e-5, atol=1e-5)
undistribute(head)
assert type(head[1]) is nn.BatchNorm1d
torch.testing.assert_close(head[1].running_var, alone[1].running_var)
assert gathered([rank, "x"]) == [0, "x", 1, "x"]
assert summed([1.0, rank], torch.device("cpu")) == [2.0, 1.0]
dist.destroy_process_group()
"""


def test_two_processes_normalise_and_round_as_one_does(tmp_path: Path) -> None:
    with ExitStack() as opened:
        running = []
        for rank in ("0", "1"):
            said = opened.enter_context((tmp_path / rank).open("w"))
            running.append(subprocess.Popen([sys.executable, "-c", TWO_PROCESSES, str(tmp_path / "store"), rank], stderr=said))
            opened.callback(running[-1].kill)
        codes = [process.wait(120) for process in running]
    assert codes == [0, 0], (tmp_path / "0").read_text() + (tmp_path / "1").read_text()


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_synchronised_statistics_are_torchs(kind: torch.dtype) -> None:
    norm = nn.BatchNorm2d(3, momentum=0.25)
    nn.init.uniform_(norm.weight)
    synchronised = copy.deepcopy(norm)
    synchronised.__class__ = SynchronisedBatchNorm2d
    values = (torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 4 + 50).to(kind)  # their sum: 400,000
    one, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    expected, found = norm(one), synchronised(other)
    assert found.dtype == kind
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}[kind]
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(synchronised.running_mean, norm.running_mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(synchronised.running_var, norm.running_var, rtol=1e-3, atol=1e-3)
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(1)).to(kind)
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    torch.testing.assert_close(other.grad, one.grad, rtol=5 * tolerance, atol=tolerance)
