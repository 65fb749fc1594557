/* What a test says: CHECK(condition), and EXPECT(status, call). The first that does not hold ends the program, with its line. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <penstock.h>

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

#define EXPECT(status, call) check_status(__FILE__, __LINE__, #call, (status), (call))

/* A file is `int main` of these: runs a test, unless another one was named on the command line, and counts descriptors and threads. */
#define RUN(test) check_run(argc, argv, #test, test)

void check_failed(const char *file, int line, const char *what);
void check_status(const char *file, int line, const char *call, penstock_status expected, penstock_status came);
void check_run(int argc, char **argv, const char *name, void (*test)(void));

#endif
