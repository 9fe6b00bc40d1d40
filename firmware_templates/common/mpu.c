#include "mpu.h"

#include <stddef.h>
#include <stdint.h>

#include "memory_map.h"

/* PMSAv7 */
#define MPU_CTRL (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RNR (*(volatile uint32_t *)0xE000ED98u)
#define MPU_RBAR (*(volatile uint32_t *)0xE000ED9Cu)
#define MPU_RASR (*(volatile uint32_t *)0xE000EDA0u)
#define MPU_NUM_REGIONS 8u
#define MPU_CTRL_ENABLE 1u /* without PRIVDEFENA: no default map, not even for privileged code */

_Static_assert(sizeof memory_map_mpu / sizeof memory_map_mpu[0] <= MPU_NUM_REGIONS, "the MPU has 8 regions");

void mpu_enable(void) {
  for (uint32_t i = 0; i < MPU_NUM_REGIONS; ++i) {
    MPU_RNR = i;
    MPU_RASR = 0;
    if (i < sizeof memory_map_mpu / sizeof memory_map_mpu[0]) {
      MPU_RBAR = memory_map_mpu[i].rbar;
      MPU_RASR = memory_map_mpu[i].rasr;
    }
  }
  MPU_CTRL = MPU_CTRL_ENABLE;
  __asm volatile("dsb\n isb" ::: "memory");
}
