"""Kernels in plain C, for cores without the DSP extension: one product an instruction (two on ARMv6-M), values as bytes."""

from . import conv_2d, depthwise, elementwise, fully_connected, mean_variance

__all__ = ["conv_2d", "depthwise", "elementwise", "fully_connected", "mean_variance"]
