/* What --version says of the library besides its number. Here, because base/ does not know the engine. */
#include <stdio.h>

#include "scorer/scorer.h"

void ood_build_description(char *text, size_t size)
{
    char engine[160];
    ood_engine_description(engine, sizeof engine);
    snprintf(text, size, "commit %s; %s; %s", OOD_COMMIT, engine, OOD_OPTIONS);
}
