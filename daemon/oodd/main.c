/* The daemon: its command line, and the main thread's life of waiting for signals. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "log.h"
#include "service.h"
#include "systemd.h"

enum { DONE = 0, USAGE = 2, BAD_INPUT = 3, SYSTEM_REFUSED = 4 };

/* ---- the command line: kept, so that a reload reads it again ---- */

struct line {
    struct { char kind; const char *text; } parts[256];  /* 'c' --config, 's' --set, 'b' a bundle */
    size_t count;
    bool usage;                              /* the last read failed for what stands on the line itself */
};

static struct oodd_config *read_line(void *context, struct ood_error *err)
{
    struct line *line = context;
    struct oodd_config *config = oodd_config_new(err);
    bool good = config != NULL;
    line->usage = false;
    for (size_t i = 0; good && i < line->count; i++) {
        const char *text = line->parts[i].text;
        if (line->parts[i].kind == 'c') {
            good = oodd_config_read_file(config, text, err);
            continue;
        }
        good = line->parts[i].kind == 's' ? oodd_config_set(config, text, err) : oodd_config_add_bundle(config, text, err);
        line->usage = !good;
    }
    if (good)
        return config;
    oodd_config_free(config);
    return NULL;
}

static struct oodd_config *read_and_check(void *context, struct ood_error *err)
{
    struct line *line = context;
    struct oodd_config *config = read_line(context, err);
    if (config == NULL || oodd_config_check(config, err))
        return config;
    line->usage = config->model_count == 0 && config->models_directory[0] == '\0';
    oodd_config_free(config);
    return NULL;
}

static const char help[] =
    "Usage: oodd [OPTION]… [BUNDLE…]\n"
    "Scores pictures over HTTP and says which are out of distribution.\n"
    "\n"
    "A BUNDLE is served under its folder's name; the first is the default model.\n"
    "\n"
    "  -c, --config FILE          read the configuration from FILE (INI)\n"
    "  -s, --set SECTION.KEY=VAL  set one key; what stands later on the line wins\n"
    "      --check-config         check the configuration, start nothing\n"
    "      --print-config         print the effective configuration and where each value came from\n"
    "      --help                 print this\n"
    "      --version              print version, commit, oneDNN, instruction set, build options\n"
    "\n"
    "Keys:\n";

static void print_help(void)
{
    fputs(help, stdout);
    for (size_t i = 0; i < oodd_key_count; i++)
        printf("  %-30s %s%s%s\n", oodd_keys[i].name, oodd_keys[i].help, oodd_keys[i].standard[0] != '\0' ? "; default " : "",
               oodd_keys[i].standard);
    fputs("\nSignals: TERM, INT drain and stop; HUP reloads; USR1 opens the log file again.\n"
          "Exit status: 0 done, 2 usage, 3 a named input is bad, 4 the system refused.\n", stdout);
}

static int complain(const struct ood_error *err, bool usage)
{
    fprintf(stderr, "oodd: %s\n", err->message);
    if (usage)
        return USAGE;
    return err->code == OOD_SYSTEM || err->code == OOD_OUT_OF_MEMORY ? SYSTEM_REFUSED : BAD_INPUT;
}

/* ---- signals ---- */

static int signals = -1;                     /* a signalfd of those below */

static bool watch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)         /* before the first thread: all inherit it */
        return false;
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return signals >= 0;
}

/* The next signal, 0 if none came within so many seconds (INFINITY: forever). */
static int next_signal(double seconds)
{
    struct signalfd_siginfo info;
    fd_set set;
    FD_ZERO(&set);
    FD_SET(signals, &set);
    seconds = fmax(0, fmin(seconds, 3600));
    struct timespec timeout = { (time_t)seconds, (long)((seconds - floor(seconds)) * 1e9) };
    if (pselect(signals + 1, &set, NULL, NULL, &timeout, NULL) <= 0)
        return 0;
    return read(signals, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

static bool interrupted(void)
{
    int signal = next_signal(0);
    return signal == SIGTERM || signal == SIGINT;
}

static void reopen_log(void)
{
    struct ood_error err = { 0 };
    if (oodd_log_reopen(&err))
        oodd_log(OODD_INFO, "log opened again");
    else
        oodd_log(OODD_ERROR, "%s", err.message);
}

/* Until SIGTERM or SIGINT. */
static void serve(struct oodd_service *service)
{
    const double watchdog = oodd_systemd_watchdog();
    for (;;) {
        int signal = next_signal(watchdog > 0 ? watchdog / 3 : INFINITY);
        if (signal == SIGTERM || signal == SIGINT)
            return;
        if (signal == SIGHUP)
            oodd_service_reload(service);
        if (signal == SIGUSR1)
            reopen_log();
        oodd_service_tick(service);
    }
}

static int drain(struct oodd_service *service)
{
    double delay, limit, start = ood_clock();
    oodd_service_drain_times(service, &delay, &limit);
    oodd_log(OODD_INFO, "draining: accepting for %g s more, finishing within %g s", delay, limit);
    oodd_service_unready(service);
    bool cut = false;
    while (!cut && ood_clock() < start + delay) {
        int signal = next_signal(fmin(start + delay - ood_clock(), 1));
        cut = signal == SIGTERM || signal == SIGINT;
        oodd_service_tick(service);
    }
    if (!oodd_service_stop(service, ood_clock() + limit, interrupted))
        _exit(SYSTEM_REFUSED);
    oodd_log(OODD_INFO, "stopped");
    return DONE;
}

int main(int argc, char **argv)
{
    enum { CHECK = 256, PRINT, SAY_HELP, SAY_VERSION };
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "set", required_argument, NULL, 's' },
        { "check-config", no_argument, NULL, CHECK }, { "print-config", no_argument, NULL, PRINT },
        { "help", no_argument, NULL, SAY_HELP }, { "version", no_argument, NULL, SAY_VERSION }, { NULL, 0, NULL, 0 },
    };
    struct line line = { .count = 0 };
    struct ood_error err = { 0 };
    int mode = 0, option;
    while ((option = getopt_long(argc, argv, "-c:s:", options, NULL)) != -1) {
        if (option == '?')
            return USAGE;
        if (option >= CHECK) {
            mode = option;
            continue;
        }
        if (line.count == sizeof line.parts / sizeof line.parts[0]) {
            fprintf(stderr, "oodd: more than %zu arguments\n", line.count);
            return USAGE;
        }
        line.parts[line.count].kind = option == 1 ? 'b' : (char)option;
        line.parts[line.count++].text = optarg;
    }
    if (mode == SAY_HELP) {
        print_help();
        return DONE;
    }
    if (mode == SAY_VERSION) {
        char build[512];
        ood_build_description(build, sizeof build);
        printf("oodd %s\n%s\n", ood_version(), build);
        return DONE;
    }
    if (mode == PRINT || mode == CHECK) {
        struct oodd_config *config = mode == PRINT ? read_line(&line, &err) : read_and_check(&line, &err);
        if (config == NULL)
            return complain(&err, line.usage);
        if (mode == PRINT)
            oodd_config_print(config, stdout);
        oodd_config_free(config);
        return DONE;
    }
    mallopt(M_ARENA_MAX, 2);                 /* more arenas keep more freed memory, and the workers do not allocate */
    if (!watch_signals()) {
        fprintf(stderr, "oodd: cannot wait for signals: %s\n", strerror(errno));
        return SYSTEM_REFUSED;
    }
    const struct oodd_config_source source = { read_and_check, &line };
    struct oodd_service *service = oodd_service_start(&source, &err);
    if (service == NULL)
        return complain(&err, line.usage);
    serve(service);
    return drain(service);
}
