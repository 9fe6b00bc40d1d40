"""What the compiler builds for: the instruction set and its costs, and what flash may be spent on.

A `Build` is made from a target and a level (`--optimize`) and goes through kernel choice, schedule and emission. Kernels read
costs and limits from it; none has constants of one core of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .targets import Core, Target, get_target


@dataclass(frozen=True)
class Costs:
    """Instructions that pieces of kernels take on a core, as counted in emulation; they decide between forms of one kernel.

    Instructions, not cycles: what a Cortex-M7 gains by issuing two at a time is not in them.

    product_table    a lookup table of all 256 products of a channel's scale, requantized, and ..
    product_lookup   .. one element by it
    product_lanes    one element by arithmetic in lanes
    square_table, square_lookup, square_lanes  the same for squared differences
    scale_lookup, scale_product  a channel scale inside a depthwise convolution, beside the element's load and store
    wide_product     saved for each product by weights that are stored as int16, and ..
    wide_output      .. for each output
    row_tile, row_tile_output  of a depthwise convolution's tile beside its loads and products, and of each of its outputs
    row_tile_spills  of a tile that fills the registers
    own_gemm_twos, own_gemm_loop  saved by a gemm of one layer's own for each two channels of a tile; more where a loop is left
    own_gemm_pixel   the same of a gemm of one pixel
    own_depthwise_column, own_depthwise_row  saved by a depthwise convolution with loops of its own for each column of tiles of
                     a filter, and for each row of a channel's map ..
    own_depthwise_tile  .. and by literals in place of sizes for each tile
    network_mac, network_output  of whole networks, about, for each multiply-accumulate and each output of a layer
    """

    product_table: float
    product_lookup: float
    product_lanes: float
    square_table: float
    square_lookup: float
    square_lanes: float
    scale_lookup: float
    scale_product: float
    wide_product: float
    wide_output: float
    row_tile: float
    row_tile_output: float
    row_tile_spills: float
    own_gemm_twos: float
    own_gemm_loop: float
    own_gemm_pixel: float
    own_depthwise_column: float
    own_depthwise_row: float
    own_depthwise_tile: float
    network_mac: float
    network_output: float


@dataclass(frozen=True)
class Isa:
    """An instruction set that kernels are written for.

    registers     that a kernel's inner loop can hold values in
    long_multiply 32 by 32 bits into 64 in one instruction
    loads_signed  an int8 at a constant distance from an address in one instruction
    fallback      whose kernels serve where this one has none of its own
    """

    name: str
    registers: int
    long_multiply: bool = True
    loads_signed: bool = True
    fallback: Isa | None = None

    @property
    def chain(self) -> tuple[Isa, ...]:
        """The instruction set and those that it falls back to, best first."""
        return (self, *(self.fallback.chain if self.fallback else ()))


PLAIN = Isa("plain C", registers=13)
ARMV6M = Isa("ARMv6-M", registers=8, long_multiply=False, loads_signed=False, fallback=PLAIN)
DSP = Isa("DSP extension", registers=14, fallback=PLAIN)

CORTEX_M4 = Costs(
    product_table=1150,
    product_lookup=3.6,
    product_lanes=5.3,
    square_table=1060,
    square_lookup=3.3,
    square_lanes=4.4,
    scale_lookup=1.0,
    scale_product=3.0,
    wide_product=1 / 8,
    wide_output=1.5,
    row_tile=12.0,
    row_tile_output=5.0,
    row_tile_spills=10.0,
    own_gemm_twos=7.0,
    own_gemm_loop=10.0,
    own_gemm_pixel=2.0,
    own_depthwise_column=12.0,
    own_depthwise_row=3.0,
    own_depthwise_tile=6.0,
    network_mac=1.15,
    network_output=5.0,
)

# Counted on the AN385, code for the Cortex-M3 and for the Cortex-M0+: the plain kernels' tables and products; the other numbers
# are of lanes, the Cortex-M4's.
CORTEX_M3 = replace(CORTEX_M4, square_table=2300, square_lookup=3.1, square_lanes=9.5, product_table=2300, scale_product=6.0)
CORTEX_M0PLUS = replace(
    CORTEX_M4, square_table=6200, square_lookup=6.0, square_lanes=27.0, product_table=4700, scale_product=14.0
)
# Counted like the M4's, on the AN500 and the AN505: a channel's table, a look-up and a product in lanes on a map of 1,024 pixels
# less one of 256. Product 1,596 / 3.37 / 6.25 on the M7, 1,563 / 3.37 / 6.25 on the M33 and on the M4; square 1,152, 1,147 and
# 1,148 / 4.12 / 5.43. They issue other code only where the compiler schedules for two pipes.
CORTEX_M7 = replace(CORTEX_M4, product_table=1175, square_table=1064)
CORTEX_M33 = replace(CORTEX_M4, square_table=1059)

_DSP_CORES: Mapping[Core, Costs] = {Core.CORTEX_M7: CORTEX_M7, Core.CORTEX_M33: CORTEX_M33}
_PLAIN_CORES: Mapping[Core, tuple[Isa, Costs]] = {
    Core.CORTEX_M3: (PLAIN, CORTEX_M3),
    Core.CORTEX_M0PLUS: (ARMV6M, CORTEX_M0PLUS),
}


@dataclass(frozen=True)
class Level:
    """What flash may be spent on: limits of unrolling, of specialised code, and of weights in a larger, faster form.

    unroll_all_pairs   a layer's own gemm multiplies windows of at most so many int16 pairs without a loop
    unroll_pairs       pairs in one turn of the loop over longer windows, and twice those of the gemm that layers share
    own_gain           a layer has a function of its own where that saves at least so large a share of the network's instructions
                       for each share of its flash
    wide_weights       at most so many weights of a convolution are held as int16 (twice the flash) ..
    wide_gain          .. where that saves at least so many instructions for each byte
    depthwise_bytes    larger depthwise layers keep their taps as int8, widened when their turn comes
    max_tile           outputs of a row that a depthwise convolution computes together
    unrolled_rows      kernel rows of all heads; above, the heads after the first share code
    side_by_side       whether windows inside the map have a faster path beside the general one
    merges_outer       whether layers whose sizes differ outside of inner loops share a function ..
    merges_inner       .. and where the inner loops' own sizes differ
    unrolled_tap_rows  kernel rows of compact taps that are widened without a loop
    copied_columns     of a map that a depthwise convolution widens without a loop; a multiple of 4
    compiler_flag      gcc's optimization of the firmware. On six networks, beside -O2, -O3 saves up to 3 % of the instructions
                       for 0.1 to 6 % of the flash, and -Os saves up to 0.7 % of the flash for up to 25 % more instructions:
                       -O3 where instructions count, -O2 where flash does
    saves_memory       whether one row of a FULLY_CONNECTED is read in place, a quarter slower, where the arena is smaller without
                       its int16 copy
    max_bands          into how many row bands the schedule may cut a kernel's work, to save memory
    """

    name: str
    unroll_all_pairs: int
    unroll_pairs: int
    own_gain: float
    wide_weights: int
    wide_gain: float
    depthwise_bytes: int
    max_tile: int
    unrolled_rows: int
    side_by_side: bool
    merges_outer: bool
    merges_inner: bool
    unrolled_tap_rows: int
    copied_columns: int
    compiler_flag: str
    max_bands: int
    saves_memory: bool = False


SPEED = Level(
    name="speed",
    unroll_all_pairs=32,
    unroll_pairs=16,
    own_gain=0.0,
    wide_weights=65536,
    wide_gain=1.0,
    depthwise_bytes=1 << 24,
    max_tile=8,
    unrolled_rows=20,
    side_by_side=True,
    merges_outer=False,
    merges_inner=False,
    unrolled_tap_rows=5,
    copied_columns=28,
    compiler_flag="-O3",
    max_bands=1,
)
BALANCED = Level(
    name="balanced",
    unroll_all_pairs=32,
    unroll_pairs=16,
    own_gain=0.7,
    wide_weights=16384,
    wide_gain=5.2,
    depthwise_bytes=4096,
    max_tile=8,
    unrolled_rows=10,
    side_by_side=True,
    merges_outer=True,
    merges_inner=False,
    unrolled_tap_rows=5,
    copied_columns=28,
    compiler_flag="-O3",
    max_bands=8,
)
SIZE = Level(
    name="size",
    unroll_all_pairs=4,
    unroll_pairs=4,
    own_gain=math.inf,
    wide_weights=0,
    wide_gain=0.0,
    depthwise_bytes=0,
    max_tile=4,
    unrolled_rows=0,
    side_by_side=False,
    merges_outer=True,
    merges_inner=True,
    unrolled_tap_rows=0,
    copied_columns=4,
    compiler_flag="-O2",
    max_bands=8,
)

MEMORY = replace(BALANCED, name="memory", saves_memory=True)

LEVELS: Mapping[str, Level] = {level.name: level for level in (SPEED, BALANCED, SIZE, MEMORY)}


@dataclass(frozen=True)
class RowBands:
    """How the schedule wants one kernel's work cut: all channels of a band of rows before the next band.

    count     at least so many bands, as far as there are rows; 1: as the kernel likes, channel by channel
    from_end  the last band comes first: the output then lies above the input's end, not below its start
    """

    count: int = 1
    from_end: bool = False


@dataclass(frozen=True)
class Build:
    """What one library is built for.

    target    the chip's name, or "any": C for any core, measured for a Cortex-M4
    bands     of the kernel that is being chosen; the schedule sets them operator by operator
    minimise  whether what is computed for nothing is removed from the graph first
    in_place  whether that kernel reads its input in place, for less memory and more work, if it can; set likewise
    """

    target: str
    isa: Isa
    costs: Costs
    level: Level
    bands: RowBands = RowBands()
    minimise: bool = True
    in_place: bool = False


def build_for(target: Target | None, level: Level = BALANCED, minimise: bool = True) -> Build:
    """The build for a chip, or for any where none is named."""
    if target is None:
        return Build("any", DSP, CORTEX_M4, level, minimise=minimise)
    isa, costs = _PLAIN_CORES.get(target.core) or (DSP, _DSP_CORES.get(target.core, CORTEX_M4))
    return Build(target.name, isa, costs, level, minimise=minimise)


def build_named(target: str = "any", level: str = "balanced", minimise: bool = True) -> Build:
    """The build of a target and a level by name; raises `UnknownTarget`."""
    return build_for(None if target == "any" else get_target(target), LEVELS[level], minimise)


DEFAULT_BUILD = build_for(None)
