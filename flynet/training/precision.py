"""Which half precision a device computes natively, for `--amp`.

oneDNN emulates bfloat16 on a processor that has AVX-512 but no bfloat16 instructions. Its gradients of some convolutions are then
NaN (3x3 with stride 2 from 64 to 64 channels, oneDNN 3.12), and nothing is faster for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

# of get_capabilities: x86 with AVX-512, x86 with AMX, Arm
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
_LIMIT = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # the first counts
_LIMITS_BELOW_BFLOAT16 = {"sse41", "avx", "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni"}


def half_precision(device: torch.device) -> torch.dtype | None:
    """float16 on a GPU, bfloat16 on a processor that has it (and may use it: `ONEDNN_MAX_CPU_ISA`), else None."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if computes_bfloat16(torch.cpu.get_capabilities(), os.environ) else None


def computes_bfloat16(capabilities: Mapping[str, object], environment: Mapping[str, str]) -> bool:
    """What `torch.cpu.get_capabilities` says of the processor, within the limit that the environment sets to oneDNN."""
    limit = next((environment[name].lower() for name in _LIMIT if environment.get(name)), "")
    return limit not in _LIMITS_BELOW_BFLOAT16 and any(capabilities.get(name) is True for name in _BFLOAT16)
