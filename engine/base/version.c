/* The one place that knows the package's version. */
#include "ood.h"

const char *ood_version(void) { return PACKAGE_VERSION; }
