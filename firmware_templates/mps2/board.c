/* Arm's MPS2 boards as QEMU emulates them: semihosting for text and exit, timer 0 for counting instructions. */
#include "board.h"

#include <stddef.h>

#include "semihosting.h"

#define TIMER0_CTRL (*(volatile uint32_t *)0x40000000u)
#define TIMER0_VALUE (*(volatile uint32_t *)0x40000004u)
#define TIMER0_RELOAD (*(volatile uint32_t *)0x40000008u)

/* QEMU -icount shift=N lets 2^N ns pass with every instruction; the timer counts down every 40 ns. */
#define TICK_NS 40u
#define ICOUNT_SHIFT 7u

static bool is_counting;

void board_init(void) {
  static char command_line[64];
  struct {
    char *text;
    uint32_t size;
  } block = {command_line, sizeof command_line};
  if (semihosting(SYS_GET_CMDLINE, &block) == 0) {
    for (const char *at = command_line; *at != '\0'; ++at) {
      is_counting = is_counting || (at[0] == '+' && at[1] == 'i'); /* "+icount" */
    }
  }
  TIMER0_RELOAD = 0xFFFFFFFFu;
  TIMER0_VALUE = 0xFFFFFFFFu;
  TIMER0_CTRL = 1u;
}

bool board_is_counting(void) { return is_counting; }

uint32_t board_ticks(void) { return TIMER0_VALUE; }

uint32_t board_instructions(uint32_t since_ticks) {
  uint64_t ns = (uint64_t)(since_ticks - TIMER0_VALUE) * TICK_NS;
  return (uint32_t)((ns + (1u << (ICOUNT_SHIFT - 1u))) >> ICOUNT_SHIFT);
}

void board_write(const char *text) { semihosting(SYS_WRITE0, text); }

_Noreturn void board_exit(int code) {
  const uint32_t block[2] = {SEMIHOSTING_APPLICATION_EXIT, (uint32_t)code};
  semihosting(SYS_EXIT_EXTENDED, block);
  for (;;) {
  }
}
