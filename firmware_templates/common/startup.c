/* Reset: memory protection, FPU, stack limit, stack paint, data, then main. */
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "faults.h"
#include "mpu.h"
#include "stack.h"

/* From the linker script. */
extern uint32_t initial_sp[], stack_base[];
extern uint32_t data_begin[], data_end[], bss_begin[], bss_end[];
extern const uint32_t data_load[];

int main(void);
_Noreturn void reset(void);

typedef void (*vector)(void);

/* No interrupt is enabled: the 16 entries of the core are all there is. */
__attribute__((used, section(".vectors"))) static const vector vectors[16] = {
    (vector)(uintptr_t)initial_sp,
    (vector)reset,
    fault_entry, /* NMI */
    fault_entry, /* HardFault */
    fault_entry, /* MemManage */
    fault_entry, /* BusFault */
    fault_entry, /* UsageFault */
    fault_entry, /* SecureFault, of ARMv8-M */
    NULL,
    NULL,
    NULL,
    fault_entry, /* SVCall */
    fault_entry, /* DebugMonitor */
    NULL,
    fault_entry, /* PendSV */
    fault_entry, /* SysTick */
};

#define SCB_VTOR (*(volatile uint32_t *)0xE000ED08u)
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)

_Noreturn void reset(void) {
  SCB_VTOR = (uint32_t)(uintptr_t)vectors;
#if defined(__ARM_FP)
  SCB_CPACR |= 0xFu << 20; /* full access to the FPU */
#endif
#if __ARM_ARCH >= 8
  __asm volatile("msr msplim, %0" : : "r"(stack_base));
#endif
  __asm volatile("dsb\n isb" ::: "memory");
  faults_enable();
  mpu_enable();
  stack_paint();
  const uint32_t *from = data_load;
  for (uint32_t *to = data_begin; to < data_end; ++to) {
    *to = *from++;
  }
  for (uint32_t *to = bss_begin; to < bss_end; ++to) {
    *to = 0;
  }
  board_init();
  board_exit(main());
}
