// SPDX-License-Identifier: Apache-2.0
// The rest of the module machine; included by extmod/modmachine.c.
#include "board.h"

#define MICROPY_PY_MACHINE_EXTRA_GLOBALS \
    { MP_ROM_QSTR(MP_QSTR_PWRON_RESET), MP_ROM_INT(BOARD_POWER_ON) }, \
    { MP_ROM_QSTR(MP_QSTR_HARD_RESET), MP_ROM_INT(BOARD_RESET) }, \
    { MP_ROM_QSTR(MP_QSTR_WDT_RESET), MP_ROM_INT(BOARD_WATCHDOG) }, \

static void mp_machine_idle(void) {
    __asm volatile ("wfi");
}

static void mp_machine_reset(void) {
    board_reset();
}

static mp_int_t mp_machine_reset_cause(void) {
    return board_reset_cause();
}
