/* Messages and progress on standard error, and small text for people. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/oodctl/oodctl.h"

/* Is a progress line standing on the terminal? Only the main thread writes there. */
static bool line_drawn;

static void clear_line(void)
{
    if (line_drawn)
        fputs("\r\033[K", stderr);
    line_drawn = false;
}

/* File names and messages made of them may hold anything; a terminal is not told to obey it. */
void ctl_put(FILE *file, const char *text)
{
    for (; *text != '\0'; text++)
        putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, file);
}

void ctl_say(const char *format, ...)
{
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    clear_line();
    fputs("oodctl: ", stderr);
    ctl_put(stderr, text);
    fputc('\n', stderr);
}

int ctl_fail(const struct ood_error *err)
{
    ctl_say("%s", err->message);
    return err->code == OOD_OUT_OF_MEMORY || err->code == OOD_SYSTEM ? CTL_SYSTEM : CTL_INPUT;
}

void ctl_progress_start(struct ctl_progress *progress, const char *what, size_t total)
{
    *progress = (struct ctl_progress){ .what = what, .total = total, .started = ood_clock() };
    progress->shown = progress->started;
}

static bool on_terminal(void) { return isatty(STDERR_FILENO) == 1; }

bool ctl_progress_due(struct ctl_progress *progress)
{
    double now = ood_clock();
    if (now - progress->shown < (on_terminal() ? 0.1 : 10.0) || now <= progress->started)
        return false;
    progress->shown = now;
    return true;
}

void ctl_progress_line(struct ctl_progress *progress, const char *line)
{
    (void)progress;
    bool terminal = on_terminal();
    fprintf(stderr, "%soodctl: ", terminal ? "\r\033[K" : "");
    ctl_put(stderr, line);
    line_drawn = terminal;
    if (!terminal)
        fputc('\n', stderr);
    fflush(stderr);
}

void ctl_progress_at(struct ctl_progress *progress, size_t done)
{
    if (!ctl_progress_due(progress))
        return;
    bool terminal = on_terminal();
    double spent = progress->shown - progress->started;
    char count[CTL_COUNT_TEXT], total[CTL_COUNT_TEXT], rate[CTL_COUNT_TEXT];
    ctl_count(done, count);
    ctl_count((size_t)((double)done / spent), rate);
    fprintf(stderr, "%soodctl: %s: %s", terminal ? "\r\033[K" : "", progress->what, count);
    if (progress->total > 0)
        fprintf(stderr, " of %s", ctl_count(progress->total, total));
    fprintf(stderr, ", %s a second", rate);
    if (progress->total > done && done > 0)
        fprintf(stderr, ", %.0f s left", spent / (double)done * (double)(progress->total - done));
    line_drawn = terminal;
    if (!terminal)
        fputc('\n', stderr);
    fflush(stderr);
}

void ctl_progress_end(struct ctl_progress *progress)
{
    (void)progress;
    clear_line();
    fflush(stderr);
}

const char *ctl_count(size_t n, char text[CTL_COUNT_TEXT])
{
    char digits[CTL_COUNT_TEXT];
    int length = snprintf(digits, sizeof digits, "%zu", n);
    size_t to = 0;
    for (int i = 0; i < length && to + 2 < CTL_COUNT_TEXT; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[to++] = ',';
        text[to++] = digits[i];
    }
    text[to] = '\0';
    return text;
}

const char *ctl_base_name(const char *path)
{
    const char *base = path;
    for (const char *p = path; *p != '\0'; p++)
        if (p[0] == '/' && p[1] != '/' && p[1] != '\0')
            base = p + 1;
    return base;
}

bool ctl_append(struct ctl_buffer *out, struct ood_error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return ood_fail(err, OOD_SYSTEM, "a text could not be formatted");
    if (!ood_grow(&out->text, &out->capacity, out->length + (size_t)length + 1, 1, err))
        return false;
    va_start(arguments, format);
    vsnprintf(out->text + out->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    out->length += (size_t)length;
    return true;
}
