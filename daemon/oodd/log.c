/* Text on a terminal, JSON lines elsewhere, fields in the journal. A line is made on the stack and written by one write(2),
 * so that lines of several threads do not mix. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "systemd.h"

#define LINE_MOST 4096                       /* more than the longest of all texts, each byte escaped */

static const char *const words[] = { "error", "warning", "info", "debug" };
static const int priorities[] = { 3, 4, 6, 7 };

/* Set once before there are threads, but for the two atomics. */
static enum oodd_log_format format_in_use = OODD_LOG_TEXT;
static int output = 2;
static char *output_path;
static atomic_int level_in_use = OODD_INFO;
static atomic_bool access_in_use = true;

static int open_path(const char *path, struct ood_error *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        ood_fail_errno(err, errno, "log.file %s", path);
    return fd;
}

bool oodd_log_open(enum oodd_log_format format, const char *file, struct ood_error *err)
{
    if (file[0] != '\0') {
        char *path = ood_strdup(file, err);
        int fd = path != NULL ? open_path(path, err) : -1;
        if (fd < 0) {
            ood_free(path);
            return false;
        }
        output = fd;
        output_path = path;
    }
    if (format == OODD_LOG_AUTO)
        format = file[0] == '\0' && oodd_systemd_has_journal() ? OODD_LOG_JOURNAL : isatty(output) ? OODD_LOG_TEXT : OODD_LOG_JSON;
    format_in_use = format;
    return true;
}

void oodd_log_level(enum oodd_log_level level, bool access)
{
    atomic_store(&level_in_use, level);
    atomic_store(&access_in_use, access);
}

/* The new file takes the old one's number, so that a thread that writes just now writes to one of the two. */
bool oodd_log_reopen(struct ood_error *err)
{
    if (output_path == NULL)
        return true;
    int fd = open_path(output_path, err);
    if (fd < 0)
        return false;
    bool good = dup3(fd, output, O_CLOEXEC) >= 0 || ood_fail_errno(err, errno, "log.file %s", output_path);
    close(fd);
    return good;
}

/* ---- a line ---- */

struct line { char text[LINE_MOST]; size_t size; };

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(line->text + line->size, sizeof line->text - line->size, format, arguments);
    va_end(arguments);
    if (added > 0)
        line->size += (size_t)added < sizeof line->text - line->size ? (size_t)added : sizeof line->text - line->size - 1;
}

/* A JSON string; what is not plain ASCII is escaped byte by byte, so that any path makes a valid line. At most
 * `most` bytes of it. */
static void put_string(struct line *line, const char *text, size_t most)
{
    put(line, "\"");
    for (size_t i = 0; text[i] != '\0' && i < most && line->size + 16 < sizeof line->text; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            put(line, "\\%c", c);
        else if (c < 0x20 || c > 0x7E)
            put(line, "\\u%04x", c);
        else
            line->text[line->size++] = (char)c;
    }
    line->text[line->size] = '\0';
    put(line, "\"");
}

static void put_time(struct line *line)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    put(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
        utc.tm_sec, (int)(now.tv_nsec / 1000000));
}

static void write_line(struct line *line)
{
    if (line->size >= sizeof line->text - 1)
        line->size = sizeof line->text - 2;
    line->text[line->size++] = '\n';
    for (size_t done = 0; done < line->size;) {
        ssize_t wrote = write(output, line->text + done, line->size - done);
        if (wrote <= 0 && errno != EINTR)
            return;                          /* nobody is left to be told */
        done += wrote > 0 ? (size_t)wrote : 0;
    }
}

static struct iovec journal_field(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static struct iovec journal_field(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    return (struct iovec){ buffer, length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1 };
}

void oodd_log(enum oodd_log_level level, const char *format, ...)
{
    char message[1024];
    struct line line = { .size = 0 };
    if ((int)level > atomic_load_explicit(&level_in_use, memory_order_relaxed))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    switch (format_in_use) {
    case OODD_LOG_JOURNAL: {
        char text[1100], priority[32];
        struct iovec fields[] = { journal_field(text, sizeof text, "MESSAGE=%s", message),
                                  journal_field(priority, sizeof priority, "PRIORITY=%d", priorities[level]) };
        oodd_systemd_journal(fields, 2);
        return;
    }
    case OODD_LOG_JSON:
        put(&line, "{\"time\":\"");
        put_time(&line);
        put(&line, "\",\"level\":\"%s\",\"message\":", words[level]);
        put_string(&line, message, 600);
        put(&line, "}");
        break;
    case OODD_LOG_AUTO:
    case OODD_LOG_TEXT:
        put_time(&line);
        put(&line, " %s: %s", words[level], message);
        break;
    }
    write_line(&line);
}

/* ---- the access log ---- */

static void access_json(struct line *line, const struct oodd_access *access, const char *seconds)
{
    put(line, "{\"time\":\"");
    put_time(line);
    put(line, "\",\"level\":\"info\",\"message\":\"request\",\"request_id\":");
    put_string(line, access->request_id, 64);
    put(line, ",\"client\":");
    put_string(line, access->client, 64);
    put(line, ",\"method\":");
    put_string(line, access->method, 32);
    put(line, ",\"path\":");
    put_string(line, access->path, 400);
    put(line, ",\"status\":%u,\"bytes\":%zu,\"seconds\":%s", access->status, access->bytes, seconds);
    if (access->model != NULL)
        put(line, ",\"model\":\"%s\",\"items\":%zu", access->model, access->items);
    put(line, "}");
}

static void access_text(struct line *line, const struct oodd_access *access, const char *seconds)
{
    put_time(line);
    put(line, " %s %.32s ", access->client, access->method);
    put_string(line, access->path, 400);
    put(line, " %u %zu %s s %s", access->status, access->bytes, seconds, access->request_id);
    if (access->model != NULL)
        put(line, " %s %zu", access->model, access->items);
}

static void access_journal(const struct oodd_access *access, const char *seconds)
{
    char text[9][512];
    size_t n = 0;
    struct iovec fields[9];
    fields[n] = journal_field(text[n], sizeof text[n], "MESSAGE=%s %s %u", access->method, access->path, access->status), n++;
    fields[n] = journal_field(text[n], sizeof text[n], "PRIORITY=6"), n++;
    fields[n] = journal_field(text[n], sizeof text[n], "OODD_REQUEST_ID=%s", access->request_id), n++;
    fields[n] = journal_field(text[n], sizeof text[n], "OODD_CLIENT=%s", access->client), n++;
    fields[n] = journal_field(text[n], sizeof text[n], "OODD_STATUS=%u", access->status), n++;
    fields[n] = journal_field(text[n], sizeof text[n], "OODD_BYTES=%zu", access->bytes), n++;
    fields[n] = journal_field(text[n], sizeof text[n], "OODD_SECONDS=%s", seconds), n++;
    if (access->model != NULL) {
        fields[n] = journal_field(text[n], sizeof text[n], "OODD_MODEL=%s", access->model), n++;
        fields[n] = journal_field(text[n], sizeof text[n], "OODD_ITEMS=%zu", access->items), n++;
    }
    oodd_systemd_journal(fields, n);
}

void oodd_log_access(const struct oodd_access *access)
{
    struct line line = { .size = 0 };
    char seconds[32];
    if (!atomic_load_explicit(&access_in_use, memory_order_relaxed) ||
        atomic_load_explicit(&level_in_use, memory_order_relaxed) < OODD_INFO)
        return;
    unsigned long long microseconds = (unsigned long long)(access->seconds * 1e6 + 0.5);
    snprintf(seconds, sizeof seconds, "%llu.%06llu", microseconds / 1000000, microseconds % 1000000);
    if (format_in_use == OODD_LOG_JOURNAL) {
        access_journal(access, seconds);
        return;
    }
    if (format_in_use == OODD_LOG_JSON)
        access_json(&line, access, seconds);
    else
        access_text(&line, access, seconds);
    write_line(&line);
}
