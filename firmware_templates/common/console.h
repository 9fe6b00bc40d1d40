/* Text and numbers, without stdio. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdint.h>

void print(const char *text);
void print_hex(uint32_t value); /* 0x and eight digits */
void print_decimal(uint32_t value);

#endif
