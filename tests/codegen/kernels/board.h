/* What a test program needs of its machine: text out, an exit code, and on the emulated board a start and a clock. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if !defined(ON_ARM)
#include <stdio.h>
#include <stdlib.h>
#endif

#define MAY_BE_UNUSED __attribute__((unused))

#if defined(ON_ARM)
#define TIMER ((volatile uint32_t *)0x40000000u)
static void semihost(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
static void say(const char *text) { semihost(4, text); }
static MAY_BE_UNUSED void leave(uint32_t code) {
  const uint32_t block[2] = { 0x20026u, code };
  semihost(0x20, block);
  for (;;) {
  }
}
static void fault(void) {
  say("fault\n");
  leave(9);
}
void reset(void);
extern char stack_top;
__attribute__((section(".vectors"), used)) static const struct {
  const void *stack;
  void (*handlers[15])(void);
} vectors = { &stack_top, { reset, fault, fault, fault, fault, fault } };
#else
static void say(const char *text) { fputs(text, stdout); }
static MAY_BE_UNUSED void leave(uint32_t code) { exit((int)code); }
#endif

static MAY_BE_UNUSED void say_number(int32_t value) {
  char text[12];
  char *p = text + 11;
  uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
  *p = 0;
  do {
    *--p = (char)('0' + rest % 10u);
    rest /= 10u;
  } while (rest != 0u);
  if (value < 0) {
    *--p = '-';
  }
  say(p);
}

/* The program: prints what `run` says and leaves with its result. */
#if defined(ON_ARM)
#define START(run)                                          \
  void reset(void) {                                        \
    *(volatile uint32_t *)0xe000ed88u |= 0xf00000u; /* floating point on */ \
    leave((uint32_t)(run));                                 \
  }
#else
#define START(run) \
  int main(void) { return run; }
#endif
