/* oodctl: makes bundles and asks them. The commands are rows of one table; each is a file of this folder. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/oodctl/oodctl.h"

static const struct ctl_command *const commands[] = { &ctl_fit, &ctl_train, &ctl_calibrate, &ctl_eval, &ctl_score, &ctl_inspect, &ctl_verify, &ctl_bench };

#define COMMANDS (sizeof commands / sizeof commands[0])

static void help(void)
{
    printf("Usage: oodctl COMMAND [OPTION]… [OPERAND]…\n"
           "When not to believe a vision network: out-of-distribution scores for pictures.\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
    printf("\noodctl COMMAND --help lists a command's options. oodctl --version says what was built.\n"
           "Exit status: 0 done; 1 the answer is no; 2 usage; 3 an input is bad or missing; 4 the system refused.\n");
}

void ctl_version(void)
{
    char text[512];
    ood_build_description(text, sizeof text);
    printf("oodctl %s\n%s\n", ood_version(), text);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        ctl_say("command missing; oodctl --help lists them");
        return CTL_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help();
        return CTL_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        ctl_version();
        return CTL_DONE;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(commands[i], argc - 1, argv + 1);
    ctl_say("%s: no such %s; see oodctl --help", argv[1], argv[1][0] == '-' ? "option" : "command");
    return CTL_USAGE;
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);
    /* A result that did not reach its reader is not a result. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        ctl_say("standard output: %s", strerror(errno));
        return CTL_SYSTEM;
    }
    return status;
}
