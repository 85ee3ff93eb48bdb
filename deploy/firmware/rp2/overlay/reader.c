// SPDX-License-Identifier: Apache-2.0
// Reads of LittleFS under a journal: the flash, and above it the steps that are not done yet.
// And the bytes of memory that were allocated, which MicroPython counts and does not tell.
//
//     _overlay.Reader(flash, steps)    a callable with the arguments of `flash.readblocks`
//     _overlay.allocated()             bytes since the last garbage collection; takes no memory
//
// `steps` is the list of FlashJournal (deploy/firmware/supervisor/_journal.py), whose method
// `readblocks` does the same in Python. To compact a folder, LittleFS reads up to 2,400 times. In
// Python that takes a second on an RP2040.
#include <string.h>

#include "py/objlist.h"
#include "py/runtime.h"

typedef struct {
    mp_obj_base_t base;
    mp_obj_t read[2];
    mp_obj_t steps;
} reader_obj_t;

static mp_obj_t reader_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw,
    const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    reader_obj_t *self = mp_obj_malloc(reader_obj_t, type);
    mp_load_method(args[0], MP_QSTR_readblocks, self->read);
    self->steps = args[1];
    return MP_OBJ_FROM_PTR(self);
}

// Put the part of a step, (block, offset, data), that is in a buffer into it. No data: an erase.
static void apply(const mp_obj_t *step, mp_buffer_info_t *buffer, mp_int_t begin) {
    if (step[2] == mp_const_none) {
        memset(buffer->buf, 0xff, buffer->len);
        return;
    }
    mp_buffer_info_t data;
    mp_get_buffer_raise(step[2], &data, MP_BUFFER_READ);
    mp_int_t at = mp_obj_get_int(step[1]);
    mp_int_t first = MAX(at, begin);
    mp_int_t last = MIN(at + (mp_int_t)data.len, begin + (mp_int_t)buffer->len);
    if (first < last) {
        memcpy((char *)buffer->buf + (first - begin), (char *)data.buf + (first - at),
            last - first);
    }
}

// Arguments: block, buffer, offset.
static mp_obj_t reader_call(mp_obj_t self_in, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 3, 3, false);
    reader_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mp_obj_t call[5] = {self->read[0], self->read[1], args[0], args[1], args[2]};
    mp_call_method_n_kw(3, 0, call);
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(args[1], &buffer, MP_BUFFER_WRITE);
    size_t count, length;
    mp_obj_t *steps, *step;
    mp_obj_list_get(self->steps, &count, &steps);
    for (size_t i = 0; i < count; i++) {
        mp_obj_get_array(steps[i], &length, &step);
        if (length == 3 && step[0] == args[0]) { // small integers
            apply(step, &buffer, mp_obj_get_int(args[2]));
        }
    }
    return mp_const_none;
}

static MP_DEFINE_CONST_OBJ_TYPE(reader_type, MP_QSTR_Reader, MP_TYPE_FLAG_NONE,
    make_new, reader_make_new, call, reader_call);

static mp_obj_t allocated(void) {
    return MP_OBJ_NEW_SMALL_INT(MP_STATE_MEM(gc_alloc_amount) * MICROPY_BYTES_PER_GC_BLOCK);
}
static MP_DEFINE_CONST_FUN_OBJ_0(allocated_obj, allocated);

static const mp_rom_map_elem_t globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__overlay)},
    {MP_ROM_QSTR(MP_QSTR_Reader), MP_ROM_PTR(&reader_type)},
    {MP_ROM_QSTR(MP_QSTR_allocated), MP_ROM_PTR(&allocated_obj)},
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t overlay_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&globals,
};

MP_REGISTER_MODULE(MP_QSTR__overlay, overlay_module);
