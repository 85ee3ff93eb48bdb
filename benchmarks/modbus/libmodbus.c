// SPDX-License-Identifier: Apache-2.0
/* libmodbus client of benchmarks/modbus/peers.py: CPU time of transactions, results for faults.

   libmodbus tcp|rtu PORT cpu [US]       for each number N on its input: makes N transactions, and
                                         prints their CPU time, user and system, in nanoseconds;
                                         with US it waits so long before each request, as t3.5
                                         demands
   libmodbus tcp|rtu PORT faults A B C   reads 20 registers from each address of unit 5;
                                         a line each: the registers, or "error" */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>

static long long cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * 1000000000LL + used.tv_nsec;
}

int main(int argc, char **argv)
{
    int tcp = strcmp(argv[1], "tcp") == 0;
    modbus_t *bus = tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2]))
                        : modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
    uint16_t words[125];
    volatile double sum = 0;
    modbus_set_slave(bus, 5);
    modbus_set_response_timeout(bus, 0, 200000);
    if (modbus_connect(bus)) {
        perror("modbus_connect");
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    if (strcmp(argv[3], "cpu") == 0) {
        int silence = argc > 4 ? atoi(argv[4]) : 0;
        int count, i = 0;
        while (scanf("%d", &count) == 1) {
            long long before = cpu_ns();
            for (int end = i + count; i < end; i++) {
                if (silence) {
                    struct timeval wait = {0, silence};
                    select(0, NULL, NULL, NULL, &wait);
                }
                modbus_set_slave(bus, 1 + i % 10);
                if (modbus_read_registers(bus, 100, 20, words) != 20)
                    return 1;
                for (int n = 0; n < 20; n++)
                    sum += (int16_t) words[n] * 0.1;
            }
            printf("%lld\n", cpu_ns() - before);
            fflush(stdout);
        }
        return 0;
    }
    for (int i = 4; i < argc; i++) {
        if (modbus_read_registers(bus, atoi(argv[i]), 20, words) != 20) {
            printf("error\n");
            continue;
        }
        for (int n = 0; n < 20; n++)
            printf("%d ", words[n]);
        printf("\n");
    }
    return 0;
}
