
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The version of this header; penstock_version() is that of the library. */
#define PENSTOCK_VERSION "@VERSION@"
#define PENSTOCK_VERSION_MAJOR @MAJOR@
#define PENSTOCK_VERSION_MINOR @MINOR@
#define PENSTOCK_VERSION_PATCH @PATCH@
/* One number that grows with each version. */
#define PENSTOCK_VERSION_NUMBER \
    (PENSTOCK_VERSION_MAJOR * 1000000 + PENSTOCK_VERSION_MINOR * 1000 + PENSTOCK_VERSION_PATCH)

/* Sets a structure up: its size, and 0 everywhere else. PENSTOCK_INIT(options); */
#define PENSTOCK_INIT(structure) \
    do { \
        memset(&(structure), 0, sizeof(structure)); \
        (structure).size = (uint32_t)sizeof(structure); \
    } while (0)
