"""The float ONNX file: the same numbers as torch, few kinds of nodes, nothing that changes from run to run."""

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from flynet_tiny.errors import BadModel, OutputFailed
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.flynet.data.images import photos
from flynet_tiny.flynet.networks.bn_statistics import estimate_bn_statistics
from flynet_tiny.flynet.networks.flynet import build
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig, HeadAttention, Reduction, Residual, Statistics

FLYNET_OPERATORS = {
    *("Conv", "Gemm", "Relu", "HardSwish", "Sigmoid", "Softmax", "ReduceMean", "ReduceMax"),
    *("Add", "Sub", "Mul", "Reshape", "Concat", "Pad", "Slice"),
}


def randomise(model: nn.Module) -> nn.Module:
    """Statistics and gains as after a training: nothing that folds into zero or one."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor, low, high in ((module.running_mean, -1, 1), (module.running_var, 0.5, 2), (module.weight, 0.5, 2)):
                tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
            module.bias.data.normal_(generator=generator)
    return model.eval()


def assert_same_numbers(model: nn.Module, data: bytes, inputs: torch.Tensor) -> None:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = model.eval()(inputs)
    found = torch.from_numpy(session.run(["output"], {"input": inputs.numpy()})[0])
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


class Start(nn.Module):
    """The stem and the first three blocks of a FlyNet: every kind of node, a fraction of the time."""

    def __init__(self, config: FlyNetConfig):
        super().__init__()
        model = build(config, seed=1)
        self.stem, self.block1, self.block2, self.block3 = model.stem, model.block1, model.block2, model.block3

    def forward(self, x):
        x = high = self.stem(x)
        for block in (self.block1, self.block2, self.block3):
            x, high = block(x, high)
        return x


@pytest.fixture(scope="module")
def flynet():
    config = FlyNetConfig(resolution=32, classes=10)
    model = build(config, seed=0)
    images = photos(32, count=32)
    estimate_bn_statistics(model, images.batches(16))
    return model, torch.from_numpy(images.images[:1])


@pytest.fixture(scope="module")
def flynet_onnx(flynet):
    return export_onnx(flynet[0], (1, 3, 32, 32))


def test_flynet_gives_torchs_numbers(flynet, flynet_onnx):
    assert_same_numbers(flynet[0], flynet_onnx, flynet[1])


def test_flynet_is_made_of_few_kinds_of_nodes(flynet_onnx):
    graph = onnx.load_from_string(flynet_onnx).graph
    assert {node.op_type for node in graph.node} == FLYNET_OPERATORS
    shape = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    assert (graph.input[0].name, shape) == ("input", [1, 3, 32, 32])
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    assert len(softmaxes) == 11
    # at T = 1 the temperature is nowhere: the softmax takes the reshaped sum of the two convolutions
    producers = {name: node for node in graph.node for name in node.output}
    for node in softmaxes:
        reshape = producers[node.input[0]]
        assert (reshape.op_type, producers[reshape.input[0]].op_type in ("Add", "Conv")) == ("Reshape", True)


def test_names_are_the_paths_of_the_modules(flynet_onnx):
    graph = onnx.load_from_string(flynet_onnx).graph
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    assert {"stem.conv", "block3.expand.conv", "block3.mdw.conv", "block3.project.conv", "head.classifier"} <= set(names)
    assert all(node.output[0] in (node.name, "output") for node in graph.node)
    weights = {tensor.name for tensor in graph.initializer}
    assert {"block3.expand.conv.weight", "block3.expand.conv.bias", "head.classifier.bias"} <= weights
    assert len(weights) == len(graph.initializer)
    used = {name for node in graph.node for name in node.input}
    assert weights <= used
    assert max(map(len, names)) < 40


def test_every_value_has_its_shape(flynet_onnx):
    graph = onnx.load_from_string(flynet_onnx).graph
    shaped = {value.name for value in graph.value_info} | {value.name for value in graph.output}
    assert {name for node in graph.node for name in node.output} <= shaped
    assert all(dim.dim_value > 0 for value in graph.value_info for dim in value.type.tensor_type.shape.dim)


def test_the_same_module_gives_the_same_bytes_and_is_left_alone(tmp_path):
    model = Start(FlyNetConfig(width=0.3, resolution=16)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    data = export_onnx(model, (1, 3, 16, 16), tmp_path / "model.onnx")
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert export_onnx(model, [1, 3, 16, 16]) == data
    assert (tmp_path / "model.onnx").read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_the_file_tells_nothing_of_the_machine(flynet_onnx):
    for secret in (b"/home", b"/work", b"/root", b".py", b"site-packages", b"torch", b"stack_trace"):
        assert secret not in flynet_onnx


@pytest.mark.parametrize(
    "options",
    [
        {"heads": 1, "residual": Residual.DW_PW},
        {"residual": Residual.CONV3X3, "reduction": Reduction.SUM_RELU, "head_attention": HeadAttention.SIGMOID},
        {"residual": Residual.NONE, "statistics": Statistics.NONE},
        {"reduction": Reduction.FUNNEL_MAX_OUT, "statistics": Statistics.MEAN},
        {"reduction": Reduction.AFFINE_RELU, "temperature": 3.0, "channels": 1},
    ],
    ids=str,
)
def test_variants_give_torchs_numbers(options):
    config = FlyNetConfig(width=0.4, resolution=32, classes=4, **options)
    model = Start(config)
    images = photos(32, config.channels, count=8)
    estimate_bn_statistics(model, [images.images])
    data = export_onnx(model, config.input_shape)
    assert_same_numbers(model, data, torch.from_numpy(images.images[:1]))
    assert (
        not {node.op_type for node in onnx.load_from_string(data).graph.node} - FLYNET_OPERATORS - {"Max", "MaxPool", "ReduceSum"}
    )


class Awkward(nn.Module):
    """A convolution read before its batch norm, one with none before it, one convolution used twice, layers of vectors."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.BatchNorm2d(3)
        self.shared = nn.Conv2d(4, 4, 1)
        self.norm_a, self.norm_b = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.biased = nn.Sequential(nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5))
        self.vectors = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Hardswish(), nn.BatchNorm1d(4))

    def forward(self, x):
        x = self.conv(self.first(x))
        x = x + self.norm(x)
        x = self.norm_a(self.shared(x)) - self.norm_b(self.shared(torch.relu(x)))
        return self.vectors(self.biased(x).mean((2, 3)))


@pytest.mark.parametrize("affine", [True, False])
def test_no_batch_norm_survives_and_the_numbers_stay(affine):
    model = Awkward()
    if not affine:
        model.norm_a = nn.BatchNorm2d(4, affine=False)
        model.norm_a.running_var.fill_(3.0)
    else:
        randomise(model)
    data = export_onnx(model, (1, 3, 6, 6))
    assert "BatchNormalization" not in {node.op_type for node in onnx.load_from_string(data).graph.node}
    assert_same_numbers(model, data, torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(1)))


def test_any_module_can_be_exported():
    model = randomise(
        nn.Sequential(
            nn.Conv2d(2, 6, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU6(),
            nn.Dropout(0.5),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 5),
        )
    )
    assert_same_numbers(model, export_onnx(model, (1, 2, 8, 8)), torch.randn(1, 2, 8, 8))


def test_what_torch_cannot_express_is_one_line():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(BadModel, match="cannot export Branches") as error:
        export_onnx(Branches(), (1, 3))
    assert "\n" not in str(error.value)


def test_an_unwritable_place_is_refused(tmp_path):
    with pytest.raises(OutputFailed, match="nowhere"):
        export_onnx(nn.Sequential(nn.ReLU()), (1, 2), tmp_path / "nowhere" / "model.onnx")
