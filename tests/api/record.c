/* One line an answer: {"method":…,"route":…,"status":…,"allow":…,"retry_after":…,"body":…}. The body is JSON already. */
#include "record.h"

#include <stdio.h>
#include <stdlib.h>

void record_answer(const char *method, const char *route, const struct api_answer *answer)
{
    const char *path = getenv("OOD_API_ANSWERS");
    FILE *file = path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL)
        return;
    fprintf(file, "{\"method\":\"%s\",\"route\":\"%s\",\"status\":%u,", method, route, answer->status);
    if (answer->allow != NULL)
        fprintf(file, "\"allow\":\"%s\",", answer->allow);
    if (answer->retry_after > 0)
        fprintf(file, "\"retry_after\":%u,", answer->retry_after);
    fputs("\"body\":", file);
    for (size_t i = 0; i < answer->size; i++)               /* a pretty body in one line: no string has a raw line end */
        if (answer->body[i] != '\n')
            fputc(answer->body[i], file);
    fputs("}\n", file);
    fclose(file);
}
