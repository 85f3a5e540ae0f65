/* cmocka wants these before it. */
#ifndef OUTBOARD_TEST_CMOCKA_ALL_H
#define OUTBOARD_TEST_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
