// SPDX-License-Identifier: Apache-2.0
// The board as MicroPython's core sees it. Time and characters are in board.c.
#include <stddef.h>
#include "shared/runtime/interrupt_char.h"
#include "board.h"
