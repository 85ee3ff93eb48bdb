// SPDX-License-Identifier: Apache-2.0
// machine.UART of this board; included by extmod/machine_uart.c. Numbers 1 to 4; 0 is the console.
// The model has no parity and no stop bits: both are taken and have no effect.
#include "py/smallint.h"
#include "py/mperrno.h"
#include "board.h"

// Beside MicroPython's own methods: `arrived()`, time.ticks_us() of the first byte that waits; None:
// nobody knows. A program that is busy reads late, and still knows when the bytes came.
#define MICROPY_PY_MACHINE_UART_CLASS_CONSTANTS \
    { MP_ROM_QSTR(MP_QSTR_arrived), MP_ROM_PTR(&machine_uart_arrived_obj) },

typedef struct _machine_uart_obj_t {
    mp_obj_base_t base;
    uint8_t number;
    uint32_t baud;
} machine_uart_obj_t;

static machine_uart_obj_t uarts[BOARD_UARTS];

static mp_obj_t machine_uart_arrived(mp_obj_t self_in) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    uint32_t us;
    if (!uart_arrived(self->number, &us)) {
        return mp_const_none;
    }
    return MP_OBJ_NEW_SMALL_INT(us & (MICROPY_PY_TIME_TICKS_PERIOD - 1));
}
static MP_DEFINE_CONST_FUN_OBJ_1(machine_uart_arrived_obj, machine_uart_arrived);

static void mp_machine_uart_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mp_printf(print, "UART(%u, baudrate=%u)", self->number, self->baud);
}

static void mp_machine_uart_init_helper(machine_uart_obj_t *self, size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    enum { BAUD, BITS, PARITY, STOP, TIMEOUT, TIMEOUT_CHAR, RXBUF };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_baudrate, MP_ARG_INT, {.u_int = 9600} },
        { MP_QSTR_bits, MP_ARG_INT, {.u_int = 8} },
        { MP_QSTR_parity, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_NONE} },
        { MP_QSTR_stop, MP_ARG_INT, {.u_int = 1} },
        { MP_QSTR_timeout, MP_ARG_INT, {.u_int = 0} },
        { MP_QSTR_timeout_char, MP_ARG_INT, {.u_int = 0} },
        { MP_QSTR_rxbuf, MP_ARG_INT, {.u_int = BOARD_QUEUE} },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args, pos_args, kw_args, MP_ARRAY_SIZE(allowed), allowed, args);
    self->baud = args[BAUD].u_int;
    if (args[BITS].u_int != 8 || !uart_open(self->number, self->baud)) {
        mp_raise_ValueError(MP_ERROR_TEXT("no such baud rate or frame"));
    }
}

static mp_obj_t mp_machine_uart_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, MP_OBJ_FUN_ARGS_MAX, true);
    mp_int_t number = mp_obj_get_int(args[0]);
    if (number < 1 || number >= BOARD_UARTS) {
        mp_raise_ValueError(MP_ERROR_TEXT("no such UART"));
    }
    machine_uart_obj_t *self = &uarts[number];
    self->base.type = type;
    self->number = number;
    mp_map_t kw_args;
    mp_map_init_fixed_table(&kw_args, n_kw, args + n_args);
    mp_machine_uart_init_helper(self, n_args - 1, args + 1, &kw_args);
    return MP_OBJ_FROM_PTR(self);
}

static void mp_machine_uart_deinit(machine_uart_obj_t *self) {
    uart_close(self->number);
}

static mp_int_t mp_machine_uart_any(machine_uart_obj_t *self) {
    return uart_any(self->number);
}

static bool mp_machine_uart_txdone(machine_uart_obj_t *self) {
    return true;
}

static mp_uint_t mp_machine_uart_read(mp_obj_t self_in, void *buf, mp_uint_t size, int *error) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    size_t count = uart_read(self->number, buf, size);
    if (count == 0 && size != 0) {
        *error = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return count;
}

static mp_uint_t mp_machine_uart_write(mp_obj_t self_in, const void *buf, mp_uint_t size, int *error) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    size_t count = uart_write(self->number, buf, size);
    if (count == 0 && size != 0) {
        *error = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return count;
}

static mp_uint_t mp_machine_uart_ioctl(mp_obj_t self_in, mp_uint_t request, uintptr_t arg, int *error) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (request == MP_STREAM_POLL) {
        mp_uint_t ready = arg & MP_STREAM_POLL_WR;
        if ((arg & MP_STREAM_POLL_RD) && uart_any(self->number)) {
            ready |= MP_STREAM_POLL_RD;
        }
        return ready;
    }
    if (request == MP_STREAM_FLUSH) {
        return 0;
    }
    *error = MP_EINVAL;
    return MP_STREAM_ERROR;
}
