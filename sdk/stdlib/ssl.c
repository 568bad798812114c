/* TLS. */
#include "stdlib/standin.h"
bine__standin *const bine__ssl_standins[] = {NULL};
