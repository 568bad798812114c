/* CPython 3.15: as 3.14, but for the frame a stack starts with and the sampling profiler's
 * cache. Written from its headers; not yet run in this tree. */
#include "pystate_14.h"

#undef BINE__PYSTATE_VERSION
#define BINE__PYSTATE_VERSION "3.15"

#undef BINE__FIRST_FRAME
#define BINE__FIRST_FRAME(t) ((t)->base_frame)
#define BINE__HAS_PROFILED_FRAME 1
