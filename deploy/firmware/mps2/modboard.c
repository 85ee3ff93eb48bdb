// SPDX-License-Identifier: Apache-2.0
// Module board: memory that holds an application, and storage in the host's file.
//
//     board.image(address, size) -> bytes-like, read only    what lies in the code memory
//     board.open(name) -> size, or raises OSError             the host's file
//     board.read(offset, buffer), board.write(offset, data)   raise OSError
//     board.load(address, offset, size)                       the file into the code memory
//     board.exit(code)                                        end the emulator
#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/runtime.h"
#include "board.h"

static mp_obj_t board_image(mp_obj_t address, mp_obj_t size) {
    return mp_obj_new_memoryview('B', mp_obj_get_int(size), (void *)mp_obj_get_int_truncated(address));
}
static MP_DEFINE_CONST_FUN_OBJ_2(board_image_obj, board_image);

static mp_obj_t board_open(mp_obj_t name) {
    if (!host_open(mp_obj_str_get_str(name))) {
        mp_raise_OSError(MP_ENODEV);
    }
    return mp_obj_new_int_from_uint(host_size());
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_open_obj, board_open);

static mp_obj_t board_read(mp_obj_t at, mp_obj_t to) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(to, &buffer, MP_BUFFER_WRITE);
    if (!host_read(mp_obj_get_int(at), buffer.buf, buffer.len)) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(board_read_obj, board_read);

static mp_obj_t board_write(mp_obj_t at, mp_obj_t from) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(from, &buffer, MP_BUFFER_READ);
    if (!host_write(mp_obj_get_int(at), buffer.buf, buffer.len)) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(board_write_obj, board_write);

static mp_obj_t board_load(mp_obj_t address, mp_obj_t at, mp_obj_t size) {
    if (!host_read(mp_obj_get_int(at), (void *)mp_obj_get_int_truncated(address), mp_obj_get_int(size))) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(board_load_obj, board_load);

static mp_obj_t board_exit(mp_obj_t code) {
    host_exit(mp_obj_get_int(code));
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_exit_obj, board_exit);

static const mp_rom_map_elem_t board_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_board) },
    { MP_ROM_QSTR(MP_QSTR_image), MP_ROM_PTR(&board_image_obj) },
    { MP_ROM_QSTR(MP_QSTR_open), MP_ROM_PTR(&board_open_obj) },
    { MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&board_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&board_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_load), MP_ROM_PTR(&board_load_obj) },
    { MP_ROM_QSTR(MP_QSTR_exit), MP_ROM_PTR(&board_exit_obj) },
};
static MP_DEFINE_CONST_DICT(board_globals, board_table);

const mp_obj_module_t board_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&board_globals,
};
MP_REGISTER_MODULE(MP_QSTR_board, board_module);
