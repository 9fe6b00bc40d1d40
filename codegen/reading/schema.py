"""Numbers of TFLite's schema, version 3: element types, builtin operators, slots of option tables."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import numpy as np

from ..activations import ACTIVATIONS, FUSED_CLAMPS


class ElementType(Enum):
    """Element types of a `.tflite`; the value is the schema's code."""

    FLOAT32 = 0
    FLOAT16 = 1
    INT32 = 2
    UINT8 = 3
    INT64 = 4
    STRING = 5
    BOOL = 6
    INT16 = 7
    COMPLEX64 = 8
    INT8 = 9
    FLOAT64 = 10
    COMPLEX128 = 11
    UINT64 = 12
    RESOURCE = 13
    VARIANT = 14
    UINT32 = 15
    UINT16 = 16
    INT4 = 17
    BFLOAT16 = 18
    INT2 = 19
    UINT4 = 20
    FLOAT8_E4M3FN = 21
    FLOAT8_E5M2 = 22
    UNKNOWN = -1

    @classmethod
    def of(cls, code: int) -> ElementType:
        """The type of a code; UNKNOWN for one that the schema does not have."""
        return cls(code) if code in cls._value2member_map_ else cls.UNKNOWN

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest value of an integer type."""
        limits = np.iinfo(self.name.lower())
        return int(limits.min), int(limits.max)

    @property
    def numpy(self) -> str | None:
        """NumPy's little-endian name; None where an element is not a whole number of bytes, or not a number."""
        return _NUMPY.get(self)


_NUMPY: Mapping[ElementType, str] = {
    ElementType.FLOAT32: "<f4",
    ElementType.FLOAT16: "<f2",
    ElementType.FLOAT64: "<f8",
    ElementType.INT8: "<i1",
    ElementType.INT16: "<i2",
    ElementType.INT32: "<i4",
    ElementType.INT64: "<i8",
    ElementType.UINT8: "<u1",
    ElementType.UINT16: "<u2",
    ElementType.UINT32: "<u4",
    ElementType.UINT64: "<u8",
    ElementType.BOOL: "?",
}

FUSED_ACTIVATIONS = tuple(FUSED_CLAMPS)
"""Names by the schema's code."""

OPCODES: Mapping[int, str] = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 9: "FULLY_CONNECTED",
    17: "MAX_POOL_2D", 18: "MUL", 22: "RESHAPE", 25: "SOFTMAX", 34: "PAD", 36: "GATHER", 39: "TRANSPOSE", 40: "MEAN",
    11: "L2_NORMALIZATION", 23: "RESIZE_BILINEAR", 54: "PRELU", 126: "BATCH_MATMUL",
    5: "DEPTH_TO_SPACE", 26: "SPACE_TO_DEPTH", 67: "TRANSPOSE_CONV", 97: "RESIZE_NEAREST_NEIGHBOR", 100: "MIRROR_PAD",
    41: "SUB", 45: "STRIDED_SLICE", 55: "MAXIMUM", 65: "SLICE", 82: "REDUCE_MAX", 99: "SQUARED_DIFFERENCE",
    **{activation.code: name for name, activation in ACTIVATIONS.items()},
    # resolved before anything else is asked
    27: "SVDF", 44: "UNIDIRECTIONAL_SEQUENCE_LSTM",
    129: "CALL_ONCE", 142: "VAR_HANDLE", 143: "READ_VARIABLE", 144: "ASSIGN_VARIABLE",
    # rewritten before the rules are asked
    6: "DEQUANTIZE", 37: "BATCH_TO_SPACE_ND", 38: "SPACE_TO_BATCH_ND", 42: "DIV", 43: "SQUEEZE", 49: "SPLIT",
    50: "LOG_SOFTMAX", 53: "CAST", 56: "ARG_MAX", 57: "MINIMUM", 58: "LESS", 59: "NEG", 60: "PADV2", 61: "GREATER",
    62: "GREATER_EQUAL", 63: "LESS_EQUAL", 69: "TILE", 70: "EXPAND_DIMS", 71: "EQUAL", 72: "NOT_EQUAL", 74: "SUM",
    77: "SHAPE", 81: "REDUCE_PROD", 83: "PACK", 88: "UNPACK", 89: "REDUCE_MIN", 90: "FLOOR_DIV", 93: "ZEROS_LIKE",
    94: "FILL", 95: "FLOOR_MOD", 96: "RANGE", 102: "SPLIT_V", 110: "RANK", 123: "SELECT_V2",
    130: "BROADCAST_TO", 145: "BROADCAST_ARGS",
}  # fmt: skip

TEXT_OPTIONS: Mapping[str, tuple[int, ...]] = {"VAR_HANDLE": (0, 1)}  # container, shared name
"""Slots of options that are texts."""

OptionSlot = tuple[str, int, str, float]  # name, slot, struct's letter of its type, default
_CONV: tuple[OptionSlot, ...] = (("padding", 0, "b", 0), ("stride_w", 1, "i", 0), ("stride_h", 2, "i", 0))
_POOL: tuple[OptionSlot, ...] = (*_CONV, ("filter_w", 3, "i", 0), ("filter_h", 4, "i", 0), ("fused_activation", 5, "b", 0))
_ACTIVATION_ONLY: tuple[OptionSlot, ...] = (("fused_activation", 0, "b", 0),)
OPTIONS: Mapping[str, tuple[OptionSlot, ...]] = {
    "CONV_2D": (
        *_CONV,
        ("fused_activation", 3, "b", 0),
        ("dilation_w", 4, "i", 1),
        ("dilation_h", 5, "i", 1),
        ("bias_type", 6, "b", 0),
    ),
    "DEPTHWISE_CONV_2D": (*_CONV, ("fused_activation", 4, "b", 0), ("dilation_w", 5, "i", 1), ("dilation_h", 6, "i", 1)),
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "FULLY_CONNECTED": (
        *_ACTIVATION_ONLY,
        ("weights_format", 1, "b", 0),
        ("keep_num_dims", 2, "?", 0),
        ("bias_type", 4, "b", 0),
    ),
    "SOFTMAX": (("beta", 0, "f", 0.0),),
    "CONCATENATION": (("axis", 0, "i", 0), ("fused_activation", 1, "b", 0)),
    "ADD": (*_ACTIVATION_ONLY, ("shifts_powers_of_two", 1, "?", 1)),
    "SUB": (*_ACTIVATION_ONLY, ("shifts_powers_of_two", 1, "?", 1)),
    "MUL": _ACTIVATION_ONLY,
    "GATHER": (("axis", 0, "i", 0), ("batch_dims", 1, "i", 0)),
    "MEAN": (("keep_dims", 0, "?", 0),),
    "REDUCE_MAX": (("keep_dims", 0, "?", 0),),
    "REDUCE_MIN": (("keep_dims", 0, "?", 0),),
    "REDUCE_PROD": (("keep_dims", 0, "?", 0),),
    "SUM": (("keep_dims", 0, "?", 0),),
    "DIV": _ACTIVATION_ONLY,
    "PACK": (("values_count", 0, "i", 0), ("axis", 1, "i", 0)),
    "RESIZE_NEAREST_NEIGHBOR": (("align", 0, "?", 0), ("half", 1, "?", 0)),
    "RESIZE_BILINEAR": (("align", 2, "?", 0), ("half", 3, "?", 0)),
    "BATCH_MATMUL": (("adj_x", 0, "?", 0), ("adj_y", 1, "?", 0)),
    "L2_NORMALIZATION": _ACTIVATION_ONLY,
    "DEPTH_TO_SPACE": (("block_size", 0, "i", 0),),
    "SPACE_TO_DEPTH": (("block_size", 0, "i", 0),),
    "MIRROR_PAD": (("mode", 0, "b", 0),),
    "TRANSPOSE_CONV": (*_CONV, ("fused_activation", 3, "b", 0)),
    "UNPACK": (("num", 0, "i", 0), ("axis", 1, "i", 0)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        ("fused_activation", 0, "b", 0),
        ("cell_clip", 1, "f", 0.0),
        ("proj_clip", 2, "f", 0.0),
        ("time_major", 3, "?", 0),
        ("asymmetric_inputs", 4, "?", 0),
        ("diagonal", 5, "?", 0),
    ),
    "SVDF": (("rank", 0, "i", 0), ("fused_activation", 1, "b", 0)),
    "CALL_ONCE": (("subgraph", 0, "i", 0),),
    "SPLIT": (("num_splits", 0, "i", 0),),
    "SPLIT_V": (("num_splits", 0, "i", 0),),
    "STRIDED_SLICE": (
        ("begin_mask", 0, "i", 0),
        ("end_mask", 1, "i", 0),
        ("ellipsis_mask", 2, "i", 0),
        ("new_axis_mask", 3, "i", 0),
        ("shrink_axis_mask", 4, "i", 0),
        ("offset", 5, "?", 0),
    ),
    **{
        name: tuple((parameter.name, slot, parameter.letter, 0) for slot, parameter in enumerate(activation.parameters))
        for name, activation in ACTIVATIONS.items()
    },
}
