// SPDX-License-Identifier: Apache-2.0
// Start-up, time, UARTs, watchdog and the host's file of the MPS2 board. No MicroPython here but
// the few functions that its core asks of every board.
#include <string.h>
#include "py/mphal.h"
#include "py/mpstate.h"
#include "py/stream.h"
#include "py/runtime.h"
#include "board.h"

#define REG(address) (*(volatile uint32_t *)(address))

// ---- start-up

extern uint32_t _etext, _sdata, _edata, _sbss, _ebss, _estack;
int main(void);

static uint32_t boots __attribute__((section(".noinit")));
static int cause;
#define BOOTED (0xC01D1009u) // running: a start that finds it was not asked for
#define ASKED (0xC01DA5EDu)

void Reset_Handler(void) {
    #ifdef __ARM_FP
    REG(0xE000ED88) |= 0xF << 20; // CPACR: the floating-point unit is off after a reset
    __asm volatile ("dsb\n isb");
    #endif
    memcpy(&_sdata, &_etext, (char *)&_edata - (char *)&_sdata);
    memset(&_sbss, 0, (char *)&_ebss - (char *)&_sbss);
    main();
    host_exit(0);
}

static void say(const char *text) {
    while (*text) {
        uart_write(0, (const uint8_t *)text++, 1);
    }
}

void Fault_Handler(void) {
    say("\r\nfault: the board stops\r\n");
    host_exit(3);
}

void NMI_Handler(void) {
    // The watchdog's first warning. Nothing is fed: the next time it resets the board.
}

static uint64_t counted(void);

void SysTick_Handler(void) {
    counted(); // the counter must be looked at before it has gone round; and a wait ends
}

static void uart_received(int number);
static void Uart0_Handler(void) { uart_received(0); }
static void Uart1_Handler(void) { uart_received(1); }
static void Uart2_Handler(void) { uart_received(2); }
static void Uart3_Handler(void) { uart_received(3); }
static void Uart4_Handler(void) { uart_received(4); }

__attribute__((section(".vectors"), used)) static void *const vectors[16 + 32] = {
    &_estack, Reset_Handler, NMI_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
    [11] = Fault_Handler, [14] = Fault_Handler, [15] = SysTick_Handler,
    [16 + 0] = Uart0_Handler, [16 + 2] = Uart1_Handler, [16 + 4] = Uart2_Handler,
    [16 + 18] = Uart3_Handler, [16 + 20] = Uart4_Handler,
};

#define SYST_CSR REG(0xE000E010)
#define SYST_RVR REG(0xE000E014)
#define SYST_CVR REG(0xE000E018)
#define AIRCR REG(0xE000ED0C)
#define NVIC_ISER REG(0xE000E100)

// ---- time

// A free-running counter rather than counted interrupts: an emulator (or a long write to flash) may
// miss those. CMSDK dual timer, 25 MHz, 32 bits: once round in 171 s.
#define TIMER(offset) REG(0x40002000 + (offset))
static uint32_t seen;
static uint64_t cycles;

static uint64_t counted(void) {
    uint32_t masked;
    __asm volatile ("mrs %0, primask\n cpsid i" : "=r" (masked));
    uint32_t now = ~TIMER(4); // it counts down
    cycles += now - seen;
    seen = now;
    uint64_t whole = cycles;
    __asm volatile ("msr primask, %0" :: "r" (masked));
    return whole;
}

void board_init(void) {
    cause = boots == BOOTED ? BOARD_WATCHDOG : boots == ASKED ? BOARD_RESET : BOARD_POWER_ON;
    boots = BOOTED;
    TIMER(0) = 0xFFFFFFFF;
    TIMER(8) = 0x82; // on, free running, 32 bits
    seen = ~TIMER(4);
    SYST_RVR = BOARD_HZ / 1000 - 1;
    SYST_CVR = 0;
    SYST_CSR = 7; // the core's clock, interrupt, run
    uart_open(0, 115200);
}

int board_reset_cause(void) {
    return cause;
}

void board_reset(void) {
    boots = ASKED;
    AIRCR = 0x05FA0004; // SYSRESETREQ
    for (;;) {
    }
}

mp_uint_t mp_hal_ticks_ms(void) {
    return counted() / (BOARD_HZ / 1000);
}

mp_uint_t mp_hal_ticks_us(void) {
    return counted() / (BOARD_HZ / 1000000);
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return counted();
}

uint64_t mp_hal_time_ns(void) {
    return counted() * (1000000000u / BOARD_HZ); // no clock is kept while the power is off
}

void mp_hal_delay_us(mp_uint_t us) {
    mp_uint_t begin = mp_hal_ticks_us();
    while (mp_hal_ticks_us() - begin < us) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    mp_uint_t begin = mp_hal_ticks_ms();
    while (mp_hal_ticks_ms() - begin < ms) {
        mp_event_wait_ms(1);
    }
}

// ---- UARTs

typedef struct {
    uint8_t queue[BOARD_QUEUE];
    volatile uint32_t in, out;
    volatile uint32_t first; // microseconds: arrival of the first byte that waits
    volatile bool timed;
} uart_queue_t;

static uart_queue_t queues[BOARD_UARTS];
static const uint32_t bases[BOARD_UARTS] = {0x40004000, 0x40005000, 0x40006000, 0x40007000, 0x40009000};
static const uint8_t lines[BOARD_UARTS] = {0, 2, 4, 18, 20};

enum { DATA = 0x00, STATE = 0x04, CTRL = 0x08, CLEAR = 0x0C, DIVIDER = 0x10 };

bool uart_open(int number, uint32_t baud) {
    if (number < 0 || number >= BOARD_UARTS || baud == 0 || BOARD_HZ / baud < 16) {
        return false;
    }
    REG(bases[number] + DIVIDER) = BOARD_HZ / baud;
    REG(bases[number] + CTRL) = 0x0B; // send, receive, interrupt for what is received
    NVIC_ISER = 1u << lines[number];
    return true;
}

void uart_close(int number) {
    REG(bases[number] + CTRL) = 0;
    queues[number].out = queues[number].in;
}

static void uart_received(int number) {
    uart_queue_t *queue = &queues[number];
    REG(bases[number] + CLEAR) = 2;
    while (REG(bases[number] + STATE) & 2) {
        uint8_t byte = REG(bases[number] + DATA);
        #if MICROPY_KBD_EXCEPTION
        if (number == 0 && byte == mp_interrupt_char) {
            mp_sched_keyboard_interrupt();
            continue;
        }
        #endif
        if (queue->in == queue->out) {
            queue->first = mp_hal_ticks_us();
            queue->timed = true;
        }
        if (queue->in - queue->out < BOARD_QUEUE) {
            queue->queue[queue->in++ % BOARD_QUEUE] = byte;
        }
    }
}

size_t uart_any(int number) {
    return queues[number].in - queues[number].out;
}

size_t uart_read(int number, uint8_t *to, size_t size) {
    uart_queue_t *queue = &queues[number];
    size_t count = 0;
    while (count < size && queue->out != queue->in) {
        to[count++] = queue->queue[queue->out % BOARD_QUEUE];
        queue->out += 1;
    }
    if (queue->out != queue->in) {
        queue->timed = false; // of what is left
    }
    return count;
}

bool uart_arrived(int number, uint32_t *us) {
    *us = queues[number].first;
    return uart_any(number) && queues[number].timed;
}

size_t uart_write(int number, const uint8_t *from, size_t size) {
    size_t count = 0;
    while (count < size && !(REG(bases[number] + STATE) & 1)) {
        REG(bases[number] + DATA) = from[count++];
    }
    return count;
}

int mp_hal_stdin_rx_chr(void) {
    uint8_t byte;
    while (!uart_read(0, &byte, 1)) {
        mp_event_wait_indefinite();
    }
    return byte;
}

uintptr_t mp_hal_stdio_poll(uintptr_t flags) {
    uintptr_t ready = flags & MP_STREAM_POLL_WR;
    if ((flags & MP_STREAM_POLL_RD) && uart_any(0)) {
        ready |= MP_STREAM_POLL_RD;
    }
    return ready;
}

mp_uint_t mp_hal_stdout_tx_strn(const char *text, size_t size) {
    size_t done = 0;
    while (done < size) {
        done += uart_write(0, (const uint8_t *)text + done, size - done);
    }
    return size;
}

// ---- watchdog

#define WATCHDOG(offset) REG(0x40008000 + (offset))

void watchdog_start(uint32_t ms) {
    WATCHDOG(0xC00) = 0x1ACCE551; // unlock
    // It warns when the count is over and resets when it is over again: half each.
    WATCHDOG(0x00) = BOARD_HZ / 2000 * ms;
    WATCHDOG(0x08) = 3;
    WATCHDOG(0xC00) = 1;
}

void watchdog_feed(void) {
    WATCHDOG(0xC00) = 0x1ACCE551;
    WATCHDOG(0x0C) = 1;
    WATCHDOG(0xC00) = 1;
}

// ---- the host's file: Arm semihosting, IHI 0058

static int host_handle = -1;

static int host_call(int operation, const void *words) {
    register int r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = words;
    __asm volatile ("bkpt 0xAB" : "+r" (r0) : "r" (r1) : "memory");
    return r0;
}

bool host_open(const char *name) {
    for (int mode = 3; host_handle < 0 && mode <= 7; mode += 4) { // r+b, then w+b
        uint32_t words[3] = {(uint32_t)name, mode, strlen(name)};
        host_handle = host_call(0x01, words);
    }
    return host_handle >= 0;
}

static bool host_seek(uint32_t at) {
    uint32_t words[2] = {host_handle, at};
    return host_handle >= 0 && host_call(0x0A, words) == 0;
}

bool host_read(uint32_t at, void *to, size_t size) {
    uint32_t words[3] = {host_handle, (uint32_t)to, size};
    return host_seek(at) && host_call(0x06, words) == 0;
}

bool host_write(uint32_t at, const void *from, size_t size) {
    uint32_t words[3] = {host_handle, (uint32_t)from, size};
    return host_seek(at) && host_call(0x05, words) == 0;
}

uint32_t host_size(void) {
    uint32_t words[1] = {host_handle};
    int size = host_handle < 0 ? 0 : host_call(0x0C, words);
    return size < 0 ? 0 : size;
}

void host_exit(int code) {
    uint32_t words[2] = {0x20026, code}; // ADP_Stopped_ApplicationExit
    host_call(0x20, words);
    for (;;) {
    }
}
