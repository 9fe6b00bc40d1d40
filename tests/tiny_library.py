"""A C library of two operators, written by hand to the emitter's contract, and its twin in NumPy.

`mischief` is C code that runs inside the second operator: firmware tests put their crimes there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from flynet_tiny.codegen.c_library import CLibrary, EmittedOp, LibraryPort, TraceRecord

SIZE = 64
TABLE = tuple((7 * i + 3) % 256 - 128 for i in range(SIZE))

HEADER = """\
#ifndef TINY_H
#define TINY_H
#include <stddef.h>
#include <stdint.h>
#define TINY_ABI_VERSION 1
#define TINY_ARENA_BYTES %(arena)du
#define TINY_ARENA_ALIGN 16u
#define TINY_NUM_OPS 2
#define TINY_NUM_INPUTS 1
#define TINY_NUM_OUTPUTS 1
#ifndef TINY_ARENA_ATTRIBUTE
#define TINY_ARENA_ATTRIBUTE __attribute__((aligned(16)))
#endif
enum { TINY_OK = 0, TINY_ERROR_NULL = 1, TINY_ERROR_ALIGNMENT = 2, TINY_ERROR_ARENA_TOO_SMALL = 3 };
typedef struct {
  uint8_t *arena;
#ifdef TINY_TRACE
  void (*trace)(void *user, int32_t op_index);
  void *trace_user;
#endif
} tiny_context;
int tiny_init(tiny_context *context, void *arena, size_t arena_bytes);
int8_t *tiny_input(const tiny_context *context, int index);
const int8_t *tiny_output(const tiny_context *context, int index);
int tiny_invoke(tiny_context *context);
#ifdef TINY_TRACE
typedef struct {
  int32_t op_index;
  uint32_t offset_bytes;
  uint32_t size_bytes;
} tiny_trace_record;
extern const tiny_trace_record tiny_trace_records[];
extern const int32_t tiny_num_trace_records;
#endif
#endif
"""

SOURCE = """\
#include "tiny.h"
#include <string.h>
#include "tiny_weights.h"

__attribute__((noinline)) static void tiny_triple(const int8_t *input0, int8_t *output0) {
  %(first)s
  for (int i = 0; i < 64; ++i) {
    output0[i] = (int8_t)(uint8_t)(3 * input0[i] + 1);
  }
}

static %(helper)s

__attribute__((noinline)) static void tiny_reverse(const int8_t *input0, int8_t *output0) {
  for (int i = 0; i < 64; ++i) {
    output0[i] = (int8_t)(input0[63 - i] ^ tiny_table[i]);
  }
  helper((uint8_t *)output0);
}

int tiny_init(tiny_context *context, void *arena, size_t arena_bytes) {
  if (context == NULL || arena == NULL) {
    return TINY_ERROR_NULL;
  }
  if ((uintptr_t)arena %% TINY_ARENA_ALIGN != 0) {
    return TINY_ERROR_ALIGNMENT;
  }
  if (arena_bytes < TINY_ARENA_BYTES) {
    return TINY_ERROR_ARENA_TOO_SMALL;
  }
  memset(context, 0, sizeof *context);
  context->arena = arena;
  return TINY_OK;
}

int8_t *tiny_input(const tiny_context *context, int index) { return index == 0 ? (int8_t *)context->arena : NULL; }

const int8_t *tiny_output(const tiny_context *context, int index) {
  return index == 0 ? (const int8_t *)context->arena + 128 : NULL;
}

#ifdef TINY_TRACE
const tiny_trace_record tiny_trace_records[] = {{-1, 0, 64}, {0, 64, 64}, {1, 128, 64}};
const int32_t tiny_num_trace_records = 3;
#define TINY_TRACE_OP(index) \\
  do { \\
    if (context->trace != NULL) { \\
      context->trace(context->trace_user, (index)); \\
    } \\
  } while (0)
#else
#define TINY_TRACE_OP(index) ((void)0)
#endif

int tiny_invoke(tiny_context *context) {
  if (context == NULL || context->arena == NULL) {
    return TINY_ERROR_NULL;
  }
  uint8_t *const arena = context->arena;
  TINY_TRACE_OP(-1);
  tiny_triple((const int8_t *)arena, (int8_t *)(arena + 64));
  TINY_TRACE_OP(0);
  tiny_reverse((const int8_t *)(arena + 64), (int8_t *)(arena + 128));
  TINY_TRACE_OP(1);
  return TINY_OK;
}
"""

HARMLESS = "void helper(uint8_t *output) { (void)output; }"


def tiny_library(helper: str = HARMLESS, first: str = "", arena_bytes: int = 192) -> CLibrary:
    """helper: a C function `void helper(uint8_t *output)` that the second operator ends with; first: code of the first one."""
    table = ", ".join(map(str, TABLE))
    files = {
        "tiny.h": HEADER % {"arena": arena_bytes},
        "tiny.c": SOURCE % {"helper": helper, "first": first},
        "tiny_weights.h": "#include <stdint.h>\nextern const int8_t tiny_table[64];\n",
        "tiny_weights.c": f'#include "tiny_weights.h"\nconst int8_t tiny_table[64] = {{{table}}};\n',
    }
    ops = (EmittedOp(0, "tripled", "MUL", "tiny_triple", 64), EmittedOp(1, "reversed", "SLICE", "tiny_reverse", 0))
    trace = tuple(
        TraceRecord(op, name, at, 64, "int8") for op, name, at in ((-1, "image", 0), (0, "tripled", 64), (1, "reversed", 128))
    )
    return CLibrary(
        "tiny", files, arena_bytes, ops, trace, (LibraryPort("image", SIZE, "int8"),), (LibraryPort("reversed", SIZE, "int8"),)
    )


def tiny_twin(inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.int8]]:
    """Every tensor of the library, in NumPy."""
    image = np.asarray(inputs["image"], np.int8)
    tripled = (3 * image.astype(np.int64) + 1).astype(np.int8)
    return {"image": image, "tripled": tripled, "reversed": tripled[::-1] ^ np.array(TABLE, np.int8)}


def tiny_inputs(count: int) -> list[dict[str, npt.NDArray[np.int8]]]:
    """The extremes, then seeded noise."""
    rng = np.random.default_rng(5)
    extremes = [np.full(SIZE, value, np.int8) for value in (-128, 127)]
    noise = [rng.integers(-128, 128, SIZE, np.int8) for _ in range(count - 2)]
    return [{"image": image} for image in [*extremes, *noise][:count]]
