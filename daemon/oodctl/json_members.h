/* The members of an object, for the commands' --json: each writes its comma where one is due. */
#ifndef OODCTL_JSON_MEMBERS_H
#define OODCTL_JSON_MEMBERS_H

#include "api/writer.h"

/* A member's name; its value follows. */
static inline void name(struct api_writer *w, const char *text)
{
    if (w->size > 0 && w->data[w->size - 1] != '{')
        api_write(w, ",");
    api_write_string(w, text);
    api_write(w, ":");
}

static inline void text_member(struct api_writer *w, const char *key, const char *value)
{
    name(w, key);
    api_write_string(w, value);
}

static inline void size_member(struct api_writer *w, const char *key, size_t value)
{
    name(w, key);
    api_write_size(w, value);
}

static inline void number_member(struct api_writer *w, const char *key, double value)
{
    name(w, key);
    api_write_double(w, value);
}

#endif
