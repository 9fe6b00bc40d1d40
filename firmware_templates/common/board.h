/* What the firmware asks of a board. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

void board_init(void);
void board_write(const char *text);
_Noreturn void board_exit(int code);

/* Time for counting instructions: only an emulated board that runs with -icount has it. */
bool board_is_counting(void);
uint32_t board_instructions(uint32_t since_ticks);
uint32_t board_ticks(void);

enum { EXIT_PASS = 0, EXIT_SELF_TEST_FAILED = 10, EXIT_FAULT = 70 };

#endif
