/* main of a fuzz target built without libFuzzer: every file of $OOD_SOURCE/tests/fuzz/TARGET.in, or of the folder named, and
 * each again cut in the middle. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "fuzz.h"

/* A copy of just this size: AddressSanitizer then sees a read behind the end. */
static void run_exactly(const unsigned char *data, size_t size)
{
    unsigned char *copy = malloc(size > 0 ? size : 1);
    fuzz_require(copy != NULL);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    const char *source = getenv("OOD_SOURCE"), *slash = strrchr(argv[0], '/'), *name = slash != NULL ? slash + 1 : argv[0];
    size_t length = strlen(name);
    struct ood_error err = { 0 };
    struct ood_names names;
    char folder[4096], path[8192];
    if (strncmp(name, "lt-", 3) == 0)                       /* libtool's wrapper */
        name += 3, length -= 3;
    if (length > 5 && strcmp(name + length - 5, "_fuzz") == 0)
        length -= 5;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/%.*s.in", source != NULL ? source : ".", (int)length, name);
    if (!ood_folder_names(argc > 1 ? argv[1] : folder, &names, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (size_t i = 0; i < names.count; i++) {
        struct ood_bytes bytes;
        snprintf(path, sizeof path, "%s/%s", argc > 1 ? argv[1] : folder, names.items[i]);
        if (!ood_file_read(path, (size_t)1 << 26, &bytes, &err)) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        printf("%s\n", names.items[i]);
        fflush(stdout);
        run_exactly(bytes.data, bytes.size);
        run_exactly(bytes.data, bytes.size / 2);
        ood_bytes_free(&bytes);
    }
    printf("%zu inputs\n", names.count);
    bool some = names.count > 0;
    ood_names_free(&names);
    return some ? 0 : 1;
}
