/* Reading, setting, checking and printing the configuration. Everything walks the table of configuration_keys.c; inih
 * splits lines, our reader hands them over one by one and so knows their numbers. */
#include "configuration.h"

#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "base/file.h"
#include "base/number.h"

#define FILE_MOST (1u << 20)                 /* a configuration of more than a mebibyte is a mistake */
#define LINE_MOST 4096
#define NAME_MOST 49                         /* inih cuts longer section and key names short without a word */

static const char model_prefix[] = "model.", model_suffix[] = ".path";

bool oodd_model_name_valid(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > OODD_NAME_MOST || name[0] == '.')
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == length;
}

/* ---- one value ---- */

static void *field(struct oodd_config *config, const struct oodd_key *key) { return (char *)config + key->offset; }
static const void *const_field(const struct oodd_config *config, const struct oodd_key *key)
{
    return (const char *)config + key->offset;
}

/* The place of value among "one|two|three", or -1. */
static int word_place(const char *words, const char *value)
{
    size_t length = strlen(value);
    int place = 0;
    for (const char *word = words; length > 0; place++) {
        size_t size = strcspn(word, "|");
        if (size == length && memcmp(word, value, size) == 0)
            return place;
        if (word[size] == '\0')
            break;
        word += size + 1;
    }
    return -1;
}

static bool set_size(size_t *out, const struct oodd_key *key, const char *value, struct ood_error *err)
{
    size_t number = 0, least = 0, most = 0;
    if (key->words != NULL && strcmp(value, key->words) == 0) {
        *out = 0;
        return true;
    }
    if (!ood_parse_size(key->least, &least) || !ood_parse_size(key->most, &most) || !ood_parse_size(value, &number) ||
        number < least || number > most)
        return ood_fail(err, OOD_INVALID, "%s = %s: expected %s%sa whole number from %s to %s", key->name, value,
                        key->words != NULL ? key->words : "", key->words != NULL ? " or " : "", key->least, key->most);
    *out = number;
    return true;
}

static bool set_seconds(double *out, const struct oodd_key *key, const char *value, struct ood_error *err)
{
    double number = 0, least = 0, most = 0;
    if (!ood_parse_double(key->least, &least) || !ood_parse_double(key->most, &most) || !ood_parse_double(value, &number) ||
        number < least || number > most)
        return ood_fail(err, OOD_INVALID, "%s = %s: expected seconds from %s to %s", key->name, value, key->least, key->most);
    *out = number;
    return true;
}

static bool set_bool(bool *out, const struct oodd_key *key, const char *value, struct ood_error *err)
{
    int place = word_place("true|false|yes|no|on|off|1|0", value);
    if (place < 0)
        return ood_fail(err, OOD_INVALID, "%s = %s: expected true or false", key->name, value);
    *out = place % 2 == 0;
    return true;
}

static bool set_text(char **out, const char *value, struct ood_error *err)
{
    char *copy = ood_strdup(value, err);
    if (copy == NULL)
        return false;
    ood_free(*out);
    *out = copy;
    return true;
}

static bool set_value(struct oodd_config *config, const struct oodd_key *key, const char *value, struct ood_error *err)
{
    switch (key->type) {
    case OODD_KEY_SIZE:
        return set_size(field(config, key), key, value, err);
    case OODD_KEY_SECONDS:
        return set_seconds(field(config, key), key, value, err);
    case OODD_KEY_BOOL:
        return set_bool(field(config, key), key, value, err);
    case OODD_KEY_WORD: {
        int place = word_place(key->words, value);
        if (place < 0)
            return ood_fail(err, OOD_INVALID, "%s = %s: expected one of %s", key->name, value, key->words);
        *(int *)field(config, key) = place;
        return true;
    }
    case OODD_KEY_LISTEN:
        if (!oodd_addresses_valid(value, err))
            return ood_error_prefix(err, "%s = %s", key->name, value);
        return set_text(field(config, key), value, err);
    case OODD_KEY_TEXT:
    case OODD_KEY_MODEL:
        break;
    }
    return set_text(field(config, key), value, err);
}

/* ---- models ---- */

static struct oodd_model_path *find_model(const struct oodd_config *config, const char *name, size_t length)
{
    for (size_t i = 0; i < config->model_count; i++)
        if (strlen(config->models[i].name) == length && memcmp(config->models[i].name, name, length) == 0)
            return &config->models[i];
    return NULL;
}

/* Puts a model at place `at`, or in place of the one of that name. */
static bool put_model(struct oodd_config *config, size_t at, const char *name, size_t length, const char *path,
                      const char *from, struct ood_error *err)
{
    struct oodd_model_path model = { ood_strndup(name, length, err), NULL, NULL };
    if (model.name == NULL || (model.path = ood_strdup(path, err)) == NULL || (model.from = ood_strdup(from, err)) == NULL)
        goto fail;
    if (!oodd_model_name_valid(model.name)) {
        ood_fail(err, OOD_INVALID, "model name \"%s\": expected 1 to %d letters, digits, '.', '_', '-', the first no dot",
                 model.name, OODD_NAME_MOST);
        goto fail;
    }
    if (path[0] == '\0') {
        ood_fail(err, OOD_INVALID, "model.%s.path is empty: expected a bundle's folder", model.name);
        goto fail;
    }
    struct oodd_model_path *old = find_model(config, name, length);
    if (old != NULL) {
        ood_free(old->name), ood_free(old->path), ood_free(old->from);
        *old = model;
        return true;
    }
    if (!ood_grow(&config->models, &config->model_capacity, config->model_count + 1, sizeof *config->models, err))
        goto fail;
    memmove(&config->models[at + 1], &config->models[at], (config->model_count - at) * sizeof *config->models);
    config->models[at] = model;
    config->model_count++;
    return true;
fail:
    ood_free(model.name), ood_free(model.path), ood_free(model.from);
    return false;
}

/* The folder's name: what stands behind the last slash, the real one for "." and "..". */
bool oodd_config_add_bundle(struct oodd_config *config, const char *path, struct ood_error *err)
{
    char *real = NULL;
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    const char *name = path + start;
    size_t length = end - start;
    if (length == 0 || (length <= 2 && memcmp(name, "..", length) == 0)) {
        real = realpath(path, NULL);
        name = real != NULL && strrchr(real, '/') != NULL ? strrchr(real, '/') + 1 : "";
        length = strlen(name);
    }
    bool done = false;
    struct oodd_model_path *old = find_model(config, name, length);
    if (old != NULL && (size_t)(old - config->models) < config->bundle_count)
        ood_fail(err, OOD_INVALID, "two bundles named %s: %s and %s; name one by --set model.NAME.path=%s", old->name, old->path,
                 path, path);
    else
        done = put_model(config, config->bundle_count, name, length, path, "command line", err);
    if (done && old == NULL)
        config->bundle_count++;
    free(real);
    return done;
}

/* ---- one key ---- */

/* A row whose name is near: the same but for one letter, or the same key in another section. */
static const struct oodd_key *near_key(const char *name)
{
    const char *dot = strchr(name, '.');
    for (size_t i = 0; i < oodd_key_count; i++) {
        const char *row = oodd_keys[i].name, *row_dot = strchr(row, '.');
        if (dot != NULL && strcmp(dot, row_dot) == 0)
            return &oodd_keys[i];
        size_t n = strlen(name), m = strlen(row), same = 0, tail = 0;
        while (same < n && same < m && name[same] == row[same])
            same++;
        while (tail + same < n && tail + same < m && name[n - 1 - tail] == row[m - 1 - tail])
            tail++;
        if (same + tail + 1 >= n && same + tail + 1 >= m)
            return &oodd_keys[i];
    }
    return NULL;
}

/* `seen` (a bit a row) and `first_model` belong to one file, where a second line for a key is an error; NULL: none. */
static bool set_key(struct oodd_config *config, const char *name, const char *value, const char *from, uint64_t *seen,
                    struct ood_error *err)
{
    size_t length = strlen(name), affixes = sizeof model_prefix - 1 + sizeof model_suffix - 1;
    if (strncmp(name, model_prefix, sizeof model_prefix - 1) == 0 && length > affixes &&
        strcmp(name + length - (sizeof model_suffix - 1), model_suffix) == 0) {
        const char *model = name + sizeof model_prefix - 1;
        length -= affixes;
        struct oodd_model_path *old = find_model(config, model, length);
        const char *colon = strrchr(from, ':');
        if (seen != NULL && old != NULL && colon != NULL && strncmp(old->from, from, (size_t)(colon - from) + 1) == 0)
            return ood_fail(err, OOD_INVALID, "%s: duplicate of %s", name, old->from);
        return put_model(config, config->model_count, model, length, value, from, err);
    }
    for (size_t i = 0; i < oodd_key_count; i++) {
        if (oodd_keys[i].type == OODD_KEY_MODEL || strcmp(oodd_keys[i].name, name) != 0)
            continue;
        if (seen != NULL && (*seen >> i & 1) != 0)
            return ood_fail(err, OOD_INVALID, "%s: duplicate of %s", name, config->from[i]);
        if (!set_value(config, &oodd_keys[i], value, err) || !set_text(&config->from[i], from, err))
            return false;
        if (seen != NULL)
            *seen |= UINT64_C(1) << i;
        return true;
    }
    const struct oodd_key *near = near_key(name);
    return ood_fail(err, OOD_INVALID, "unknown key %s%s%s%s", name, near != NULL ? "; did you mean " : "",
                    near != NULL ? near->name : "", near != NULL ? "?" : "");
}

/* ---- files ---- */

struct reader {
    struct oodd_config *config;
    const char *name;
    const char *at, *end;
    int line;
    uint64_t seen;
    struct ood_error *err;
    bool failed;
};

static bool reader_fail(struct reader *reader) { return ood_error_prefix(reader->err, "%s:%d", reader->name, reader->line); }

/* What inih calls for fgets: one line, its number counted. What inih would quietly cut or misread is refused here. */
static char *next_line(char *buffer, int size, void *user)
{
    struct reader *reader = user;
    if (reader->failed || reader->at == reader->end)
        return NULL;
    reader->line++;
    const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    size_t length = (size_t)((newline != NULL ? newline + 1 : reader->end) - reader->at);
    const char *start = reader->at;
    reader->at += length;
    if (length + 1 > (size_t)size)
        ood_fail(reader->err, OOD_LIMIT, "the line has %zu bytes: expected at most %d", length, size - 2);
    else if (memchr(start, '\0', length) != NULL)
        ood_fail(reader->err, OOD_INVALID, "the line holds a zero byte: expected text");
    else
        goto good;
    reader->failed = true;
    reader_fail(reader);
    return NULL;
good:
    memcpy(buffer, start, length);
    buffer[length] = '\0';
    const char *text = buffer + strspn(buffer, " \t\r\v\f");
    size_t name = text[0] == '[' ? strcspn(text + 1, "]") : strcspn(text, "=:");
    if (text[0] == ';' || text[0] == '#' || name <= NAME_MOST || text[name + (text[0] == '[')] == '\0')
        return buffer;
    ood_fail(reader->err, OOD_LIMIT, "a name of %zu bytes: expected at most %d", name, NAME_MOST);
    reader->failed = true;
    reader_fail(reader);
    return NULL;
}

static int take_value(void *user, const char *section, const char *name, const char *value)
{
    struct reader *reader = user;
    if (reader->failed)
        return 0;
    char key[2 * NAME_MOST + 8], from[LINE_MOST];
    snprintf(key, sizeof key, "%s%s%s", section, section[0] != '\0' ? "." : "", name);
    snprintf(from, sizeof from, "%s:%d", reader->name, reader->line);
    if (set_key(reader->config, key, value, from, &reader->seen, reader->err))
        return 1;
    reader->failed = true;
    reader_fail(reader);
    return 0;
}

bool oodd_config_read_text(struct oodd_config *config, const char *name, const char *text, size_t size, struct ood_error *err)
{
    struct reader reader = { .config = config, .name = name, .at = text, .end = text + size, .err = err };
    ini_max_line = LINE_MOST;
    ini_allow_multiline = false;             /* an indented key is a key */
    ini_stop_on_first_error = true;
    int line = ini_parse_stream(next_line, &reader, take_value, &reader);
    if (reader.failed)
        return false;
    if (line > 0)
        return ood_fail(err, OOD_INVALID, "%s:%d: expected [section] or key = value", name, line);
    return line == 0 || ood_fail(err, OOD_OUT_OF_MEMORY, "%s: out of memory", name);
}

bool oodd_config_read_file(struct oodd_config *config, const char *path, struct ood_error *err)
{
    struct ood_bytes bytes = { 0 };
    if (!ood_file_read(path, FILE_MOST, &bytes, err))
        return false;
    bool read = oodd_config_read_text(config, path, (const char *)bytes.data, bytes.size, err);
    ood_bytes_free(&bytes);
    return read;
}

bool oodd_config_set(struct oodd_config *config, const char *assignment, struct ood_error *err)
{
    const char *equals = strchr(assignment, '=');
    if (equals == NULL)
        return ood_fail(err, OOD_INVALID, "--set %s: expected section.key=value", assignment);
    char *name = ood_strndup(assignment, (size_t)(equals - assignment), err);
    if (name == NULL)
        return false;
    bool set = set_key(config, name, equals + 1, "--set", NULL, err) || ood_error_prefix(err, "--set");
    ood_free(name);
    return set;
}

/* ---- the whole ---- */

struct oodd_config *oodd_config_new(struct ood_error *err)
{
    struct oodd_config *config = ood_new(struct oodd_config, err);
    for (size_t i = 0; config != NULL && i < oodd_key_count; i++)
        if (oodd_keys[i].type != OODD_KEY_MODEL && !set_value(config, &oodd_keys[i], oodd_keys[i].standard, err)) {
            oodd_config_free(config);
            return NULL;
        }
    return config;
}

void oodd_config_free(struct oodd_config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < oodd_key_count; i++) {
        if (oodd_keys[i].type == OODD_KEY_TEXT || oodd_keys[i].type == OODD_KEY_LISTEN)
            ood_free(*(char **)field(config, &oodd_keys[i]));
        ood_free(config->from[i]);
    }
    for (size_t i = 0; i < config->model_count; i++)
        ood_free(config->models[i].name), ood_free(config->models[i].path), ood_free(config->models[i].from);
    ood_free(config->models);
    ood_free(config);
}

bool oodd_config_check(const struct oodd_config *config, struct ood_error *err)
{
    if (config->items > config->queue_items)
        return ood_fail(err, OOD_INVALID, "limits.items = %zu is more than limits.queue_items = %zu: such a request could "
                        "never be admitted", config->items, config->queue_items);
    if (config->model_count == 0 && config->models_directory[0] == '\0')
        return ood_fail(err, OOD_INVALID, "no bundle: name one on the command line, or set model.NAME.path or "
                        "models.directory");
    return true;
}

void oodd_config_value(const struct oodd_config *config, const struct oodd_key *key, char *text, size_t size)
{
    char number[OOD_NUMBER_TEXT];
    const void *value = const_field(config, key);
    switch (key->type) {
    case OODD_KEY_SIZE:
        if (key->words != NULL && *(const size_t *)value == 0)
            snprintf(text, size, "%s", key->words);
        else
            snprintf(text, size, "%zu", *(const size_t *)value);
        return;
    case OODD_KEY_SECONDS:
        ood_print_double(*(const double *)value, number);
        snprintf(text, size, "%s", number);
        return;
    case OODD_KEY_BOOL:
        snprintf(text, size, "%s", *(const bool *)value ? "true" : "false");
        return;
    case OODD_KEY_WORD: {
        const char *word = key->words;
        for (int place = *(const int *)value; place > 0; place--)
            word += strcspn(word, "|") + 1;
        snprintf(text, size, "%.*s", (int)strcspn(word, "|"), word);
        return;
    }
    case OODD_KEY_TEXT:
    case OODD_KEY_LISTEN:
        snprintf(text, size, "%s", *(char *const *)value);
        return;
    case OODD_KEY_MODEL:
        snprintf(text, size, "%s", "");
        return;
    }
}

void oodd_config_print(const struct oodd_config *config, FILE *file)
{
    const char *section = "";
    for (size_t i = 0; i < oodd_key_count; i++) {
        const struct oodd_key *key = &oodd_keys[i];
        if (key->type == OODD_KEY_MODEL)
            continue;
        size_t length = strcspn(key->name, ".") + 1;
        if (strncmp(section, key->name, length) != 0) {
            fprintf(file, "%s[%.*s]\n", i > 0 ? "\n" : "", (int)length - 1, key->name);
            section = key->name;
        }
        char value[LINE_MOST];
        oodd_config_value(config, key, value, sizeof value);
        fprintf(file, "%s = %s    ; %s\n", key->name + length, value, config->from[i] != NULL ? config->from[i] : "default");
    }
    for (size_t i = 0; i < config->model_count; i++)
        fprintf(file, "\n[model.%s]\npath = %s    ; %s\n", config->models[i].name, config->models[i].path, config->models[i].from);
}

const struct oodd_key *oodd_config_restart_key(const struct oodd_config *running, const struct oodd_config *next,
                                               const struct oodd_key *after)
{
    for (size_t i = after != NULL ? (size_t)(after - oodd_keys) + 1 : 0; i < oodd_key_count; i++) {
        char old[LINE_MOST], new[LINE_MOST];
        if (oodd_keys[i].effect != OODD_ON_RESTART)
            continue;
        oodd_config_value(running, &oodd_keys[i], old, sizeof old);
        oodd_config_value(next, &oodd_keys[i], new, sizeof new);
        if (strcmp(old, new) != 0)
            return &oodd_keys[i];
    }
    return NULL;
}
