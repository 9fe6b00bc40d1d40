"""Names of layers as the people who made the network know them."""

from __future__ import annotations

import re

from ..quoting import ForeignText

# last words of a converter's path that say what is computed, not which layer it is; layers of Keras have small letters
_ACTIONS = re.compile(
    r"(BiasAdd|Conv2D|Conv1D|convolution|MatMul|Tensordot|Relu6?|Elu|Selu|Sigmoid|Softmax|Tanh|HardSwish|(Avg|Max)Pool([123]d)?|"
    r"Mean|Max|Sum|AddV?2?|Sub|"
    r"Mul|ConcatV?2?|concat|Pad|Reshape|Transpose|Squeeze|ExpandDims|StridedSlice|FusedBatchNorm|BatchNorm|ReadVariableOp|"
    r"BatchToSpaceND|SpaceToBatchND|depthwise|separable_conv2d|resource)(V\d|_?\d+)*"
)
_NAMELESS = re.compile(r"(identity|statefulpartitionedcall|partitionedcall|serving_default)[\w:]*", re.IGNORECASE)
_ROOTS = re.compile(r"(model|functional|sequential)[\d_]*")


def layer_title(source_name: ForeignText, kind: str) -> str:
    """The layer behind a tensor's name: `dense_1` for `functional_1/dense_1/MatMul;functional_1/dense_1/BiasAdd`.

    TensorFlow's converter joins the names of all that it fused with `;`, and one constant's name may serve many layers, so a part
    that adds a bias speaks first, then the last one. Names of other makers stay as they are. kind  the operator, said where the
    name says nothing. The text is the file's: it goes through a door like any other.
    """
    parts = [part for part in source_name.raw.split(";") if part]
    words = [_words(part) for part in parts]
    biased = [found for part, found in zip(parts, words, strict=True) if re.search(r"/BiasAdd[\d_]*$", part)]
    chosen = next((found for found in [*biased, *reversed(words)] if found), [])
    return "/".join(chosen) if chosen else kind.lower()


def _words(part: str) -> list[str]:
    words = [word for word in part.split("/") if word]
    if len(words) == 1:
        return [] if _NAMELESS.fullmatch(words[0]) else words
    while len(words) > 1 and _ACTIONS.fullmatch(words[-1]):
        words.pop()
    while len(words) > 1 and _ROOTS.fullmatch(words[0]):
        words.pop(0)
    return words
