#include "console.h"

#include "board.h"

void print(const char *text) { board_write(text); }

void print_hex(uint32_t value) {
  char text[11] = "0x";
  for (int digit = 0; digit < 8; ++digit) {
    text[2 + digit] = "0123456789abcdef"[(value >> (28 - 4 * digit)) & 15u];
  }
  text[10] = '\0';
  print(text);
}

void print_decimal(uint32_t value) {
  char text[11];
  char *at = text + sizeof text - 1;
  *at = '\0';
  do {
    *--at = (char)('0' + value % 10u);
    value /= 10u;
  } while (value != 0);
  print(at);
}
