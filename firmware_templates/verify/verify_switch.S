/* Between the stack of the chip, which is measured, and that of the harness, which is not. */
  .syntax unified
  .thumb

  .equ TIMER0_VALUE, 0x40000004

/* int verify_run_on_chip_stack(int (*body)(void *argument), void *argument) */
  .section .text.verify_run_on_chip_stack, "ax"
  .global verify_run_on_chip_stack
  .type verify_run_on_chip_stack, %function
  .thumb_func
verify_run_on_chip_stack:
  push {r4, lr}
  ldr  r2, =verify_harness_sp
  mov  r4, sp
  str  r4, [r2]
  ldr  r2, =stack_top
  mov  sp, r2
  mov  r2, r0
  mov  r0, r1
  blx  r2
  mov  sp, r4
  pop  {r4, pc}
  .ltorg
  .size verify_run_on_chip_stack, . - verify_run_on_chip_stack

/* void port_trace(void *user, int32_t op_index)
 * The timer is read as early as possible on entry and as late as possible before the return. Takes 8 bytes of the chip's stack.
 */
  .section .text.port_trace, "ax"
  .global port_trace
  .type port_trace, %function
  .thumb_func
port_trace:
  movw r2, #:lower16:TIMER0_VALUE
  movt r2, #:upper16:TIMER0_VALUE
  ldr  r3, [r2]
  ldr  r0, =verify_ticks
  str  r3, [r0, #4]
  push {r4, lr}
  mov  r4, sp
  ldr  r0, =verify_harness_sp
  ldr  r0, [r0]
  mov  sp, r0
  mov  r0, r1
  bl   harness_on_op
  mov  sp, r4
  pop  {r4, lr}
  ldr  r0, =verify_ticks
  movw r2, #:lower16:TIMER0_VALUE
  movt r2, #:upper16:TIMER0_VALUE
  ldr  r3, [r2]
  str  r3, [r0]
  bx   lr
  .ltorg
  .size port_trace, . - port_trace
