"""The table of microcontrollers, as text and as JSON."""

from __future__ import annotations

import json

from ..codegen.targets import list_targets

_KIB = 1024


def targets_table(as_json: bool) -> str:
    """One line a chip: core with DSP extension and FPU, flash, RAM, and each data bank with its address."""
    targets = list_targets()
    if as_json:
        rows = [
            {
                "name": t.name,
                "part": t.part,
                "core": t.core.value,
                "dsp": t.core.has_dsp,
                "fpu": None if t.fpu is None else t.fpu.value,
                "mpu": t.core.mpu.value if t.has_mpu else None,
                "flash_bytes": t.flash_bytes,
                "ram_bytes": t.ram_bytes,
                "emulated_on": t.machine,
                "banks": [
                    {"name": b.name, "base": f"0x{b.base:08X}", "size_bytes": b.size_bytes, "kind": b.kind.value} for b in t.banks
                ],
            }
            for t in targets
        ]
        return json.dumps(rows, indent=2) + "\n"
    lines = [f"{'target':<11} {'core':<13} {'DSP':<3} {'FPU':<11} {'flash KiB':>9} {'RAM KiB':>8}  banks for data"]
    for t in targets:
        banks = ", ".join(f"{b.name} {b.size_bytes // _KIB} @ 0x{b.base:08X}" for b in t.data_banks)
        dsp, fpu = "yes" if t.core.has_dsp else "no", "no" if t.fpu is None else t.fpu.value
        lines.append(
            f"{t.name:<11} {t.core.value:<13} {dsp:<3} {fpu:<11} {t.flash_bytes // _KIB:>9} {t.ram_bytes // _KIB:>8}  {banks}"
        )
    return "\n".join(lines) + "\n"
