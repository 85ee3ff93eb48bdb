// SPDX-License-Identifier: Apache-2.0
// MicroPython's life on this board: heap, the frozen start-up, then a prompt on UART 0.
#include "py/builtin.h"
#include "py/compile.h"
#include "py/cstack.h"
#include "py/gc.h"
#include "py/mperrno.h"
#include "py/runtime.h"
#include "shared/runtime/gchelper.h"
#include "shared/runtime/pyexec.h"
#include "board.h"

extern uint32_t _estack;
static uint32_t heap[MICROPY_HEAP_SIZE / sizeof(uint32_t)];

int main(void) {
    board_init();
    mp_cstack_init_with_top(&_estack, 32 * 1024);
    for (;;) {
        gc_init(heap, (char *)heap + sizeof(heap));
        mp_init();
        pyexec_frozen_module("_start.py", false);
        for (;;) {
            int ended = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl();
            if (ended) {
                break;
            }
        }
        mp_printf(&mp_plat_print, "MPY: soft reboot\n");
        gc_sweep_all();
        mp_deinit();
    }
}

void gc_collect(void) {
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
}

void nlr_jump_fail(void *value) {
    (void)value;
    mp_printf(&mp_plat_print, "uncaught exception in the core\n");
    host_exit(4);
}
