/* The configuration: what is read prints as a configuration that reads back to the same values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configuration.h"
#include "fuzz.h"

/* A value a comment would begin in ("/a ;b") is cut when read, and so is whitespace around it: not then. */
static bool comes_back(const struct oodd_config *config)
{
    char text[4096];
    for (size_t i = 0; i < oodd_key_count; i++) {
        if (oodd_keys[i].type == OODD_KEY_MODEL)
            continue;
        oodd_config_value(config, &oodd_keys[i], text, sizeof text);
        if (strpbrk(text, ";\v\f\r") != NULL)
            return false;
    }
    for (size_t i = 0; i < config->model_count; i++)
        if (strpbrk(config->models[i].path, ";\v\f\r") != NULL || strlen(config->models[i].name) > 40)
            return false;
    return true;
}

static void compare(const struct oodd_config *config, const struct oodd_config *back)
{
    char was[4096], is[4096];
    for (size_t i = 0; i < oodd_key_count; i++) {
        if (oodd_keys[i].type == OODD_KEY_MODEL)
            continue;
        oodd_config_value(config, &oodd_keys[i], was, sizeof was);
        oodd_config_value(back, &oodd_keys[i], is, sizeof is);
        if (strcmp(was, is) != 0)
            abort();
    }
    if (config->model_count != back->model_count)
        abort();
    for (size_t i = 0; i < config->model_count; i++)
        if (strcmp(config->models[i].name, back->models[i].name) != 0 || strcmp(config->models[i].path, back->models[i].path) != 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ood_error err = { 0 };
    struct oodd_config *config = oodd_config_new(&err), *back = oodd_config_new(&err);
    if (config == NULL || back == NULL)
        abort();
    if (!oodd_config_read_text(config, "f", (const char *)data, size, &err)) {
        if (err.code == OOD_OK || err.message[0] == '\0')
            abort();
    } else if (comes_back(config)) {
        char *text = NULL;
        size_t length = 0;
        FILE *file = open_memstream(&text, &length);
        if (file == NULL)
            abort();
        oodd_config_print(config, file);
        fclose(file);
        if (!oodd_config_read_text(back, "printed", text, length, &err)) {
            fprintf(stderr, "%s\n%s", err.message, text);
            abort();
        }
        compare(config, back);
        free(text);
    }
    oodd_config_free(config);
    oodd_config_free(back);
    return 0;
}
