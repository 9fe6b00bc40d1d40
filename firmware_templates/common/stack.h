/* The deepest point that the stack has reached, by painting it. */
#ifndef STACK_H
#define STACK_H

#include <stdint.h>

void stack_paint(void);              /* everything below the caller's frame */
uint32_t stack_used_bytes(void);     /* since the last paint */
uint32_t stack_reserved_bytes(void);

#endif
