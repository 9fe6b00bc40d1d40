#include "faults.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "console.h"
#include "memory_map.h"

#define SCB_CCR (*(volatile uint32_t *)0xE000ED14u)
#define SCB_SHCSR (*(volatile uint32_t *)0xE000ED24u)
#define SCB_CFSR (*(volatile uint32_t *)0xE000ED28u)
#define SCB_HFSR (*(volatile uint32_t *)0xE000ED2Cu)
#define SCB_MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define SCB_BFAR (*(volatile uint32_t *)0xE000ED38u)

#define CCR_DIV_0_TRP (1u << 4)
#define SHCSR_MEMORY_BUS_USAGE (7u << 16)
#define CFSR_IACCVIOL (1u << 0)
#define CFSR_DACCVIOL (1u << 1)
#define CFSR_MSTKERR (1u << 4)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_PRECISERR (1u << 9)
#define CFSR_STKERR (1u << 12)
#define CFSR_BFARVALID (1u << 15)

#define EXCEPTION_FRAME_BYTES 108u /* 26 words with the FPU's, and the alignment */
#define STACK_NEAR_BYTES 0x10000u /* an access this close below the stack is its overflow */

extern uint32_t stack_base[];
/* `used`: called from assembly only, which link-time optimization does not see. */
__attribute__((used)) _Noreturn void fault_report(uint32_t pc, uint32_t ipsr, uint32_t sp);

void faults_enable(void) {
  SCB_SHCSR |= SHCSR_MEMORY_BUS_USAGE;
  SCB_CCR |= CCR_DIV_0_TRP;
}

/* Fetch the pc from the exception frame, unless stacking it failed; then start over at the top of the stack. */
__attribute__((naked)) void fault_entry(void) {
  __asm volatile(
      "  movs r0, #0             \n"
      "  movw r1, #0xED28        \n" /* CFSR */
      "  movt r1, #0xE000        \n"
      "  ldr  r1, [r1]           \n"
      "  movw r2, #0x1010        \n" /* MSTKERR, STKERR */
      "  tst  r1, r2             \n"
      "  mrs  r2, msp            \n"
      "  bne  1f                 \n"
      "  ldr  r0, [r2, #24]      \n"
      "1:                        \n"
      "  mrs  r1, ipsr           \n"
      "  ldr  r3, =stack_top     \n"
      "  mov  sp, r3             \n"
      "  b    fault_report       \n"
      "  .ltorg                  \n");
}

static bool is_in_ram(uint32_t address) {
  for (size_t i = 0; i < sizeof memory_map_ram / sizeof memory_map_ram[0]; ++i) {
    if (address >= memory_map_ram[i].begin && address < memory_map_ram[i].end) {
      return true;
    }
  }
  return false;
}

static const char *access_name(uint32_t address) {
  uint32_t stack = (uint32_t)(uintptr_t)stack_base;
  if (address < stack && stack - address <= STACK_NEAR_BYTES) {
    return "stack overflow";
  }
  if (address - MEMORY_MAP_FLASH_BEGIN < MEMORY_MAP_FLASH_BYTES) {
    return "write to flash";
  }
  return "access outside the memory of " MEMORY_MAP_PART;
}

static const char *fault_name(uint32_t cfsr, uint32_t pc, uint32_t sp) {
  static const struct {
    uint32_t bit;
    const char *name;
  } others[] = {
      {1u << 3, "unstacking failed"},         {1u << 5, "stacking of FPU registers failed"},
      {1u << 8, "bus error on a fetch"},      {1u << 10, "imprecise bus error"},
      {1u << 11, "unstacking bus error"},     {1u << 13, "bus error while stacking FPU registers"},
      {1u << 16, "undefined instruction"},    {1u << 17, "jump to an address without the Thumb bit"},
      {1u << 18, "bad return from a handler"}, {1u << 19, "coprocessor or FPU not enabled"},
      {1u << 24, "unaligned access"},         {1u << 25, "division by zero"},
  };
  bool is_stack_gone = sp + EXCEPTION_FRAME_BYTES < (uint32_t)(uintptr_t)stack_base;
  if ((cfsr & CFSR_MMARVALID) != 0 && (cfsr & CFSR_DACCVIOL) != 0 && !is_stack_gone) {
    return access_name(SCB_MMFAR); /* even when there was no room to stack the frame of this exception */
  }
  if ((cfsr & (CFSR_MSTKERR | CFSR_STKERR)) != 0) {
    return "stack overflow";
  }
  if ((cfsr & CFSR_IACCVIOL) != 0) {
    return is_in_ram(pc) ? "execution from RAM" : "execution outside flash";
  }
  if ((cfsr & CFSR_DACCVIOL) != 0) {
    return "access to forbidden memory";
  }
  if ((cfsr & CFSR_PRECISERR) != 0) {
    return "bus error";
  }
  for (size_t i = 0; i < sizeof others / sizeof others[0]; ++i) {
    if ((cfsr & others[i].bit) != 0) {
      return others[i].name;
    }
  }
  return "unexpected exception";
}

_Noreturn void fault_report(uint32_t pc, uint32_t ipsr, uint32_t sp) {
  uint32_t cfsr = SCB_CFSR;
  print("\nfault: ");
  print(fault_name(cfsr, pc, sp));
  if ((cfsr & (CFSR_MMARVALID | CFSR_BFARVALID)) != 0) {
    print(", address ");
    print_hex((cfsr & CFSR_MMARVALID) != 0 ? SCB_MMFAR : SCB_BFAR);
  }
  print(", pc ");
  print_hex(pc);
  print(", exception ");
  print_decimal(ipsr);
  print(", CFSR ");
  print_hex(cfsr);
  print(", HFSR ");
  print_hex(SCB_HFSR);
  print("\n");
  board_exit(EXIT_FAULT);
}
