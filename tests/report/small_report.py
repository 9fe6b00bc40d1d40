"""A report in which every part is filled."""

from __future__ import annotations

from flynet_tiny.report.schema import (
    Accuracy,
    BankUse,
    FineTuning,
    FineTuningEpoch,
    Flash,
    Instructions,
    Layer,
    LayerSqnr,
    Minimisation,
    ModelFacts,
    NotDone,
    Port,
    Ram,
    RemovedChannels,
    RemovedOperator,
    Report,
    Rounding,
    StayingChannels,
    TargetFacts,
    Verification,
)


def small_report() -> Report:
    """Two layers, three judges of whom one was left out once, a fine-tuning; the figures fit each other."""
    port = Port("x", (1, 8, 8, 1), 0.5, -1)
    return Report(
        model=ModelFacts(
            "net", 100, 2000, (8, 8, 1), 10, True, "0" * 64, 3000, ((10,),), ("a", "b"), 400, (port,), (port,), ("a note",)
        ),
        target=TargetFacts("stm32f412", "cortex-m4", "balanced"),
        flash=Flash(5000, 1 << 20, 700, 4300),
        ram=Ram(3000, 1 << 18, 2000, 1900, 500, 480, 500, 500, (BankUse("SRAM", "0x20000000", 1 << 18, 3000),)),
        fits=True,
        verification=(
            Verification("onnxruntime = litert", 5, 20, 300, 0, 2, "it aborts"),
            Verification("onnxruntime = host", 7, 28, 420, 0),
        ),
        instructions=Instructions(4000),
        accuracy=Accuracy(360, 0.975, 0.975, 0.98),
        accumulated_rounding={"xnnpack": Rounding(0.01, 1, 0.999), "qdq_onnxruntime": NotDone("it broke")},
        sqnr=(LayerSqnr("y", 28.5),),
        fine_tuning=FineTuning(3, 1347, 0.5, (FineTuningEpoch(0.3, 0.9),), 0.95, 0.9, 0.97, 0.999, 0.02, 1),
        layers=(
            Layer("CONV_2D", "t", "first", "conv", 1500, 90, 120, 0, 1000),
            Layer("FULLY_CONNECTED", "y", "head", "fc", 500, 10, 20, 0, 3000),
        ),
        minimisation=Minimisation(
            14,
            3,
            1,
            1900,
            2000,
            350,
            400,
            (RemovedChannels("CONV_2D", "t", "first", 4, (0, 2), (-128, 5), ((-900, -700), (20, 20)), (3,)),),
            (StayingChannels("FULLY_CONNECTED", "y", "head", 10, (7,)),),
            (RemovedOperator("RELU", "r", "relu", "it never bites"),),
        ),
    )
