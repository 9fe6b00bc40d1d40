"""What int8 loses on scikit-learn's digits, and what comes back by fine-tuning with int8 in the loop and without.

A small FlyNet is trained, calibrated on few or many of the training images and rounded; fine-tuned in int8; and fine-tuned as
long in float, then calibrated on the same images and rounded. 450 held-out images: one is 0.22 points.
Run it with `make rounding`.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..deploy.finetuning import batches, share_right
from ..flynet.data.images import ImageSet, augmented, digits
from ..flynet.networks.flynet_config import FlyNetConfig
from ..flynet.training.recipe import Recipe
from ..flynet.training.settings import TrainingSettings

if TYPE_CHECKING:
    from ..export.tflite_export import CalibratedNetwork

SEEDS = (0, 1, 2)
EPOCHS = 4
QAT_EPOCHS = 2
CALIBRATION = (4, 16, 1347)
CONFIG = FlyNetConfig(width=0.3, resolution=16, classes=10, channels=1)
COLUMNS = ("float", "int8, plain rounding", "float fine-tuning, then rounding", "fine-tuning in int8")


def study(
    config: FlyNetConfig = CONFIG,
    seeds: Sequence[int] = SEEDS,
    calibration: Sequence[int] = CALIBRATION,
    epochs: int = EPOCHS,
    qat_epochs: int = QAT_EPOCHS,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """A markdown table: held-out accuracy in percent, mean and standard deviation over the seeds; int8 is the exported file's."""
    found: dict[int, list[tuple[float, ...]]] = {count: [] for count in calibration}
    for seed in seeds:
        for count, shares in _one_seed(config, seed, calibration, epochs, qat_epochs):
            found[count].append(shares)
            say(f"seed {seed}, {count} calibration images: " + ", ".join(f"{share:.2f}" for share in shares))
    side = config.resolution
    head = [f"FlyNet {config.width:g}x, {side}x{side}, calibrated on", *COLUMNS]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for count, rows in found.items():
        cells = [_spread([row[column] for row in rows]) for column in range(len(COLUMNS))]
        lines.append(f"| {count:,} images | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _one_seed(
    config: FlyNetConfig, seed: int, calibration: Sequence[int], epochs: int, qat_epochs: int
) -> list[tuple[int, tuple[float, ...]]]:
    from ..export.finetune import FineTuningRecipe, fine_tune
    from ..export.onnx_export import export_onnx
    from ..export.onnx_file import onnx_file
    from ..export.tflite_export import calibrate_network
    from ..flynet.training.classification import train_classifier

    training, held_out = digits(config.resolution, config.channels)
    model, metrics = train_classifier(config, training, held_out, TrainingSettings(Recipe(epochs=epochs), seed))
    onnx = export_onnx(model, config.input_shape)
    images = augmented(training, len(training), seed)

    def calibrated(onnx: bytes, count: int) -> CalibratedNetwork:
        return calibrate_network(onnx, images.first(count).batches(16))

    def tuned(network: CalibratedNetwork, in_int8: bool) -> CalibratedNetwork:
        recipe = FineTuningRecipe(qat_epochs, in_int8=in_int8)
        return fine_tune(network, lambda epoch: batches(training, seed, epoch), recipe)

    in_float = onnx_file(tuned(calibrated(onnx, calibration[0]), False).onnx)
    rows = []
    for count in calibration:
        network = calibrated(onnx, count)
        networks = (network, calibrated(in_float, count), tuned(network, True))
        rows.append((count, (100 * metrics.accuracy, *(_int8_accuracy(each, held_out) for each in networks))))
    return rows


def _int8_accuracy(network: CalibratedNetwork, held_out: ImageSet) -> float:
    from ..export.finetune import simulated_outputs

    assert held_out.labels is not None
    return 100 * share_right(simulated_outputs(network, held_out.images), held_out.labels)


def _spread(shares: Sequence[float]) -> str:
    deviation = statistics.stdev(shares) if len(shares) > 1 else 0.0
    return f"{statistics.mean(shares):.2f} ± {deviation:.2f} %"


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)  # sums in the same order on any number of cores
    print(study(say=lambda line: print(line, file=sys.stderr)), end="")
