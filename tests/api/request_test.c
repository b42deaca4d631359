/* Bodies of POST /v1/score: what is taken and to which items it leads; what is refused, with code and sentence. */
#include "check.h"

#include "api/api.h"
#include "base/memory.h"
#include "fake_scorer.h"
#include "record.h"

static const struct api_limits limits = { .items = 64, .body_bytes = 1 << 20 };

#define FORM "multipart/form-data; boundary=XX"
#define PART(name) "--XX\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"f.jpg\"\r\n\r\n"

/* ---- what is taken ---- */

static const struct good_case {
    const char *name, *type, *body;
    size_t count;
    bool single;
    const char *ids[2], *pictures[2];
} good[] = {
    { "image", "image/jpeg", "\xFF\xD8", 1, true, { NULL }, { "\xFF\xD8" } },
    { "any image type, upper case", "Image/X-Whatever", "bytes", 1, true, { NULL }, { "bytes" } },
    { "octets with a parameter", " application/octet-stream ; a=b", "bytes", 1, true, { NULL }, { "bytes" } },
    { "json", "application/json", "{\"images\":[{\"id\":\"a\",\"data\":\"aGk=\"},{\"data\":\"Zm9v\"}]}", 2, false, { "a", NULL }, { "hi", "foo" } },
    { "json, charset, blanks", "application/json; charset=\"utf-8\"", " {\n\"images\" : [ { \"data\" : \"\" } ] } ", 1, false, { NULL }, { "" } },
    { "json, escapes in the id", "application/json", "{\"images\":[{\"data\":\"aGkh\",\"id\":\"\\u00e9\\\"\\ud83d\\ude00\"}]}", 1, false,
      { "\xC3\xA9\"\xF0\x9F\x98\x80" }, { "hi!" } },
    { "form", FORM, PART("a") "one\r\n" PART("b") "two\r\n--XX--\r\n", 2, false, { "a", "b" }, { "one", "two" } },
    { "form without the last line end", FORM, PART("a") "one\r\n--XX--", 1, false, { "a" }, { "one" } },
    { "form with preamble and epilogue", FORM, "hello\r\n" PART("a") "one\r\n--XX--\r\nbye", 1, false, { "a" }, { "one" } },
    { "form with blanks behind the boundary", FORM, "--XX \t\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\none\r\n--XX--", 1, false,
      { "a" }, { "one" } },
    { "boundary in quotes", "multipart/form-data; charset=utf-8; Boundary=\"a b:c\"",
      "--a b:c\r\nContent-Disposition: form-data; name=\"n\"; filename=\"\"\r\n\r\n1\r\n--a b:c--", 1, false, { "n" }, { "1" } },
    { "part of an image type", FORM, "--XX\r\ncontent-type:IMAGE/png\r\nCONTENT-DISPOSITION:Form-Data;name=\"p\"\r\n\r\n1\r\n--XX--", 1, false,
      { "p" }, { "1" } },
    { "fields are passed over", FORM, "--XX\r\nContent-Disposition: form-data; name=\"_charset_\"\r\n\r\nutf-8\r\n" PART("a") "one\r\n--XX--", 1, false,
      { "a" }, { "one" } },
    { "empty picture", FORM, PART("a") "\r\n" PART("b") "x\r\n--XX--", 2, false, { "a", "b" }, { "", "x" } },
    { "part without content", FORM, "--XX\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\n--XX--", 1, false, { "a" }, { "" } },
    { "line ends and boundaries inside", FORM, PART("a") "\r\n\r\n--X\r\n--\r\r\n--XX--", 1, false, { "a" }, { "\r\n\r\n--X\r\n--\r" } },
    { "name with escapes", FORM, "--XX\r\nContent-Disposition: form-data; name=\"a\\\"b\\\\c\\d;e\"; filename=\"x\"\r\n\r\n1\r\n--XX--", 1, false,
      { "a\"b\\c\\d;e" }, { "1" } },
    { "name in UTF-8", FORM, PART("k\xC3\xB6ter") "1\r\n--XX--", 1, false, { "k\xC3\xB6ter" }, { "1" } },
    { "extended file name", FORM, "--XX\r\nContent-Disposition: form-data; name=a; filename*=UTF-8''%e2%82%ac\r\n\r\n1\r\n--XX--", 1, false, { "a" }, { "1" } },
};

static void good_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const struct good_case *c = &good[i];
        struct api_work work = { 0 };
        struct api_error err = { 0 };
        if (!api_work_parse(c->type, NULL, (const unsigned char *)c->body, strlen(c->body), &limits, fake_scorer(), &work, &err))
            fail_msg("%s: %s: %s", c->name, api_code_name(err.code), err.message);
        if (work.count != c->count || work.single != c->single || work.top != 0 || work.logits != NULL)
            fail_msg("%s: %zu items, single %d", c->name, work.count, work.single);
        for (size_t j = 0; j < work.count; j++) {
            const struct ood_item *item = &work.items[j];
            bool same_id = c->ids[j] == NULL ? work.ids[j] == NULL : work.ids[j] != NULL && strcmp(work.ids[j], c->ids[j]) == 0;
            if (!same_id || item->picture == NULL || item->picture_size != strlen(c->pictures[j]) ||
                memcmp(item->picture, c->pictures[j], item->picture_size) != 0)
                fail_msg("%s: item %zu: id %s, %zu bytes", c->name, j, work.ids[j] != NULL ? work.ids[j] : "none", item->picture_size);
            assert_int_equal(work.verdicts[j].error.code, OOD_OK);
        }
        api_work_free(&work);
    }
}

static void tensors(void **state)
{
    (void)state;
    static const char body[] = "{\"tensors\":[{\"id\":\"t\",\"logits\":[1,-2.5,1e-3],\"features\":[0.1,3.4028234e38]},"
                               "{\"logits\":[],\"features\":[12345678901234567890]}]}";
    struct api_work work = { 0 };
    struct api_error err = { 0 };
    if (!api_work_parse("application/json", "2", (const unsigned char *)body, sizeof body - 1, &limits, fake_scorer(), &work, &err))
        fail_msg("%s", err.message);
    assert_int_equal(work.count, 2);
    assert_int_equal(work.top, 2);
    assert_string_equal(work.ids[0], "t");
    assert_null(work.ids[1]);
    assert_null(work.items[0].picture);
    assert_int_equal(work.items[0].logits_count, 3);
    assert_int_equal(work.items[0].features_count, 2);
    assert_true(work.items[0].logits[0] == 1.0f && work.items[0].logits[1] == -2.5f && work.items[0].logits[2] == 1e-3f);
    assert_true(work.items[0].features[0] == 0.1f && work.items[0].features[1] == 3.4028234e38f);
    assert_int_equal(work.items[1].logits_count, 0);
    assert_non_null(work.items[1].logits);
    assert_int_equal(work.items[1].features_count, 1);
    assert_ptr_equal(work.items[0].logits_out, work.logits);
    assert_ptr_equal(work.items[1].logits_out, work.logits + 3);
    api_work_free(&work);
}

/* ---- what is refused ---- */

#define IMAGES(items) "{\"images\":[" items "]}"
#define TENSORS(items) "{\"tensors\":[" items "]}"
#define JSON "application/json"

static const struct bad_case {
    const char *name, *type, *top, *body;
    enum api_code code;
    const char *part;
} bad[] = {
    { "no type", NULL, NULL, "x", API_UNSUPPORTED_MEDIA_TYPE, "Content-Type is missing" },
    { "empty type", "", NULL, "x", API_UNSUPPORTED_MEDIA_TYPE, "expected image/*" },
    { "text", "text/plain", NULL, "x", API_UNSUPPORTED_MEDIA_TYPE, "\"text/plain\"" },
    { "not a type", "image", NULL, "x", API_UNSUPPORTED_MEDIA_TYPE, "\"image\"" },
    { "image of no type", "image/", NULL, "x", API_UNSUPPORTED_MEDIA_TYPE, "\"image/\"" },
    { "two types", "image/png, image/jpeg", NULL, "x", API_UNSUPPORTED_MEDIA_TYPE, "image/png, image/jpeg" },
    { "multipart of another kind", "multipart/mixed; boundary=x", NULL, "x", API_UNSUPPORTED_MEDIA_TYPE, "multipart/mixed" },
    { "json of another kind", "application/ld+json", NULL, "{}", API_UNSUPPORTED_MEDIA_TYPE, "ld+json" },
    { "empty text", "text/plain", NULL, "", API_UNSUPPORTED_MEDIA_TYPE, "text/plain" },
    { "empty picture", "image/png", NULL, "", API_NO_ITEMS, "empty" },
    { "empty json", JSON, NULL, "", API_NO_ITEMS, "empty" },
    { "empty form", FORM, NULL, "", API_NO_ITEMS, "empty" },

    { "top 0", "image/png", "0", "x", API_BAD_PARAMETER, "top is \"0\"" },
    { "top 000", "image/png", "000", "x", API_BAD_PARAMETER, "top is" },
    { "top empty", "image/png", "", "x", API_BAD_PARAMETER, "whole number" },
    { "top negative", "image/png", "-1", "x", API_BAD_PARAMETER, "top is \"-1\"" },
    { "top with a sign", "image/png", "+1", "x", API_BAD_PARAMETER, "top is" },
    { "top a word", "image/png", "5x", "x", API_BAD_PARAMETER, "top is \"5x\"" },
    { "top a fraction", "image/png", "1.5", "x", API_BAD_PARAMETER, "top is" },

    { "json cut", JSON, NULL, "{\"images\":[", API_BAD_REQUEST, "JSON: " },
    { "json with more behind", JSON, NULL, IMAGES("{\"data\":\"\"}") "x", API_BAD_REQUEST, "end of file" },
    { "json array", JSON, NULL, "[]", API_BAD_REQUEST, "expected an object" },
    { "json string", JSON, NULL, "\"x\"", API_BAD_REQUEST, "JSON" },
    { "json empty object", JSON, NULL, "{}", API_NO_ITEMS, "neither images nor tensors" },
    { "json with both", JSON, NULL, "{\"images\":[],\"tensors\":[]}", API_BAD_REQUEST, "both" },
    { "json unknown member", JSON, NULL, "{\"images\":[],\"model\":1}", API_BAD_REQUEST, "unknown member \"model\"" },
    { "json duplicate member", JSON, NULL, "{\"images\":[],\"images\":[]}", API_BAD_REQUEST, "duplicate object key" },
    { "json no items", JSON, NULL, IMAGES(""), API_NO_ITEMS, "images is empty" },
    { "json no tensors", JSON, NULL, TENSORS(""), API_NO_ITEMS, "tensors is empty" },
    { "json images an object", JSON, NULL, "{\"images\":{}}", API_BAD_REQUEST, "images is an object; expected an array" },
    { "json image a string", JSON, NULL, IMAGES("\"aGk=\""), API_BAD_REQUEST, "images[0]: found a string" },
    { "json image null", JSON, NULL, IMAGES("{\"data\":\"aGk=\"},null"), API_BAD_REQUEST, "images[1]: found null" },
    { "json image without data", JSON, NULL, IMAGES("{\"id\":\"a\"}"), API_BAD_REQUEST, "images[0]: data is missing" },
    { "json data a number", JSON, NULL, IMAGES("{\"data\":1}"), API_BAD_REQUEST, "data is a number" },
    { "json id a number", JSON, NULL, IMAGES("{\"id\":1,\"data\":\"\"}"), API_BAD_REQUEST, "id is a number" },
    { "json id null", JSON, NULL, IMAGES("{\"id\":null,\"data\":\"\"}"), API_BAD_REQUEST, "id is null" },
    { "json unknown in an image", JSON, NULL, IMAGES("{\"data\":\"\",\"url\":\"x\"}"), API_BAD_REQUEST, "images[0]: unknown member \"url\"" },
    { "json duplicate id", JSON, NULL, IMAGES("{\"id\":\"a\",\"id\":\"b\",\"data\":\"\"}"), API_BAD_REQUEST, "duplicate object key" },
    { "json id with a zero", JSON, NULL, IMAGES("{\"id\":\"a\\u0000b\",\"data\":\"\"}"), API_BAD_REQUEST, "JSON" },
    { "json lone surrogate", JSON, NULL, IMAGES("{\"id\":\"\\ud800\",\"data\":\"\"}"), API_BAD_REQUEST, "JSON" },
    { "json not UTF-8", JSON, NULL, IMAGES("{\"id\":\"\xC3\x28\",\"data\":\"\"}"), API_BAD_REQUEST, "unable to decode byte 0xc3" },
    { "json byte order mark", JSON, NULL, "\xEF\xBB\xBF{}", API_BAD_REQUEST, "JSON" },
    { "json NaN", JSON, NULL, TENSORS("{\"logits\":[NaN],\"features\":[1]}"), API_BAD_REQUEST, "JSON" },

    { "base64 one short", JSON, NULL, IMAGES("{\"data\":\"aGk\"}"), API_BAD_REQUEST, "images[0]: data is not base64: 3 characters" },
    { "base64 line break", JSON, NULL, IMAGES("{\"data\":\"aGkh\\naGk\"}"), API_BAD_REQUEST, "byte 4 is 0x0a" },
    { "base64 blanks", JSON, NULL, IMAGES("{\"data\":\"aGkh    \"}"), API_BAD_REQUEST, "byte 4 is 0x20" },
    { "base64 of an URL", JSON, NULL, IMAGES("{\"data\":\"_-8=\"}"), API_BAD_REQUEST, "byte 0 is 0x5f" },
    { "data URL", JSON, NULL, IMAGES("{\"data\":\"data:image/png;base64,aGk=\"}"), API_BAD_REQUEST, "byte 4 is 0x3a" },
    { "base64 padding inside", JSON, NULL, IMAGES("{\"data\":\"aG==aGkh\"}"), API_BAD_REQUEST, "byte 2 is 0x3d" },
    { "base64 only padding", JSON, NULL, IMAGES("{\"data\":\"====\"}"), API_BAD_REQUEST, "not base64" },
    { "base64 padding thrice", JSON, NULL, IMAGES("{\"data\":\"a===\"}"), API_BAD_REQUEST, "byte 1 is 0x3d" },
    { "base64 bits left over", JSON, NULL, IMAGES("{\"data\":\"aGl=\"}"), API_BAD_REQUEST, "bits that mean nothing" },

    { "tensor without features", JSON, NULL, TENSORS("{\"logits\":[1]}"), API_BAD_REQUEST, "tensors[0]: features is missing" },
    { "tensor without logits", JSON, NULL, TENSORS("{\"features\":[1]}"), API_BAD_REQUEST, "logits is missing" },
    { "tensor of a string", JSON, NULL, TENSORS("{\"logits\":[1,\"2\"],\"features\":[1]}"), API_BAD_REQUEST, "logits[1] is a string" },
    { "tensor nested", JSON, NULL, TENSORS("{\"logits\":[[1]],\"features\":[1]}"), API_BAD_REQUEST, "logits[0] is an array" },
    { "tensor null", JSON, NULL, TENSORS("{\"logits\":[1],\"features\":null}"), API_BAD_REQUEST, "features is null" },
    { "tensor too great for float", JSON, NULL, TENSORS("{\"logits\":[1,1e39],\"features\":[1]}"), API_BAD_REQUEST, "logits[1] is 1e+39" },
    { "tensor too great for double", JSON, NULL, TENSORS("{\"logits\":[1e999],\"features\":[1]}"), API_BAD_REQUEST, "JSON: real number overflow" },
    { "tensor unknown member", JSON, NULL, TENSORS("{\"logits\":[1],\"features\":[1],\"data\":\"\"}"), API_BAD_REQUEST, "unknown member \"data\"" },

    { "form without boundary", "multipart/form-data", NULL, "x", API_BAD_REQUEST, "without a boundary" },
    { "form with an empty boundary", "multipart/form-data; boundary=\"\"", NULL, "x", API_BAD_REQUEST, "has 0 bytes" },
    { "form with boundary open", "multipart/form-data; boundary=\"XX", NULL, "x", API_BAD_REQUEST, "malformed" },
    { "form with a bad boundary", "multipart/form-data; boundary=X@X", NULL, "x", API_BAD_REQUEST, "byte 2 of the boundary" },
    { "form with two boundaries", "multipart/form-data; boundary=a; boundary=b", NULL, "x", API_BAD_REQUEST, "two boundaries" },
    { "form with a long boundary", "multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890", NULL, "x",
      API_BAD_REQUEST, "has 71 bytes" },
    { "form of another boundary", FORM, NULL, "--YY\r\n\r\n--YY--", API_BAD_REQUEST, "no line \"--XX\"" },
    { "form with bare line ends", FORM, NULL, "--XX\nContent-Disposition: form-data; name=a\n\nx\n--XX--\n", API_BAD_REQUEST, "followed by other bytes" },
    { "form without parts", FORM, NULL, "--XX--\r\n", API_NO_ITEMS, "no parts" },
    { "form of fields only", FORM, NULL, "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX--", API_NO_ITEMS, "none of the parts is a file" },
    { "form not closed", FORM, NULL, PART("a") "one\r\n", API_BAD_REQUEST, "part 1: no boundary behind it" },
    { "form ends at a boundary", FORM, NULL, PART("a") "one\r\n--XX", API_BAD_REQUEST, "final one is missing" },
    { "form ends in headers", FORM, NULL, "--XX\r\nContent-Disposition: form-da", API_BAD_REQUEST, "ends inside the headers" },
    { "form part without a header", FORM, NULL, "--XX\r\n\r\none\r\n--XX--", API_BAD_REQUEST, "part 1: Content-Disposition" },
    { "form part without a name", FORM, NULL, "--XX\r\nContent-Disposition: form-data; filename=a\r\n\r\n1\r\n--XX--", API_BAD_REQUEST, "with a name is missing" },
    { "form second part without a name", FORM, NULL, PART("a") "1\r\n--XX\r\n\r\n1\r\n--XX--", API_BAD_REQUEST, "part 2" },
    { "form part with two names", FORM, NULL, "--XX\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n1\r\n--XX--", API_BAD_REQUEST, "two names" },
    { "form part twice disposed", FORM, NULL,
      "--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n1\r\n--XX--", API_BAD_REQUEST, "two Content-Disposition" },
    { "attachment", FORM, NULL, "--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--XX--", API_BAD_REQUEST, "not form-data" },
    { "form name open", FORM, NULL, "--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--XX--", API_BAD_REQUEST, "malformed" },
    { "form header without colon", FORM, NULL, "--XX\r\nContent-Disposition\r\n\r\n1\r\n--XX--", API_BAD_REQUEST, "NAME: VALUE" },
    { "form header folded", FORM, NULL, "--XX\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n1\r\n--XX--", API_BAD_REQUEST, "NAME: VALUE" },
    { "form name not UTF-8", FORM, NULL, PART("a\xFF") "1\r\n--XX--", API_BAD_REQUEST, "part 1: id is not UTF-8" },
    { "form in base64", FORM, NULL, "--XX\r\nContent-Disposition: form-data; name=a; filename=b\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--XX--",
      API_BAD_REQUEST, "Content-Transfer-Encoding is \"base64\"" },
};

static void refuse(const char *name, const char *type, const char *top, const char *body, size_t size, enum api_code code, const char *part)
{
    struct api_work work = { .count = 77 };
    struct api_error err = { 0 };
    struct api_answer answer;
    if (api_work_parse(type, top, (const unsigned char *)body, size, &limits, fake_scorer(), &work, &err))
        fail_msg("%s: taken", name);
    if (err.code != code || strstr(err.message, part) == NULL)
        fail_msg("%s: %s: %s; expected %s with \"%s\"", name, api_code_name(err.code), err.message, api_code_name(code), part);
    assert_int_equal(work.count, 77);
    api_answer_error(&err, "r-1", 0, NULL, &answer);
    assert_int_equal(answer.status, api_code_status(code));
    record_answer("POST", "/v1/score", &answer);
    api_answer_free(&answer);
}

static void bad_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuse(bad[i].name, bad[i].type, bad[i].top, bad[i].body, strlen(bad[i].body), bad[i].code, bad[i].part);
}

/* Text of `before`, `count` times `each`, and `after`; static. */
static const char *repeated(const char *before, const char *each, size_t count, const char *after)
{
    static char text[3 << 20];
    size_t length = (size_t)snprintf(text, sizeof text, "%s", before);
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s", each);
    snprintf(text + length, sizeof text - length, "%s", after);
    assert_true(strlen(after) == 0 || strcmp(text + strlen(text) - strlen(after), after) == 0);
    return text;
}

static void refuse_repeated(const char *name, const char *type, const char *before, const char *each, size_t count,
                            const char *after, enum api_code code, const char *part)
{
    const char *text = repeated(before, each, count, after);
    refuse(name, type, NULL, text, strlen(text), code, part);
}

static void limits_hold(void **state)
{
    (void)state;
    refuse_repeated("deep arrays", JSON, "{\"images\":", "[", 100000, "", API_BAD_REQUEST, "deeper than 8 levels");
    refuse_repeated("deep objects", JSON, "", "{\"a\":", 100000, "", API_BAD_REQUEST, "deeper than 8 levels");
    refuse_repeated("many values", JSON, "{\"images\":[", "0,", 70000, "0]}", API_BAD_REQUEST, "more than 65536 values");
    refuse_repeated("many objects", JSON, "{\"images\":[", "{},", 40000, "0]}", API_BAD_REQUEST, "more than 65536 values");
    refuse_repeated("65 images", JSON, "{\"images\":[{\"data\":\"\"}", ",{\"data\":\"\"}", 64, "]}", API_TOO_MANY_ITEMS, "65 items; the limit is 64");
    refuse_repeated("65 parts", FORM, "", PART("a") "1\r\n", 65, "--XX--", API_TOO_MANY_ITEMS, "more than 64 items");
    refuse_repeated("long id", JSON, "{\"images\":[{\"data\":\"\",\"id\":\"", "x", 257, "\"}]}", API_BAD_REQUEST, "id has 257 bytes; the limit is 256");
    refuse_repeated("very long name", FORM, "--XX\r\nContent-Disposition: form-data; filename=a; name=\"", "x", 4000, "\"\r\n\r\n1\r\n--XX--",
                    API_BAD_REQUEST, "id has 4000 bytes");
    refuse_repeated("long headers", FORM, "--XX\r\n", "X-A: 1\r\n", 2000, "\r\n1\r\n--XX--", API_BAD_REQUEST, "more than 8192 bytes");
    refuse_repeated("one long header", FORM, "--XX\r\n", "x", 10000, "", API_BAD_REQUEST, "more than 8192 bytes");
    refuse_repeated("large body", "image/png", "", "0123456789abcdef", 65537, "", API_BODY_TOO_LARGE, "limit is 1048576");
    refuse_repeated("unknown member with a long name", JSON, "{\"", "\xC3\xA9", 1000, "\":1}", API_BAD_REQUEST, "unknown member");
    refuse_repeated("long type", "text/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "", "x", 1, "",
                    API_UNSUPPORTED_MEDIA_TYPE, "text/xxx");
}

static void just_within_limits(void **state)
{
    (void)state;
    static const struct { const char *type, *before, *each; size_t count; const char *after; size_t items; } cases[] = {
        { JSON, "{\"images\":[{\"data\":\"\"}", ",{\"data\":\"\"}", 63, "]}", 64 },
        { FORM, "", PART("a") "1\r\n", 64, "--XX--", 64 },
        { JSON, "{\"images\":[{\"data\":\"\",\"id\":\"", "x", 256, "\"}]}", 1 },
        { JSON, "{\"tensors\":[{\"features\":[1],\"logits\":[1", ",1", 60000, "]}]}", 1 },
        { "image/png", "", "0123456789abcdef", 65536, "", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_work work;
        struct api_error err = { 0 };
        const char *text = repeated(cases[i].before, cases[i].each, cases[i].count, cases[i].after);
        if (!api_work_parse(cases[i].type, NULL, (const unsigned char *)text, strlen(text), &limits, fake_scorer(), &work, &err))
            fail_msg("case %zu: %s", i, err.message);
        assert_int_equal(work.count, cases[i].items);
        api_work_free(&work);
    }
}

/* Bodies cut at every byte, and with every bit of every byte turned: never read past their end (they lie at the end of a block
 * of their own for the sanitizer), and what is refused has a code and a sentence. */
static void try_bytes(const char *type, const unsigned char *bytes, size_t size)
{
    struct ood_error cause = { 0 };
    struct api_error err = { 0 };
    struct api_work work;
    unsigned char *copy = ood_alloc(size, 1, &cause);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    if (api_work_parse(type, NULL, copy, size, &limits, fake_scorer(), &work, &err)) {
        assert_true(work.count > 0);
        api_work_free(&work);
    } else {
        assert_true(err.code != API_OK && err.code != API_INTERNAL && err.message[0] != '\0');
    }
    ood_free(copy);
}

static void cut_and_flipped(void **state)
{
    (void)state;
    unsigned char bytes[512];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        size_t size = strlen(good[i].body);
        assert_true(size < sizeof bytes);
        memcpy(bytes, good[i].body, size);
        for (size_t cut = 0; cut < size; cut++)
            try_bytes(good[i].type, bytes, cut);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            try_bytes(good[i].type, bytes, size);
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
    }
}

/* Every byte of the header's value cut off or turned, too. */
static void cut_and_flipped_types(void **state)
{
    (void)state;
    static const char type[] = "multipart/form-data; charset=\"a\\\"b\"; boundary=\"XX\"", body[] = PART("a") "1\r\n--XX--";
    char text[sizeof type];
    for (size_t bit = 0; bit < 8 * sizeof type; bit++) {
        memcpy(text, type, sizeof type);
        text[bit / 8] = (char)(bit % 8 == 0 ? 0 : text[bit / 8] ^ (1 << bit % 8));
        text[sizeof type - 1] = '\0';
        try_bytes(text, (const unsigned char *)body, sizeof body - 1);
    }
}

static void tops(void **state)
{
    (void)state;
    static const struct { const char *text; size_t top; } cases[] = {
        { NULL, 0 }, { "1", 1 }, { "002", 2 }, { "3", 3 }, { "4", 3 }, { "99999999999999999999999999", 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_work work;
        struct api_error err = { 0 };
        assert_true(api_work_parse("image/png", cases[i].text, (const unsigned char *)"x", 1, &limits, fake_scorer(), &work, &err));
        assert_int_equal(work.top, cases[i].top);
        assert_true((work.logits != NULL) == (cases[i].top > 0));
        api_work_free(&work);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies), cmocka_unit_test(tensors), cmocka_unit_test(bad_bodies), cmocka_unit_test(limits_hold),
        cmocka_unit_test(just_within_limits), cmocka_unit_test(cut_and_flipped), cmocka_unit_test(cut_and_flipped_types),
        cmocka_unit_test(tops),
    };
    return cmocka_run_group_tests_name("api requests", tests, NULL, NULL);
}
