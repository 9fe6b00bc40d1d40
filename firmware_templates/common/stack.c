#include "stack.h"

#define PAINT 0xC5C5C5C5u

/* From the linker script; the stack grows from top down to base. */
extern volatile uint32_t stack_base[], stack_top[];

void stack_paint(void) {
  volatile uint32_t *end = stack_top;
  volatile uint32_t *here = __builtin_frame_address(0);
  if (here >= stack_base && here < end) {
    end = here - 8; /* spare this function's own frame */
  }
  for (volatile uint32_t *word = stack_base; word < end; ++word) {
    *word = PAINT;
  }
}

uint32_t stack_used_bytes(void) {
  volatile uint32_t *word = stack_base;
  while (word < stack_top && *word == PAINT) {
    ++word;
  }
  return (uint32_t)((uintptr_t)stack_top - (uintptr_t)word);
}

uint32_t stack_reserved_bytes(void) { return (uint32_t)((uintptr_t)stack_top - (uintptr_t)stack_base); }
