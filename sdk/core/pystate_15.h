/* CPython 3.15: as 3.14, but for the frame a stack starts with and the sampling profiler's
 * cache. Written from a table of the fields; neither compiled nor run yet. */
#include "pystate_14.h"

#undef BINE__FIRST_FRAME
#define BINE__FIRST_FRAME(t) ((t)->base_frame)
#define BINE__HAS_PROFILED_FRAME 1
