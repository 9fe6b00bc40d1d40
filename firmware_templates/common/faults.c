#include "faults.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "console.h"
#include "memory_map.h"

#define SCB_CPUID (*(volatile uint32_t *)0xE000ED00u)
#define SCB_CCR (*(volatile uint32_t *)0xE000ED14u)
#define SCB_SHCSR (*(volatile uint32_t *)0xE000ED24u)
#define SCB_CFSR (*(volatile uint32_t *)0xE000ED28u)
#define SCB_HFSR (*(volatile uint32_t *)0xE000ED2Cu)
#define SCB_MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define SCB_BFAR (*(volatile uint32_t *)0xE000ED38u)
#define SCB_SFSR (*(volatile uint32_t *)0xE000EDE4u)

#define CPUID_ARCHITECTURE(cpuid) ((cpuid) >> 16 & 0xFu)
#define CPUID_MAIN_EXTENSION 0xFu
#if __ARM_ARCH == 6
#define CCR_TRAPS (1u << 3) /* unaligned accesses, as the core does that this code is for */
#else
#define CCR_TRAPS (1u << 4) /* division by zero */
#endif
#define SHCSR_CONFIGURABLE_FAULTS (15u << 16) /* memory, bus, usage; secure, a reserved bit before ARMv8-M */
#define CFSR_IACCVIOL (1u << 0)
#define CFSR_DACCVIOL (1u << 1)
#define CFSR_MSTKERR (1u << 4)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_PRECISERR (1u << 9)
#define CFSR_STKERR (1u << 12)
#define CFSR_BFARVALID (1u << 15)
#define CFSR_STKOF (1u << 20)

#define EXCEPTION_FRAME_BYTES 108u /* 26 words with the FPU's, and the alignment */
#define STACK_NEAR_BYTES 0x10000u /* an access this close below the stack is its overflow */

extern uint32_t stack_base[];
/* `used`: called from assembly only, which link-time optimization does not see. */
__attribute__((used)) _Noreturn void fault_report(uint32_t pc, uint32_t ipsr, uint32_t sp);

/* An ARMv6-M core has HardFault alone, and no register that says why; but its code may run on a core that has them. */
static bool has_fault_registers(void) {
#if __ARM_ARCH == 6
  return CPUID_ARCHITECTURE(SCB_CPUID) == CPUID_MAIN_EXTENSION;
#else
  return true;
#endif
}

void faults_enable(void) {
  if (has_fault_registers()) {
    SCB_SHCSR |= SHCSR_CONFIGURABLE_FAULTS;
    SCB_CCR |= CCR_TRAPS;
  }
}

/* Fetch the pc from the exception frame, unless stacking it failed; then start over at the top of the stack. */
__attribute__((naked)) void fault_entry(void) {
  __asm volatile(
      "  .syntax unified         \n"
      "  mrs  r2, msp            \n"
#if __ARM_ARCH == 6
      "  ldr  r0, =0xE000ED00    \n" /* CPUID, whose architecture is 12 without CFSR and 15 with it */
      "  ldr  r0, [r0]           \n"
      "  lsls r0, r0, #14        \n"
      "  bpl  2f                 \n"
#endif
      "  movs r0, #0             \n"
      "  ldr  r1, =0xE000ED28    \n" /* CFSR */
      "  ldr  r1, [r1]           \n"
      "  ldr  r3, =0x00101010    \n" /* STKOF, STKERR, MSTKERR */
      "  tst  r1, r3             \n"
      "  bne  1f                 \n"
      "2:                        \n"
      "  ldr  r0, [r2, #24]      \n"
      "1:                        \n"
      "  mrs  r1, ipsr           \n"
      "  ldr  r3, =stack_top     \n"
      "  mov  sp, r3             \n"
      "  ldr  r3, =fault_report  \n"
      "  bx   r3                 \n"
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

static const char *where_pc_is(uint32_t pc) { return is_in_ram(pc) ? "execution from RAM" : "execution outside flash"; }

/* What the frame alone tells. */
static const char *hard_fault_name(uint32_t pc, uint32_t sp) {
  if (sp < (uint32_t)(uintptr_t)stack_base) {
    return "stack overflow";
  }
  const int is_in_flash = pc - MEMORY_MAP_FLASH_BEGIN < MEMORY_MAP_FLASH_BYTES;
  return is_in_flash ? "hard fault, of which this core says no more" : where_pc_is(pc);
}

static const char *fault_name(uint32_t cfsr, uint32_t pc, uint32_t sp) {
  if (!has_fault_registers()) {
    return hard_fault_name(pc, sp);
  }
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
  if ((cfsr & (CFSR_MSTKERR | CFSR_STKERR | CFSR_STKOF)) != 0) {
    return "stack overflow";
  }
  if ((cfsr & CFSR_IACCVIOL) != 0) {
    return where_pc_is(pc);
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
#if __ARM_ARCH >= 8
  if (SCB_SFSR != 0) {
    return "secure fault";
  }
#endif
  return "unexpected exception";
}

static void print_named(const char *name, uint32_t value) {
  print(name);
  print_hex(value);
}

_Noreturn void fault_report(uint32_t pc, uint32_t ipsr, uint32_t sp) {
  const uint32_t cfsr = has_fault_registers() ? SCB_CFSR : 0;
  print("\nfault: ");
  print(fault_name(cfsr, pc, sp));
  if ((cfsr & (CFSR_MMARVALID | CFSR_BFARVALID)) != 0) {
    print_named(", address ", (cfsr & CFSR_MMARVALID) != 0 ? SCB_MMFAR : SCB_BFAR);
  }
  print_named(", pc ", pc);
  print(", exception ");
  print_decimal(ipsr);
  if (has_fault_registers()) {
    print_named(", CFSR ", cfsr);
    print_named(", HFSR ", SCB_HFSR);
  }
#if __ARM_ARCH >= 8
  print_named(", SFSR ", SCB_SFSR);
#endif
  print("\n");
  board_exit(EXIT_FAULT);
}
