"""Operators that FlyNet has not: the float values stay, int8 is near them, and LiteRT, the twin and the reference agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.export.onnx_graph import load_onnx
from flynet_tiny.export.simplify import simplify
from flynet_tiny.export.sqnr import measure_sqnr
from flynet_tiny.export.tflite_export import ExportResult, export_tflite
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess
from flynet_tiny.verify.onnx_twin import OnnxTwin

from .onnx_models import OnnxModel

CASES: dict[str, Callable[[], OnnxModel]] = {}


def case(build: Callable[[OnnxModel], object], name: str, *shape: int) -> None:
    def made() -> OnnxModel:
        m = OnnxModel(1, *(shape or (4, 6, 5)))
        build(m)
        return m

    CASES[name] = made


def transposed(kernel: int, stride: int, **attributes: object) -> Callable[[OnnxModel], object]:
    def build(m: OnnxModel) -> str:
        weights = m.normal(4, 3, kernel, kernel, scale=0.3)
        attrs = {"strides": [stride] * 2} | attributes
        return m.conv(m("ConvTranspose", "x", weights, m.normal(3), **attrs), 3, 4)

    return build


case(transposed(3, 2, pads=[1] * 4, output_padding=[1, 1]), "transposed 3 by 2")
case(transposed(4, 2, pads=[1] * 4), "transposed 4 by 2")
case(transposed(2, 2), "transposed 2 by 2")
case(transposed(3, 1, pads=[1] * 4), "transposed 3 by 1")
case(transposed(2, 3), "transposed 2 by 3")
SIZES = np.array([1.0, 1.0, 2.0, 3.0], np.float32)
for corners in ("asymmetric", "half_pixel", "align_corners"):
    case(lambda m, c=corners: m("Resize", "x", "", SIZES, mode="linear", coordinate_transformation_mode=c), f"linear {corners}")
    case(lambda m, c=corners: m("Resize", "x", "", SIZES, coordinate_transformation_mode=c), f"nearest {corners}")
case(lambda m: m.conv(m("DepthToSpace", "x", blocksize=2), 1, 3), "depth to space")
case(lambda m: m.conv(m("DepthToSpace", "x", blocksize=2, mode="CRD"), 2, 3), "depth to space by channels", 8, 4, 4)
case(lambda m: m.conv(m("SpaceToDepth", "x", blocksize=2), 16, 3), "space to depth", 4, 4, 6)
for mode in ("reflect", "edge", "wrap"):
    case(lambda m, k=mode: m.conv(m("Pad", "x", np.array([0, 0, 1, 2, 0, 0, 2, 1]), mode=k), 4, 3), f"pad {mode}")
case(lambda m: m("Tile", "x", np.array([1, 2, 1, 3])), "tile")
case(lambda m: m("Add", "x", m("Expand", m.mean("x"), np.array([1, 4, 6, 5]))), "expand")
case(lambda m: m("Slice", "x", np.array([-1, 4]), np.array([-99, 0]), np.array([3, 2]), np.array([-1, -2])), "slice backwards")
case(lambda m: m("Gather", "x", np.array([3, 0, 0, 2]), axis=2), "gather rows")
case(lambda m: m.conv(m("Transpose", "x", perm=[0, 2, 1, 3]), 6, 3), "transpose")
case(lambda m: m("Add", "x", m("Transpose", m.reshape("x", 1, 4, 5, 6), perm=[0, 1, 3, 2])), "operands in different orders")
case(lambda m: m("Softmax", "x", axis=2), "softmax over rows")
case(lambda m: m("Concat", "x", m("Transpose", "x", perm=[0, 2, 1, 3]), axis=1), "concatenation of two orders", 4, 4, 4)
case(lambda m: m.reshape(m.conv("x", 4, 3), 1, 90), "flatten at the end")
for op in ("Elu", "Selu", "Celu", "Mish", "Softplus", "Softsign", "Exp", "Abs", "Neg", "Sin", "Floor", "Erf", "Sign", "Gelu"):
    case(lambda m, o=op: m.conv(m(o, m.conv("x", 4, 4)), 4, 3), f"function {op}")
case(lambda m: m("Log", m("Add", m("Abs", "x"), np.float32(0.5))), "log of a distance")
case(lambda m: m("Sqrt", m("Relu", m.conv("x", 4, 4))), "root of a rectified map")
case(lambda m: m("Pow", m("Add", m("Sigmoid", "x"), np.float32(0.1)), np.float32(1.5)), "power")


def gelu(m: OnnxModel) -> str:
    y = m.conv("x", 4, 4)
    error = m("Erf", m("Div", y, np.float32(2**0.5)))
    return m.conv(m("Mul", m("Mul", y, m("Add", error, np.float32(1))), np.float32(0.5)), 4, 3)


case(gelu, "gelu by its parts")
case(lambda m: m.conv(m("PRelu", m.conv("x", 4, 4), m.normal(4, 1, 1, scale=0.3)), 4, 3), "slopes by channel")
case(lambda m: m("PRelu", "x", np.float32(0.2).reshape(1)), "one slope")
case(lambda m: m("Max", m("Min", "x", m.conv("x", 4, 4)), m.normal(4, 1, 1)), "minimum and maximum")
case(lambda m: m("Max", "x", np.float32(0.7)), "maximum with a number")
case(lambda m: m("ReduceMin", "x", np.array([2]), keepdims=1), "least")
case(lambda m: m("ReduceSum", "x", np.array([2, 3]), keepdims=1), "sum")
case(lambda m: m("Div", "x", m("ReduceL2", "x", np.array([1]), keepdims=1)), "unit vectors")
case(lambda m: m("Div", "x", m("Add", m("Sigmoid", m.conv("x", 4, 4)), np.float32(1))), "quotient")


def rows(m: OnnxModel) -> str:
    return m("Transpose", m.reshape(m.conv("x", 4, 8), 1, 8, 30), perm=[0, 2, 1])


case(lambda m: m("LayerNormalization", rows(m), 1 + m.normal(8, scale=0.2), m.normal(8)), "layer norm")
case(lambda m: m("InstanceNormalization", "x", 1 + m.normal(4, scale=0.2), m.normal(4)), "instance norm")
case(lambda m: m("MatMul", rows(m), m("Transpose", rows(m), perm=[0, 2, 1])), "product with a transposed")
case(lambda m: m("MatMul", m("Transpose", rows(m), perm=[0, 2, 1]), rows(m)), "product of a transposed")
case(lambda m: m("MatMul", m.normal(1, 5, 30, scale=0.2), rows(m)), "product of a constant")


def one_head(m: OnnxModel) -> str:
    tokens = m.reshape(rows(m), 1, 1, 30, 8)
    return m("Softmax", m("MatMul", tokens, m("Transpose", tokens, perm=[0, 1, 3, 2])), axis=-1)


def stacked(m: OnnxModel) -> str:
    maps = [m("Unsqueeze", m.conv("x", 4, 3), np.array([1])) for _ in range(2)]
    return m("ReduceMean", m("Concat", *maps, axis=1), np.array([1]), keepdims=0)


case(one_head, "shares of one head")
case(stacked, "maps on a new axis")
case(lambda m: m("Concat", m.normal(1, 1, 8), rows(m), axis=1), "a class token")
case(lambda m: m("Concat", m.normal(1, 2, 6, 5), m.conv("x", 4, 3), axis=1), "constant channels")


case(lambda m: m("Pad", rows(m), np.array([0, 1, 0, 0, 2, 0])), "rows padded")
case(lambda m: m("Slice", rows(m), np.array([1, 0]), np.array([30, 7]), np.array([1, 2]), np.array([2, 1])), "rows sliced")
case(lambda m: m("Add", rows(m), m("Gather", rows(m), np.arange(30)[::-1].copy(), axis=1)), "rows reversed")
case(lambda m: m.conv(m.reshape(m("Gather", rows(m), np.array(0), axis=1), 1, 8, 1, 1), 8, 3), "the first row")


class Attention(nn.Module):
    """A block of a vision transformer on a patched picture."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.first, self.second = nn.LayerNorm(16), nn.LayerNorm(16)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.patches(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.first(y)).reshape(1, -1, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        shares = ((q @ k.transpose(-2, -1)) * 8**-0.5).softmax(-1)
        y = y + self.out((shares @ v).transpose(1, 2).reshape(1, -1, 16))
        y = y + self.mlp(self.second(y))
        return self.head(y.mean(1))


class Decoder(nn.Module):
    """A small encoder and decoder with a skip, group norm and Mish."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.Mish())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.ELU())
        self.up = nn.ConvTranspose2d(8, 8, 4, 2, 1)
        self.resize = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.end = nn.Conv2d(16, 2, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.down(x)
        return self.end(self.resize(torch.cat([y, self.up(self.deep(y))], 1)))


@pytest.fixture(scope="module")
def litert() -> Iterator[LiteRtProcess]:
    with LiteRtProcess() as process:
        yield process


def assert_all_agree(result: ExportResult, litert: LiteRtProcess) -> None:
    graph = read_tflite(result.tflite)
    judges = LiteRt(graph, result.tflite, process=litert), OnnxTwin(graph)
    for named in extreme_inputs(graph, 1, 0):
        expected = reference.run(graph, named.values)
        for judge in judges:
            for name, values in judge.run(named.values).items():
                np.testing.assert_array_equal(values, expected.get(name, values), err_msg=f"{judge.name} {name}")


@pytest.mark.parametrize("name", CASES)
def test_an_operator_goes_all_the_way(name: str, litert: LiteRtProcess) -> None:
    model = CASES[name]()
    data, images = model.build(), model.images()
    original = load_onnx(data)
    graph = simplify(original)
    for a, b in zip(*(g.session(g.outputs).run(None, {"x": images[:1]}) for g in (original, graph)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-4)
    result = export_tflite(data, [images], name="test")
    assert_all_agree(result, litert)
    assert {layer.value: layer.sqnr_db for layer in measure_sqnr(result, [images[:4]]) if layer.sqnr_db < 15.0} == {}


@pytest.mark.parametrize(("module", "shape"), [(Attention, (1, 3, 16, 16)), (Decoder, (1, 3, 16, 16))])
def test_a_torch_module_goes_all_the_way(module: type[nn.Module], shape: tuple[int, ...], litert: LiteRtProcess) -> None:
    torch.manual_seed(0)
    images = np.random.default_rng(0).normal(size=(16, *shape[1:])).astype(np.float32)
    result = export_tflite(export_onnx(module().eval(), shape), [images], name="test")
    assert_all_agree(result, litert)
    assert measure_sqnr(result, [images[:4]])[-1].sqnr_db > 12.0
