/* All of Bine's C API that needs no Python.h. Start with runtime.h and function.h. */
#ifndef BINE_BINE_H
#define BINE_BINE_H

#include <bine/common.h>
#include <bine/value.h>
#include <bine/error.h>
#include <bine/runtime.h>
#include <bine/deferred.h>
#include <bine/micro.h>
#include <bine/scope.h>
#include <bine/pipe.h>
#include <bine/reactor.h>
#include <bine/function.h>

#endif
