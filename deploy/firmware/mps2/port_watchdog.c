// SPDX-License-Identifier: Apache-2.0
// machine.WDT of this board; included by extmod/machine_wdt.c. Once started it cannot be stopped.
#include "board.h"

typedef struct _machine_wdt_obj_t {
    mp_obj_base_t base;
} machine_wdt_obj_t;

static const machine_wdt_obj_t watchdog = {{&machine_wdt_type}};

static machine_wdt_obj_t *mp_machine_wdt_make_new_instance(mp_int_t id, mp_int_t timeout_ms) {
    if (id != 0 || timeout_ms < 100 || timeout_ms > 300000) {
        mp_raise_ValueError(MP_ERROR_TEXT("no such watchdog"));
    }
    watchdog_start(timeout_ms);
    return (machine_wdt_obj_t *)&watchdog;
}

static void mp_machine_wdt_feed(machine_wdt_obj_t *self) {
    (void)self;
    watchdog_feed();
}
