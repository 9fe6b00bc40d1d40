/* STM32F405 at its real addresses: USART1 on PA9, 115200 baud from the 16 MHz internal oscillator. QEMU's netduinoplus2 runs it. */
#include "board.h"

#include "semihosting.h"

#define RCC_AHB1ENR (*(volatile uint32_t *)0x40023830u)
#define RCC_APB2ENR (*(volatile uint32_t *)0x40023844u)
#define GPIOA_MODER (*(volatile uint32_t *)0x40020000u)
#define GPIOA_AFRH (*(volatile uint32_t *)0x40020024u)
#define USART1_SR (*(volatile uint32_t *)0x40011000u)
#define USART1_DR (*(volatile uint32_t *)0x40011004u)
#define USART1_BRR (*(volatile uint32_t *)0x40011008u)
#define USART1_CR1 (*(volatile uint32_t *)0x4001100Cu)

#define PA9_BITS 18u
#define PA9_AF7 (7u << 4)
#define SR_TC (1u << 6)
#define SR_TXE (1u << 7)
#define CR1_UE_TE ((1u << 13) | (1u << 3))

void board_init(void) {
  RCC_AHB1ENR |= 1u << 0;
  RCC_APB2ENR |= 1u << 4;
  (void)RCC_APB2ENR; /* the clock needs two cycles */
  GPIOA_MODER = (GPIOA_MODER & ~(3u << PA9_BITS)) | (2u << PA9_BITS);
  GPIOA_AFRH = (GPIOA_AFRH & ~(15u << 4)) | PA9_AF7;
  USART1_BRR = (16000000u + 115200u / 2u) / 115200u;
  USART1_CR1 = CR1_UE_TE;
}

bool board_is_counting(void) { return false; }

uint32_t board_ticks(void) { return 0; }

uint32_t board_instructions(uint32_t since_ticks) { return since_ticks; }

void board_write(const char *text) {
  for (; *text != '\0'; ++text) {
    while ((USART1_SR & SR_TXE) == 0) {
    }
    USART1_DR = (uint8_t)*text;
  }
}

/* Built with SEMIHOSTING=0 for a real board, where the exit instruction would be a fault without a debugger. */
_Noreturn void board_exit(int code) {
  while ((USART1_SR & SR_TC) == 0) {
  }
#if FLYNET_TINY_SEMIHOSTING
  const uint32_t block[2] = {SEMIHOSTING_APPLICATION_EXIT, (uint32_t)code};
  semihosting(SYS_EXIT_EXTENDED, block);
#else
  (void)code;
#endif
  for (;;) {
  }
}
