/* The harness on the host: files, and an arena between two guards. */
#include "verify_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES 4096u
#define GUARD 0xA5

static FILE *request, *result;
static uint8_t *block;
static size_t arena_bytes;

static FILE *open_file(const char *path, const char *mode) {
  FILE *file = fopen(path, mode);
  if (file == NULL) {
    perror(path);
    exit(EXIT_FAILURE);
  }
  return file;
}

void port_open(void) {
  request = open_file("request.bin", "rb");
  result = open_file("result.bin", "wb");
}

void port_close(void) {
  if (fclose(result) != 0) {
    port_fail("the result could not be written", 0);
  }
  fclose(request);
  free(block);
}

void port_read(void *to, size_t size_bytes) {
  size_t done = fread(to, 1, size_bytes, request);
  if (done != size_bytes) {
    port_fail("the request is short, bytes missing", (int32_t)(size_bytes - done));
  }
}

void port_write(const void *from, size_t size_bytes) {
  size_t done = fwrite(from, 1, size_bytes, result);
  if (done != size_bytes) {
    port_fail("the result could not be written, bytes left", (int32_t)(size_bytes - done));
  }
}

_Noreturn void port_fail(const char *text, int32_t number) {
  fprintf(stderr, "fault: %s %d\n", text, (int)number);
  exit(EXIT_FAILURE);
}

void *port_arena(size_t size_bytes) {
  arena_bytes = size_bytes;
  block = aligned_alloc(64, (size_bytes + 2u * GUARD_BYTES + 63u) / 64u * 64u);
  if (block == NULL) {
    port_fail("no memory for the arena", 0);
  }
  memset(block, GUARD, GUARD_BYTES);
  memset(block + GUARD_BYTES + arena_bytes, GUARD, GUARD_BYTES);
  return block + GUARD_BYTES;
}

void port_check_arena(int32_t op_index) {
  for (size_t i = 0; i < GUARD_BYTES; ++i) {
    if (block[i] != GUARD) {
      port_fail("written below the arena by operator", op_index);
    }
    if (block[GUARD_BYTES + arena_bytes + i] != GUARD) {
      port_fail("written above the arena by operator", op_index);
    }
  }
}

int port_run(int (*body)(void *argument), void *argument) { return body(argument); }

uint32_t port_stack_used_bytes(void) { return 0; }

uint32_t port_instructions(void) { return 0; }

void port_trace(void *user, int32_t op_index) {
  (void)user;
  harness_on_op(op_index);
}
