/* What the verification harness asks of the machine that it runs on. */
#ifndef VERIFY_PORT_H
#define VERIFY_PORT_H

#include <stddef.h>
#include <stdint.h>

void port_open(void);
void port_read(void *to, size_t size_bytes);          /* from the request; ends the program when it is short */
void port_write(const void *from, size_t size_bytes); /* to the result */
void port_close(void);
_Noreturn void port_fail(const char *text, int32_t number);

void *port_arena(size_t size_bytes);
void port_check_arena(int32_t op_index); /* ends the program when something was written beside the arena */

/* Run body(argument) on the chip's own stack; returns its result. */
int port_run(int (*body)(void *argument), void *argument);
uint32_t port_stack_used_bytes(void); /* by the last port_run */

/* To be given to the library as its trace function: calls harness_on_op, whose work is not part of the measured time. */
void port_trace(void *user, int32_t op_index);
uint32_t port_instructions(void); /* between the last two port_trace, without port_trace itself */

/* Implemented by the harness. */
void harness_on_op(int32_t op_index);

#endif
