"""Kernels of operators as one-operator files draw them: on both machines equal to the reference, at every level."""

from __future__ import annotations

from pathlib import Path

from flynet_tiny.codegen.tflite_reader import read_tflite

from ...one_op_models import CASES, batch_matmul, l2_normalization, prelu
from .elementwise_cases import check_on_both_machines

DRAWN = ("BATCH_MATMUL", "DIV", "L2_NORMALIZATION", "MINIMUM", "PRELU", "REDUCE_MIN", "RESIZE_BILINEAR", "TABLE")
LISTED = {
    "BATCH_MATMUL": [
        batch_matmul(1, (1, 1), (1, 1)),
        batch_matmul(2, (1, 4, 17, 8), (1, 4, 17, 8), adj_y=True),
        batch_matmul(3, (2, 1, 3, 3), (1, 3, 3, 3), adj_x=True),
        batch_matmul(4, (16, 33), (33, 16), constant="x"),
    ],
    "L2_NORMALIZATION": [l2_normalization(5, (2, 1)), l2_normalization(6, (1, 1, 1, 500))],
    "PRELU": [prelu(7, (1, 4, 4, 16), (16,)), prelu(8, (1, 4, 4, 3), (1, 1, 3)), prelu(9, (5, 4), (1,))],
}


def test_drawn_files_equal_the_reference(tmp_path: Path) -> None:
    files = [*(file for files in LISTED.values() for file in files), *(CASES[name](seed) for name in DRAWN for seed in range(6))]
    graphs = [graph for graph in map(read_tflite, files) if len(graph.ops) == 1]
    check_on_both_machines(graphs, tmp_path)
