"""Mixed precision only where the processor computes bfloat16; steps without finite gradients are passed over and counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from flynet_tiny.errors import Diverged
from flynet_tiny.flynet.data.images import ImageSet
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.flynet.training import optimization as steps
from flynet_tiny.flynet.training.classification import train_classifier
from flynet_tiny.flynet.training.loop import MOST_SKIPPED_IN_A_ROW
from flynet_tiny.flynet.training.optimization import Optimization
from flynet_tiny.flynet.training.precision import computes_bfloat16, half_precision
from flynet_tiny.flynet.training.recipe import Optimizer, Recipe, Schedule
from flynet_tiny.flynet.training.settings import TrainingSettings

CPU = torch.device("cpu")
AVX512 = {"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_vnni": True, "avx512_bf16": False, "amx_bf16": False}


@pytest.mark.parametrize(
    ("capabilities", "environment", "native"),
    [
        ({"avx2": True}, {}, False),
        (AVX512, {}, False),
        ({**AVX512, "avx512_bf16": True}, {}, True),
        ({**AVX512, "amx_bf16": True}, {}, True),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, {}, True),
        ({"architecture": "aarch64", "neon": True, "bf16": False}, {}, False),
        *(
            ({**AVX512, "avx512_bf16": True, "amx_bf16": True}, {name: limit}, native)
            for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
            for limit, native in (
                ("SSE41", False), ("AVX2", False), ("AVX2_VNNI_2", False), ("AVX512_CORE", False), ("avx512_core_vnni", False),
                ("AVX512_CORE_BF16", True), ("AVX512_CORE_AMX", True), ("ALL", True), ("", True),
            )
        ),
        ({**AVX512, "amx_bf16": True}, {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "ALL"}, False),
    ],
)  # fmt: skip
def test_bfloat16_is_native_where_the_processor_and_onednn_have_it(
    capabilities: dict[str, object], environment: dict[str, str], native: bool
) -> None:
    assert computes_bfloat16(capabilities, environment) == native


def test_torch_says_what_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of the capabilities are those of the installed torch, on x86."""
    known = torch.cpu.get_capabilities()
    if known["architecture"] == "x86_64":
        assert {"avx512_bf16", "amx_bf16"} <= set(known)
    for limit in ("SSE41", "AVX2", "AVX512_CORE"):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        assert half_precision(CPU) is None
    assert half_precision(torch.device("cuda")) is torch.float16


@pytest.mark.parametrize("native", [None, torch.bfloat16])
def test_the_forward_pass_is_in_half_precision_where_it_is_native(
    monkeypatch: pytest.MonkeyPatch, native: torch.dtype | None
) -> None:
    monkeypatch.setattr(steps, "half_precision", lambda _: native)
    model = nn.Linear(3, 2)
    for asked in (False, True):
        optimization = Optimization(model, Recipe(), 1, CPU, asked)
        with optimization.precision():
            assert model(torch.ones(1, 3)).dtype == (native if asked and native else torch.float32)


def small_step(recipe: Recipe) -> tuple[nn.Linear, Optimization]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return model, Optimization(model, recipe, 4, CPU, False)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(optimizer=Optimizer.SGD, schedule=Schedule.COSINE), Recipe(clip_norm=1.0)], ids=str
)
def test_a_step_without_finite_gradients_moves_nothing_but_the_schedule(recipe: Recipe, bad: float) -> None:
    """What follows is as if the bad step had not been, apart from the learning rate."""
    (model, optimization), (other, _) = small_step(recipe), small_step(recipe)
    images = torch.ones(1, 3)
    assert not optimization.step((model(images) * bad).sum())  # the first step, before which no optimizer has a state
    assert torch.equal(model.weight, other.weight)
    assert optimization.step(model(images).sum())
    assert not torch.equal(model.weight, other.weight)
    kept = model.weight.detach().clone()
    assert not optimization.step((model(images) * bad).sum())
    assert torch.equal(model.weight, kept)
    assert optimization.step(model(images).sum())
    assert bool(model.weight.isfinite().all())
    assert optimization._schedule.last_epoch == 4


def test_one_gradient_among_many_decides() -> None:
    model, optimization = small_step(Recipe())
    loss = model(torch.ones(1, 3)).sum()
    model.bias.register_hook(lambda gradient: gradient * float("nan"))
    before = model.weight.detach().clone()
    assert not optimization.step(loss)
    assert torch.equal(model.weight, before)


CONFIG = FlyNetConfig(width=0.3, heads=1, resolution=8, classes=2, channels=1)


@pytest.fixture
def images() -> ImageSet:
    random = np.random.default_rng(0)
    labels = np.arange(16) % 2
    pixels = random.normal(size=(16, 1, 8, 8)).astype(np.float32) + 2 * labels[:, None, None, None].astype(np.float32)
    return ImageSet(pixels, labels, ("dark", "bright"))


def spoil(monkeypatch: pytest.MonkeyPatch, which: range) -> None:
    """The gradients of these steps, counted from 0, become NaN, as an emulated bfloat16 gives them."""
    step, seen = Optimization.step, iter(range(10**6))

    def spoiled(self: Optimization, loss: torch.Tensor) -> bool:
        if next(seen) not in which:
            return step(self, loss)
        handle = self._parameters[0].register_hook(lambda gradient: gradient * float("nan"))
        try:
            return step(self, loss)
        finally:
            handle.remove()

    monkeypatch.setattr(Optimization, "step", spoiled)


def test_some_bad_steps_are_counted_and_the_training_goes_on(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Any] = []
    spoil(monkeypatch, range(3, 8))
    recipe = Recipe(epochs=3, batch=4)
    model, _ = train_classifier(
        CONFIG, images, images, TrainingSettings(recipe, on_epoch=lambda _, state: lines.append(state.history[-1]))
    )
    assert [line["skipped_steps"] for line in lines] == [1, 4, 0]
    assert all(bool(values.isfinite().all()) for values in model.state_dict().values())


@pytest.mark.parametrize("epochs", [2, 30])
def test_bad_steps_in_a_row_are_a_divergence(images: ImageSet, monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """The count goes on from epoch to epoch; a training that never made a step gives no network."""
    spoil(monkeypatch, range(10**6))
    where = f"epoch {MOST_SKIPPED_IN_A_ROW // 4} .*steps in a row" if epochs > 2 else "epoch 2 .*no step had finite gradients"
    with pytest.raises(Diverged, match=where):
        train_classifier(CONFIG, images, images, TrainingSettings(replace(Recipe(batch=4), epochs=epochs)))
