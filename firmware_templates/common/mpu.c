#include "mpu.h"

#include <stddef.h>
#include <stdint.h>

#include "memory_map.h"

/* PMSAv7 and PMSAv8 have the same registers, but for what a region's second one means: RASR or RLAR. */
#define MPU_TYPE (*(volatile uint32_t *)0xE000ED90u)
#define MPU_CTRL (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RNR (*(volatile uint32_t *)0xE000ED98u)
#define MPU_RBAR (*(volatile uint32_t *)0xE000ED9Cu)
#define MPU_RASR_RLAR (*(volatile uint32_t *)0xE000EDA0u)
#define MPU_MAIR0 (*(volatile uint32_t *)0xE000EDC0u)
#define MPU_NUM_REGIONS 8u /* the fewest that a chip with an MPU has: more of them are off after reset */
#define MPU_CTRL_ENABLE 1u /* without PRIVDEFENA: no default map, not even for privileged code */
/* The attributes that a region's index chooses: memory written through, memory written back, a device. */
#define MPU_MAIR0_ATTRIBUTES 0x0004FFAAu

_Static_assert(sizeof memory_map_mpu / sizeof memory_map_mpu[0] <= MPU_NUM_REGIONS, "there are MPUs of 8 regions");

/* Does nothing on a chip that has none. */
void mpu_enable(void) {
  if (MPU_TYPE == 0) {
    return;
  }
#if __ARM_ARCH >= 8
  MPU_MAIR0 = MPU_MAIR0_ATTRIBUTES;
#endif
  for (uint32_t i = 0; i < MPU_NUM_REGIONS; ++i) {
    MPU_RNR = i;
    MPU_RASR_RLAR = 0;
    if (i < sizeof memory_map_mpu / sizeof memory_map_mpu[0]) {
      MPU_RBAR = memory_map_mpu[i].rbar;
      MPU_RASR_RLAR = memory_map_mpu[i].rasr_rlar;
    }
  }
  MPU_CTRL = MPU_CTRL_ENABLE;
  __asm volatile("dsb\n isb" ::: "memory");
}
