/* train: step after step to the end of the budget, checkpoints and evaluations between; SIGINT and SIGTERM end it after the step at hand. */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "daemon/oodctl/train.h"

#define LOG_STEPS 10

/* ---- signals: a number is noted, nothing else happens in a handler; the second of a kind ends the program as if there were none ---- */

static volatile sig_atomic_t noted;

static void note(int number)
{
    noted = number;
}

static void watch_signals(bool on)
{
    struct sigaction action = { .sa_handler = note, .sa_flags = (int)SA_RESETHAND };
    if (!on)
        action.sa_handler = SIG_DFL;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- the budget ---- */

double train_elapsed(const struct train *train) { return train->elapsed_before + (ood_clock() - train->started); }

static double epoch(const struct train *train)
{
    return (double)ood_training_steps(train->training) * (double)train->training_options.trainer.in / (double)train->fit_in.count;
}

/* What is done of it; of several limits, of the one that ends first. */
static double progress(const struct train *train)
{
    const struct train_options *o = &train->options;
    double done = 0;
    if (o->steps > 0)
        done = fmax(done, (double)ood_training_steps(train->training) / (double)o->steps);
    if (!isnan(o->epochs))
        done = fmax(done, epoch(train) / o->epochs);
    if (!isnan(o->minutes))
        done = fmax(done, train_elapsed(train) / (60 * o->minutes));
    return done;
}

/* ---- the loop ---- */

struct loop {
    struct train *train;
    struct ctl_progress shown;
    struct train_sums since_line, since_log;
    double last_checkpoint, next_evaluation;
};

static bool evaluate(struct loop *loop, struct ood_error *err)
{
    struct train *train = loop->train;
    if (!train_evaluate(train, &train->shown_in, &train->shown_out, &train->last, err))
        return false;
    train->has_last = true;
    if (!train->has_first) {
        train->first = train->last;
        train->has_first = true;
    }
    train_say_evaluation(train, &train->last, epoch(train));
    return train_log_evaluation(train, &train->last, epoch(train), err);
}

static bool checkpoint(struct loop *loop, struct ood_error *err)
{
    loop->last_checkpoint = ood_clock();
    return loop->train->options.checkpoint == NULL || train_checkpoint(loop->train, err);
}

/* What follows a step. */
static bool between(struct loop *loop, const struct ood_training_report *report, double done, struct ood_error *err)
{
    struct train *train = loop->train;
    char line[512];
    train_add(&loop->since_line, report);
    train_add(&loop->since_log, report);
    if (ctl_progress_due(&loop->shown)) {
        train_line(train, &loop->since_line, epoch(train), done, line, sizeof line);
        ctl_progress_line(&loop->shown, line);
        loop->since_line = (struct train_sums){ .since = ood_clock() };
    }
    if (loop->since_log.steps == LOG_STEPS) {
        if (!train_log_steps(train, &loop->since_log, epoch(train), done, err))
            return false;
        loop->since_log = (struct train_sums){ .since = ood_clock() };
    }
    if (ood_clock() - loop->last_checkpoint >= 60 * train->options.checkpoint_minutes && done < 1 && !checkpoint(loop, err))
        return false;
    if (done >= loop->next_evaluation && done < 1) {
        double share = 1 / (double)train->options.evaluations;
        loop->next_evaluation = share * (floor(done / share) + 1);
        return evaluate(loop, err);
    }
    return true;
}

static bool run(struct loop *loop, struct ood_error *err)
{
    struct train *train = loop->train;
    for (double done = progress(train); done < 1 && noted == 0; done = progress(train)) {
        struct ood_training_report report;
        if (!ood_training_step(train->training, done, &report, err))
            return ood_error_prefix(err, "step %llu", (unsigned long long)ood_training_steps(train->training) + 1);
        if (!between(loop, &report, progress(train), err))
            return false;
    }
    return true;
}

bool train_loop(struct train *train, struct ood_error *err)
{
    struct loop loop = { .train = train, .next_evaluation = INFINITY };
    train->started = ood_clock();
    watch_signals(true);
    if (train->options.evaluations > 0) {
        double share = 1 / (double)train->options.evaluations;
        loop.next_evaluation = share * (floor(progress(train) / share) + 1);
    }
    ctl_progress_start(&loop.shown, "train", 0);
    loop.since_line.since = loop.since_log.since = ood_clock();
    bool done = train_log_event(train, train->resumed_at > 0 ? "resumed" : "started", err) && (train->resumed_at > 0 || checkpoint(&loop, err)) &&
                (train->options.evaluations == 0 || train->resumed_at > 0 || evaluate(&loop, err)) && run(&loop, err);
    ctl_progress_end(&loop.shown);
    train->signal = done ? (int)noted : 0;
    if (done)
        done = checkpoint(&loop, err) && train_log_event(train, train->signal != 0 ? "stopped" : "trained", err);
    watch_signals(false);
    if (done && train->signal != 0)
        ctl_say("train: stopped by signal %d after step %llu%s%s", train->signal, (unsigned long long)ood_training_steps(train->training),
                train->options.checkpoint != NULL ? "; --resume goes on from " : "; there is no --checkpoint to go on from",
                train->options.checkpoint != NULL ? train->options.checkpoint : "");
    return done;
}
