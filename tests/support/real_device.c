// SPDX-License-Identifier: Apache-2.0
/* A Modbus device that shares no code with the bench: libmodbus' own server, for tests.
 *
 * Usage: real_device rtu PATH UNIT | real_device tcp PORT
 * 16 holding registers: register i holds 1000 + i at the start. It prints one line for every
 * request that was for it ("request" and its bytes in hex), so that a test can compare bytes.
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGISTERS 16

static int serve(modbus_t *context, modbus_mapping_t *map)
{
    uint8_t query[MODBUS_MAX_ADU_LENGTH];
    for (;;) {
        int length = modbus_receive(context, query);
        if (length == -1 && errno != EMBBADCRC && errno != ETIMEDOUT)
            return 1;
        if (length <= 0)
            continue;
        printf("request ");
        for (int i = 0; i < length; i++)
            printf("%02x", query[i]);
        printf("\n");
        fflush(stdout);
        modbus_reply(context, query, length, map);
    }
}

int main(int count, char **arguments)
{
    int rtu = count == 4 && strcmp(arguments[1], "rtu") == 0;
    int tcp = count == 3 && strcmp(arguments[1], "tcp") == 0;
    if (!rtu && !tcp)
        return 2;
    modbus_t *context = rtu ? modbus_new_rtu(arguments[2], 19200, 'N', 8, 1)
                            : modbus_new_tcp("127.0.0.1", atoi(arguments[2]));
    modbus_mapping_t *map = modbus_mapping_new(0, 0, REGISTERS, 0);
    if (context == NULL || map == NULL)
        return 1;
    for (int i = 0; i < REGISTERS; i++)
        map->tab_registers[i] = 1000 + i;
    if (rtu) {
        modbus_set_slave(context, atoi(arguments[3]));
        if (modbus_connect(context) == -1)
            return 1;
        printf("ready\n");
        fflush(stdout);
        return serve(context, map);
    }
    int listener = modbus_tcp_listen(context, 4);
    if (listener == -1)
        return 1;
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(context, &listener) == -1)
            return 1;
        serve(context, map);
        modbus_close(context);
    }
}
