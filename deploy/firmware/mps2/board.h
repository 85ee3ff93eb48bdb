// SPDX-License-Identifier: Apache-2.0
// MPS2 with a Cortex-M, as QEMU's machines mps2-an385, -an386 and -an500 model it.
// Registers: Arm DDI 0479 (CMSDK), Arm DAI 0385 (memory map of AN385).
#ifndef COLDLOOP_BOARD_H
#define COLDLOOP_BOARD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_HZ (25000000)
#define BOARD_UARTS (5)
#define BOARD_QUEUE (16384) // bytes received and not yet read, each UART; a power of two; the largest piece of an update

// Why the board started.
enum { BOARD_POWER_ON = 1, BOARD_RESET = 2, BOARD_WATCHDOG = 3 };

void board_init(void);
int board_reset_cause(void);
void board_reset(void) __attribute__((noreturn));

bool uart_open(int number, uint32_t baud);
void uart_close(int number);
size_t uart_any(int number);
size_t uart_read(int number, uint8_t *to, size_t size);
bool uart_arrived(int number, uint32_t *us); // when the first byte that waits came, if known
size_t uart_write(int number, const uint8_t *from, size_t size);

void watchdog_start(uint32_t ms);
void watchdog_feed(void);

// A file of the host as storage (Arm semihosting). Offsets and sizes in bytes; false: failed.
bool host_open(const char *name);
bool host_read(uint32_t at, void *to, size_t size);
bool host_write(uint32_t at, const void *from, size_t size);
uint32_t host_size(void);
void host_exit(int code) __attribute__((noreturn));
#endif
