/* One table a command: getopt_long, ranges and --help are made from it. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "daemon/oodctl/oodctl.h"

#define OPTIONS_MOST 120
#define HELP_ID 1000
#define VERSION_ID 1001
#define FIRST_ID 2000                        /* of the table: beyond what getopt itself returns */

int ctl_usage(const struct ctl_command *command, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ctl_say("%s: %s; see oodctl %s --help", command->name, text, command->name);
    return CTL_USAGE;
}

static void print_help(const struct ctl_command *command)
{
    printf("Usage: oodctl %s [OPTION]… %s\n%s.\n\n", command->name, command->operands, command->summary);
    for (const struct ctl_option *option = command->options; option->name != NULL; option++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument != NULL ? " " : "",
                 option->argument != NULL ? option->argument : "");
        printf("  %-26s %s\n", left, option->help);
    }
    printf("  %-26s %s\n  %-26s %s\n", "--help", "this text", "--version", "version, commit, oneDNN and instruction set");
}

/* "3" and not "3.000000". */
static const char *range(const struct ctl_option *option, char text[80])
{
    if (isinf(option->most))
        snprintf(text, 80, "at least %g", option->least);
    else
        snprintf(text, 80, "%g to %g", option->least, option->most);
    return text;
}

static bool store(const struct ctl_command *command, const struct ctl_option *option, const char *value, void *fields)
{
    char *field = (char *)fields + option->offset, text[80];
    double number = 0;
    size_t size = 0;
    struct ood_error err = { 0 };
    switch (option->kind) {
    case CTL_FLAG:
        *(bool *)(void *)field = true;
        return true;
    case CTL_TEXT:
        *(const char **)(void *)field = value;
        return true;
    case CTL_SIZE:
        if (!ood_parse_size(value, &size) || (double)size < option->least || (double)size > option->most) {
            ctl_usage(command, "--%s %s: expected a whole number, %s", option->name, value, range(option, text));
            return false;
        }
        *(size_t *)(void *)field = size;
        return true;
    case CTL_NUMBER:
        if (!ood_parse_double(value, &number) || number < option->least || number > option->most) {
            ctl_usage(command, "--%s %s: expected a number, %s", option->name, value, range(option, text));
            return false;
        }
        *(double *)(void *)field = number;
        return true;
    case CTL_TEXTS: {
        struct ctl_texts *texts = (struct ctl_texts *)(void *)field;
        if (!ood_grow(&texts->items, &texts->capacity, texts->count + 1, sizeof *texts->items, &err)) {
            ctl_fail(&err);
            return false;
        }
        texts->items[texts->count++] = value;
        return true;
    }
    }
    return false;
}

bool ctl_parse(const struct ctl_command *command, int argc, char **argv, void *fields, int *first, int *status)
{
    struct option longs[OPTIONS_MOST + 3] = { 0 };
    size_t count = 0;
    for (const struct ctl_option *option = command->options; option->name != NULL && count < OPTIONS_MOST; option++, count++)
        longs[count] = (struct option){ option->name, option->kind == CTL_FLAG ? no_argument : required_argument, NULL, FIRST_ID + (int)count };
    longs[count] = (struct option){ "help", no_argument, NULL, HELP_ID };
    longs[count + 1] = (struct option){ "version", no_argument, NULL, VERSION_ID };
    opterr = 0;
    optind = 1;
    *status = CTL_USAGE;
    for (int id; (id = getopt_long(argc, argv, ":", longs, NULL)) != -1;) {
        if (id == HELP_ID || id == VERSION_ID) {
            if (id == HELP_ID)
                print_help(command);
            else
                ctl_version();
            *status = CTL_DONE;
            return false;
        }
        if (id == ':' || id == '?') {
            const char *given = argv[optind - 1];
            ctl_usage(command, id == ':' ? "%s: its argument is missing" : "%s: no such option, or not a unique one", given);
            return false;
        }
        if (!store(command, &command->options[id - FIRST_ID], optarg, fields))
            return false;
    }
    *first = optind;
    *status = CTL_DONE;
    return true;
}

bool ctl_numbers(const char *text, size_t least, size_t most, double *numbers, size_t *count)
{
    size_t n = 0;
    for (const char *word = text;;) {
        char one[64];
        size_t length = strcspn(word, ",");
        if (n == most || length == 0 || length >= sizeof one)
            return false;
        memcpy(one, word, length);
        one[length] = '\0';
        if (!ood_parse_double(one, &numbers[n++]))
            return false;
        if (word[length] == '\0')
            break;
        word += length + 1;
    }
    if (count != NULL)
        *count = n;
    return n >= least;
}
