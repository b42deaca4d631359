/* A body to work: which media type it is, what was asked in the query, and the arrays the daemon fills. */
#include "api/api_internal.h"

#include "base/number.h"

bool api_request_id_valid(const char *text)
{
    size_t length = 0;
    for (; text[length] != '\0'; length++) {
        char c = text[length];
        if (length == 64 || !((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
                              c == '_' || c == '-'))
            return false;
    }
    return length > 0;
}

bool api_id_check(const char *id, size_t size, struct api_error *err)
{
    if (size > API_ID_BYTES)
        return api_fail(err, API_BAD_REQUEST, "id has %zu bytes; the limit is %d", size, API_ID_BYTES);
    if (!api_utf8_valid(id, size) || memchr(id, '\0', size) != NULL)
        return api_fail(err, API_BAD_REQUEST, "id is not UTF-8 text");
    return true;
}

bool api_builder_add(struct api_builder *builder, const struct ood_item *item, const char *id, size_t id_size,
                     struct api_error *err)
{
    struct api_work *work = builder->work;
    struct ood_error cause = { 0 };
    char *copy = NULL;
    if (work->count >= builder->limits->items)
        return api_fail(err, API_TOO_MANY_ITEMS, "more than %zu items in one request", builder->limits->items);
    if (id != NULL && !api_id_check(id, id_size, err))
        return false;
    if (id != NULL && (copy = ood_pool_strndup(builder->pool, id, id_size, &cause)) == NULL)
        return api_fail_ood(err, &cause);
    if (!ood_grow(&work->items, &builder->item_capacity, work->count + 1, sizeof *work->items, &cause) ||
        !ood_grow(&work->ids, &builder->id_capacity, work->count + 1, sizeof *work->ids, &cause))
        return api_fail_ood(err, &cause);
    work->items[work->count] = *item;
    work->ids[work->count] = copy;
    work->count++;
    return true;
}

/* ?top=: 1 and up; more than there are classes means all of them. */
static bool parse_top(const char *text, size_t classes, size_t *top, struct api_error *err)
{
    *top = 0;
    if (text == NULL)
        return true;
    size_t digits = strspn(text, "0123456789"), value;
    if (digits == 0 || text[digits] != '\0' || strspn(text, "0") == digits)
        return api_fail(err, API_BAD_PARAMETER, "top is \"%.*s\"; expected a whole number from 1", API_QUOTE_BYTES, text);
    *top = ood_parse_size(text, &value) && value < classes ? value : classes;
    return true;
}

bool api_media_parse(const char *content_type, enum api_media *media, struct api_error *err)
{
    static const char expected[] = "expected image/*, application/octet-stream, multipart/form-data or application/json";
    if (content_type == NULL)
        return api_fail(err, API_UNSUPPORTED_MEDIA_TYPE, "Content-Type is missing; %s", expected);
    const char *at = content_type, *end = content_type + strlen(content_type);
    struct api_slice type = api_header_word(&at, end);
    bool known = true;
    if (!api_slice_is_media_type(type))
        known = false;
    else if (api_slice_starts(type, "image/") || api_slice_is(type, "application/octet-stream"))
        *media = API_MEDIA_PICTURE;
    else if (api_slice_is(type, "multipart/form-data"))
        *media = API_MEDIA_MULTIPART;
    else if (api_slice_is(type, "application/json"))
        *media = API_MEDIA_JSON;
    else
        known = false;
    return known || api_fail(err, API_UNSUPPORTED_MEDIA_TYPE, "Content-Type is \"%.*s\"; %s", API_QUOTE_BYTES, content_type, expected);
}

/* Every file part is a picture; the fields of a form are passed over. */
static bool take_picture(void *context, const struct api_part *part, struct api_error *err)
{
    struct ood_item item = { .picture = part->data, .picture_size = part->size };
    return !part->file || api_builder_add(context, &item, part->name, part->name_size, err);
}

static bool parse_body(struct api_builder *builder, const char *content_type, const unsigned char *body, size_t size,
                       struct api_error *err)
{
    enum api_media media;
    size_t parts;
    if (!api_media_parse(content_type, &media, err))
        return false;
    switch (media) {
    case API_MEDIA_PICTURE:
        builder->work->single = true;
        return api_builder_add(builder, &(struct ood_item){ .picture = body, .picture_size = size }, NULL, 0, err);
    case API_MEDIA_MULTIPART:
        if (!api_multipart_parse(content_type, body, size, take_picture, builder, &parts, err))
            return false;
        return size == 0 || builder->work->count > 0 ||
               api_fail(err, API_NO_ITEMS, "multipart/form-data: %s; a file part has a filename or an image/* Content-Type",
                        parts == 0 ? "no parts" : "none of the parts is a file");
    case API_MEDIA_JSON:
        break;
    }
    return api_json_parse(builder, body, size, err);
}

static bool make_outputs(struct api_work *work, size_t classes, struct api_error *err)
{
    struct ood_error cause = { 0 };
    size_t floats;
    work->verdicts = ood_new_array(struct ood_verdict, work->count, &cause);
    if (work->verdicts == NULL)
        return api_fail_ood(err, &cause);
    if (work->top == 0)
        return true;
    if (!ood_mul_size(work->count, classes, &floats))
        return api_fail(err, API_INTERNAL, "out of memory");
    work->logits = ood_new_array(float, floats, &cause);
    if (work->logits == NULL)
        return api_fail_ood(err, &cause);
    for (size_t i = 0; i < work->count; i++)
        work->items[i].logits_out = work->logits + i * classes;
    return true;
}

bool api_work_parse(const char *content_type, const char *top, const unsigned char *body, size_t size,
                    const struct api_limits *limits, const struct ood_scorer *scorer, struct api_work *out,
                    struct api_error *err)
{
    struct api_work work = { 0 };
    struct ood_error cause = { 0 };
    struct api_builder builder = { .work = &work, .limits = limits, .classes = ood_scorer_classes(scorer),
                                   .dimension = ood_scorer_dimension(scorer) };
    if (!parse_top(top, builder.classes, &work.top, err))
        return false;
    if (size > limits->body_bytes)
        return api_fail(err, API_BODY_TOO_LARGE, "the body has %zu bytes; the limit is %zu", size, limits->body_bytes);
    work.memory = builder.pool = ood_new(struct ood_pool, &cause);
    if (work.memory == NULL)
        return api_fail_ood(err, &cause);
    if (!parse_body(&builder, content_type, size > 0 ? body : (const unsigned char *)"", size, err))
        goto fail;
    if (work.count == 0 || size == 0) {
        api_fail(err, API_NO_ITEMS, "the body is empty; expected at least one picture or tensor");
        goto fail;
    }
    if (!make_outputs(&work, builder.classes, err))
        goto fail;
    *out = work;
    return true;
fail:
    api_work_free(&work);
    return false;
}

void api_work_free(struct api_work *work)
{
    for (size_t i = 0; work->kind == API_WORK_BOXES && work->items != NULL && i < work->count; i++)
        ood_free((void *)(uintptr_t)work->items[i].crop);
    ood_free(work->scene.detections);
    ood_free(work->items);
    ood_free(work->ids);
    ood_free(work->verdicts);
    ood_free(work->logits);
    if (work->memory != NULL)
        ood_pool_free(work->memory);
    ood_free(work->memory);
    *work = (struct api_work){ 0 };
}
