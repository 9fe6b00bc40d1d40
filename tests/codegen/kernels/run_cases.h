/* Runs a table of kernel calls against the outputs that they must give; see kernel_runner.py. */
typedef struct { uint32_t first, second; } pair;
typedef struct { uint32_t input, input_shift, output_shift; } sharing;
typedef struct {
  const char *name;
  void (*run)(const int8_t *const *in, int8_t *const *out, void *scratch);
  uint32_t num_inputs, num_outputs, num_shares, scratch_bytes;
  pair inputs[8], outputs[4]; /* offset in the blob, size */
  sharing shares[8];
} test_case;

#if defined(ON_ARM)
static uint32_t ticks;
#endif

static void fail(const test_case *c, const char *mode, const char *what, uint32_t at, int32_t found, int32_t expected) {
  say(c->name);
  say(mode);
  say(what);
  say(" at ");
  say_number((int32_t)at);
  say(": found ");
  say_number(found);
  say(", expected ");
  say_number(expected);
  say("\n");
  leave(1);
}

static void compare(const test_case *c, const char *mode, const char *what, const int8_t *found, const int8_t *expected,
                    uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) {
    if (found[i] != expected[i]) {
      fail(c, mode, what, i, found[i], expected[i]);
    }
  }
}


static void timed(const test_case *c, const int8_t *const *in, int8_t *const *out, void *scratch) {
#if defined(ON_ARM)
  TIMER[0] = 0;
  TIMER[2] = 0xffffffffu;
  TIMER[1] = 0xffffffffu;
  TIMER[0] = 1;
  const uint32_t start = TIMER[1];
  c->run(in, out, scratch);
  ticks = start - TIMER[1];
#else
  c->run(in, out, scratch);
#endif
}

#if EXACT_BUFFERS
/* every buffer its own allocation of the exact size: the sanitizer sees each access outside of one */
static void run_apart(const test_case *c) {
  int8_t *in[8];
  int8_t *out[4];
  const int8_t *const_in[8];
  for (uint32_t i = 0; i < c->num_inputs; ++i) {
    in[i] = malloc(c->inputs[i].second);
    memcpy(in[i], blob + c->inputs[i].first, c->inputs[i].second);
    const_in[i] = in[i];
  }
  for (uint32_t i = 0; i < c->num_outputs; ++i) {
    out[i] = malloc(c->outputs[i].second);
    memset(out[i], 0x5a, c->outputs[i].second);
  }
  void *scratch = malloc(c->scratch_bytes + 1u);
  memset(scratch, 0x7f, c->scratch_bytes + 1u);
  timed(c, const_in, out, scratch);
  for (uint32_t i = 0; i < c->num_outputs; ++i) {
    compare(c, " (apart)", " output", out[i], blob + c->outputs[i].first, c->outputs[i].second);
    free(out[i]);
  }
  for (uint32_t i = 0; i < c->num_inputs; ++i) {
    compare(c, " (apart)", " input changed", in[i], blob + c->inputs[i].first, c->inputs[i].second);
    free(in[i]);
  }
  free(scratch);
}
#endif

/* share < 0: all buffers apart; otherwise output 0 overlaps an input as that share allows. Buffers start at multiples of 4
 * (not of 16), between canaries; the order in memory is scratch, inputs, outputs. */
static int8_t arena[ARENA_BYTES] __attribute__((aligned(16)));
static uint8_t owner[ARENA_BYTES]; /* 0 canary, 1 input that must not change, 2 may change */

static uint32_t claim(uint32_t at, uint32_t size, uint8_t kind) {
  memset(owner + at, kind, size);
  return ((at + size + 15u) & ~15u) + 36u;
}

static void run_in_arena(const test_case *c, int32_t share) {
  static const char *const modes[2] = { " (canaries)", " (overlapping)" };
  const char *const mode = modes[share >= 0];
  int8_t *out[4];
  const int8_t *in[8];
  uint32_t next = 20u;
  for (uint32_t i = 0; i < ARENA_BYTES; ++i) {
    arena[i] = (int8_t)(uint8_t)(i * 37u + 11u);
  }
  memset(owner, 0, sizeof owner);
  void *scratch = arena + ((next + 15u) & ~15u);
  next = claim((next + 15u) & ~15u, c->scratch_bytes, 2);
  for (uint32_t i = 0; i < c->num_inputs; ++i) {
    const uint32_t size = c->inputs[i].second;
    uint32_t at = next;
    if (share >= 0 && c->shares[share].input == i) {
      at = next + c->shares[share].input_shift;
      out[0] = arena + next + c->shares[share].output_shift;
      const uint32_t a = claim(at, size, 2);
      const uint32_t b = claim(next + c->shares[share].output_shift, c->outputs[0].second, 2);
      next = a > b ? a : b;
    } else {
      next = claim(at, size, 1);
    }
    memcpy(arena + at, blob + c->inputs[i].first, size);
    in[i] = arena + at;
  }
  for (uint32_t i = share >= 0 ? 1u : 0u; i < c->num_outputs; ++i) {
    out[i] = arena + next;
    next = claim(next, c->outputs[i].second, 2);
  }
  timed(c, in, out, scratch);
  for (uint32_t i = 0; i < c->num_outputs; ++i) {
    compare(c, mode, " output", out[i], blob + c->outputs[i].first, c->outputs[i].second);
  }
  for (uint32_t i = 0; i < c->num_inputs; ++i) {
    if (share < 0 || c->shares[share].input != i) {
      compare(c, mode, " input changed", in[i], blob + c->inputs[i].first, c->inputs[i].second);
    }
  }
  for (uint32_t i = 0; i < ARENA_BYTES; ++i) {
    const int8_t canary = (int8_t)(uint8_t)(i * 37u + 11u);
    if (owner[i] == 0 && arena[i] != canary) {
      fail(c, mode, " canary", i, arena[i], canary);
    }
  }
}

static int run_all(const test_case *cases, uint32_t num_cases) {
  for (uint32_t i = 0; i < num_cases; ++i) {
    const test_case *c = &cases[i];
#if EXACT_BUFFERS
    run_apart(c);
#endif
    run_in_arena(c, -1);
#if defined(ON_ARM)
    say("case ");
    say_number((int32_t)i);
    say(" ticks ");
    say_number((int32_t)ticks);
    say("\n");
#endif
    for (uint32_t share = 0; share < c->num_shares; ++share) {
      run_in_arena(c, (int32_t)share);
    }
  }
  return 0;
}
