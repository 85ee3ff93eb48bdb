# SPDX-License-Identifier: Apache-2.0
# Module `_overlay` of the firmware of RP2 boards (USER_C_MODULES).
add_library(usermod_overlay INTERFACE)
target_sources(usermod_overlay INTERFACE ${CMAKE_CURRENT_LIST_DIR}/reader.c)
target_link_libraries(usermod INTERFACE usermod_overlay)
