/* Counting and the Prometheus text. A shard's counters are atomic because more threads than shards share them; relaxed
 * ordering is enough, since nothing is concluded from one counter about another. */
#include "metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "plan/plan.h"

#define SHARDS 8
#define ROUTES_MOST 16                       /* the last is "other" */
#define BOUNDS_MOST 16

static const unsigned codes[] = { 200, 400, 401, 404, 405, 408, 411, 413, 415, 422, 429, 431, 500, 503 };
#define CODES (sizeof codes / sizeof codes[0])
static const char *const decisions[] = { "in", "review", "out", "error" };
static const char *const stages[OODD_STAGE_COUNT] = { "queue", "decode", "infer", "score" };
static const char *const rejections[OODD_REJECTION_COUNT] = {
#define WORD(name, word) [name] = word,
    OODD_REJECTIONS(WORD)
#undef WORD
};

struct bounds { size_t count; double at[BOUNDS_MOST]; };
static const struct bounds request_bounds = { 15, { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60 } };
static const struct bounds stage_bounds = { 14, { 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30 } };
static const struct bounds batch_bounds = { 7, { 1, 2, 4, 8, 16, 32, 64 } };
static const struct bounds p_bounds = { 12, { 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1 } };

typedef _Atomic uint64_t counter;
struct histogram { counter buckets[BOUNDS_MOST + 1], billionths; };       /* the sum, in 1e-9 */

struct shard {
    _Alignas(64) counter requests[ROUTES_MOST][CODES + 1];                 /* the last: any other code */
    struct histogram durations[ROUTES_MOST], stages[OODD_STAGE_COUNT], batches, p_values[OODD_METRICS_MODELS];
    counter items[OODD_METRICS_MODELS][4], rejected[OODD_REJECTION_COUNT], reloads[2];
};
static struct shard shards[SHARDS];

static pthread_mutex_t models_lock = PTHREAD_MUTEX_INITIALIZER;
static char models[OODD_METRICS_MODELS][OOD_NUMBER_TEXT * 3];
static size_t model_count;

static struct shard *mine(void)
{
    static atomic_uint threads;
    static _Thread_local struct shard *shard;
    if (shard == NULL)
        shard = &shards[atomic_fetch_add(&threads, 1) % SHARDS];
    return shard;
}

static void add(counter *to, uint64_t amount) { atomic_fetch_add_explicit(to, amount, memory_order_relaxed); }

static void observe(struct histogram *histogram, const struct bounds *bounds, double value)
{
    size_t bucket = 0;
    while (bucket < bounds->count && value > bounds->at[bucket])
        bucket++;
    add(&histogram->buckets[bucket], 1);
    add(&histogram->billionths, value > 0 ? (uint64_t)llround(value * 1e9) : 0);
}

static size_t route_index(const struct api_route *route)
{
    size_t index = route != NULL ? (size_t)(route - api_routes) : ROUTES_MOST - 1;
    return index < ROUTES_MOST - 1 ? index : ROUTES_MOST - 1;
}

void oodd_metrics_request(const struct api_route *route, unsigned code, double seconds)
{
    size_t index = route_index(route), place = 0;
    if (code == 0)
        return;
    while (place < CODES && codes[place] != code)
        place++;
    add(&mine()->requests[index][place], 1);
    observe(&mine()->durations[index], &request_bounds, seconds);
}

void oodd_metrics_rejected(enum oodd_rejection reason) { add(&mine()->rejected[reason], 1); }
void oodd_metrics_reload(bool succeeded) { add(&mine()->reloads[succeeded], 1); }
void oodd_metrics_queued(double seconds) { observe(&mine()->stages[OODD_STAGE_QUEUE], &stage_bounds, seconds); }

void oodd_metrics_batch(size_t items, const struct ood_timing *timing)
{
    observe(&mine()->batches, &batch_bounds, (double)items);
    observe(&mine()->stages[OODD_STAGE_DECODE], &stage_bounds, timing->decode);
    observe(&mine()->stages[OODD_STAGE_INFER], &stage_bounds, timing->infer);
    observe(&mine()->stages[OODD_STAGE_SCORE], &stage_bounds, timing->score);
}

void oodd_metrics_cut(const struct ood_timing *timing) { observe(&mine()->stages[OODD_STAGE_DECODE], &stage_bounds, timing->decode); }

void oodd_metrics_item(size_t slot, const struct ood_verdict *verdict)
{
    bool scored = verdict->error.code == OOD_OK;
    add(&mine()->items[slot][scored ? (size_t)verdict->decision : 3], 1);
    if (scored)
        observe(&mine()->p_values[slot], &p_bounds, verdict->p_value);
}

size_t oodd_metrics_model(const char *name)
{
    pthread_mutex_lock(&models_lock);
    size_t slot = 0;
    while (slot < model_count && strcmp(models[slot], name) != 0)
        slot++;
    if (slot == model_count && model_count < OODD_METRICS_MODELS) {
        bool last = model_count == OODD_METRICS_MODELS - 1;
        snprintf(models[model_count++], sizeof models[0], "%s", last ? "other" : name);
    }
    pthread_mutex_unlock(&models_lock);
    return slot < OODD_METRICS_MODELS ? slot : OODD_METRICS_MODELS - 1;
}

/* ---- the text ---- */

struct text { char *data; size_t size, capacity; struct ood_error *err; bool failed; };

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (text->failed || length < 0)
        return;
    size_t added = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
    if (text->size + added + 1 > text->capacity &&
        !ood_grow(&text->data, &text->capacity, text->size + added + 4096, 1, text->err)) {
        text->failed = true;
        return;
    }
    memcpy(text->data + text->size, line, added + 1);
    text->size += added;
}

static void head(struct text *text, const char *name, const char *type, const char *help)
{
    put(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The sum over the shards of the counter at this place in each. */
static uint64_t sum(const counter *first)
{
    uint64_t total = 0;
    size_t offset = (size_t)((const char *)first - (const char *)&shards[0]);
    for (size_t i = 0; i < SHARDS; i++)
        total += atomic_load_explicit((counter *)(void *)((char *)&shards[i] + offset), memory_order_relaxed);
    return total;
}

/* labels: "" or `name="value"`. */
static void put_histogram(struct text *text, const char *name, const char *labels, const struct histogram *histogram,
                          const struct bounds *bounds)
{
    const char *comma = labels[0] != '\0' ? "," : "", *open = labels[0] != '\0' ? "{" : "", *close = labels[0] != '\0' ? "}" : "";
    char number[OOD_NUMBER_TEXT];
    uint64_t total = 0;
    for (size_t i = 0; i <= bounds->count; i++) {
        total += sum(&histogram->buckets[i]);
        if (i < bounds->count)
            ood_print_double(bounds->at[i], number);
        put(text, "%s_bucket{%s%sle=\"%s\"} %llu\n", name, labels, comma, i < bounds->count ? number : "+Inf",
            (unsigned long long)total);
    }
    unsigned long long billionths = sum(&histogram->billionths);
    put(text, "%s_sum%s%s%s %llu.%09llu\n%s_count%s%s%s %llu\n", name, open, labels, close, billionths / 1000000000,
        billionths % 1000000000, name, open, labels, close, (unsigned long long)total);
}

static void put_requests(struct text *text)
{
    head(text, "oodd_requests_total", "counter", "Requests answered, by route and status code.");
    for (size_t route = 0; route < ROUTES_MOST; route++) {
        if (route >= api_route_count && route != ROUTES_MOST - 1)
            continue;
        const char *path = route < api_route_count ? api_routes[route].path : "other";
        for (size_t code = 0; code <= CODES; code++) {
            uint64_t total = sum(&shards[0].requests[route][code]);
            if (total == 0 && (code != 0 || route == ROUTES_MOST - 1))
                continue;                    /* a series begins with its first request; the good ones at 0 */
            if (code < CODES)
                put(text, "oodd_requests_total{route=\"%s\",code=\"%u\"} %llu\n", path, codes[code], (unsigned long long)total);
            else
                put(text, "oodd_requests_total{route=\"%s\",code=\"other\"} %llu\n", path, (unsigned long long)total);
        }
    }
    head(text, "oodd_request_duration_seconds", "histogram", "From the end of a request's header to its answer's last byte.");
    for (size_t route = 0; route < ROUTES_MOST; route++) {
        if (route >= api_route_count && route != ROUTES_MOST - 1)
            continue;
        char labels[128];
        snprintf(labels, sizeof labels, "route=\"%s\"", route < api_route_count ? api_routes[route].path : "other");
        put_histogram(text, "oodd_request_duration_seconds", labels, &shards[0].durations[route], &request_bounds);
    }
}

static void put_items(struct text *text)
{
    pthread_mutex_lock(&models_lock);
    size_t count = model_count;              /* names are never changed once there */
    pthread_mutex_unlock(&models_lock);
    head(text, "oodd_items_total", "counter", "Pictures, tensors and objects answered, by decision.");
    for (size_t model = 0; model < count; model++)
        for (size_t decision = 0; decision < 4; decision++)
            put(text, "oodd_items_total{model=\"%s\",decision=\"%s\"} %llu\n", models[model], decisions[decision],
                (unsigned long long)sum(&shards[0].items[model][decision]));
    head(text, "oodd_p_value", "histogram", "Conformal p-values of answered items.");
    for (size_t model = 0; model < count; model++) {
        char labels[128];
        snprintf(labels, sizeof labels, "model=\"%.*s\"", (int)sizeof models[0] - 1, models[model]);
        put_histogram(text, "oodd_p_value", labels, &shards[0].p_values[model], &p_bounds);
    }
    head(text, "oodd_stage_duration_seconds", "histogram", "Waiting of a request (queue), and what a batch took (the others).");
    for (size_t stage = 0; stage < OODD_STAGE_COUNT; stage++) {
        char labels[64];
        snprintf(labels, sizeof labels, "stage=\"%s\"", stages[stage]);
        put_histogram(text, "oodd_stage_duration_seconds", labels, &shards[0].stages[stage], &stage_bounds);
    }
    head(text, "oodd_batch_items", "histogram", "Items a worker took at once.");
    put_histogram(text, "oodd_batch_items", "", &shards[0].batches, &batch_bounds);
}

static void put_gauge(struct text *text, const char *name, const char *help, double value)
{
    char number[OOD_NUMBER_TEXT];
    ood_print_double(value, number);
    head(text, name, "gauge", help);
    put(text, "%s %s\n", name, number);
}

static void put_service(struct text *text, const struct oodd_gauges *gauges)
{
    put_gauge(text, "oodd_queue_items", "Items that wait.", (double)gauges->queue_items);
    put_gauge(text, "oodd_queue_limit_items", "The most items that may wait.", (double)gauges->queue_limit);
    put_gauge(text, "oodd_workers", "Threads that score.", (double)gauges->workers);
    put_gauge(text, "oodd_workers_busy", "Threads that are scoring now.", (double)gauges->workers_busy);
    put_gauge(text, "oodd_connections", "Open connections.", (double)gauges->connections);
    head(text, "oodd_rejected_total", "counter", "Requests and connections turned away or given up, by reason.");
    for (size_t reason = 0; reason < OODD_REJECTION_COUNT; reason++)
        put(text, "oodd_rejected_total{reason=\"%s\"} %llu\n", rejections[reason],
            (unsigned long long)sum(&shards[0].rejected[reason]));
    head(text, "oodd_model_reloads_total", "counter", "Reloads of configuration and bundles.");
    put(text, "oodd_model_reloads_total{result=\"succeeded\"} %llu\noodd_model_reloads_total{result=\"failed\"} %llu\n",
        (unsigned long long)sum(&shards[0].reloads[1]), (unsigned long long)sum(&shards[0].reloads[0]));
    head(text, "oodd_model_info", "gauge", "Models served; version is the SHA-256 of model.json.");
    for (size_t i = 0; i < gauges->service->model_count; i++)
        put(text, "oodd_model_info{model=\"%s\",version=\"%s\"} 1\n", gauges->service->models[i].name,
            ood_scorer_version(gauges->service->models[i].scorer));
    head(text, "oodd_model_loaded_timestamp_seconds", "gauge", "When a model was loaded, Unix time.");
    for (size_t i = 0; i < gauges->service->model_count; i++) {
        char number[OOD_NUMBER_TEXT];
        ood_print_double(gauges->service->models[i].loaded_at, number);
        put(text, "oodd_model_loaded_timestamp_seconds{model=\"%s\"} %s\n", gauges->service->models[i].name, number);
    }
}

/* ---- the process ---- */

/* The nth number, from 0, behind the last ')' of a file of /proc (stat), or from its beginning. */
static double proc_number(const char *path, int nth)
{
    char buffer[1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, buffer, sizeof buffer - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return 0;
    buffer[got] = '\0';
    char *at = strrchr(buffer, ')');
    at = at != NULL ? at + 2 : buffer;
    for (; nth > 0 && *at != '\0'; nth--)
        at += strcspn(at, " ") + 1;
    at[strcspn(at, " \n")] = '\0';
    double value;
    return ood_parse_double(at, &value) ? value : 0;
}

static size_t open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count > 3 ? count - 3 : 0;        /* ".", ".." and the folder's own */
}

/* When this process began, Unix time: ticks since boot, and the boot by two clocks read together. */
static double process_start(void)
{
    struct timespec real, boot;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    double ticks = proc_number("/proc/self/stat", 19) / (double)sysconf(_SC_CLK_TCK);
    return (double)(real.tv_sec - boot.tv_sec) + 1e-9 * (double)(real.tv_nsec - boot.tv_nsec) + ticks;
}

static void put_process(struct text *text)
{
    char number[OOD_NUMBER_TEXT];
    struct rlimit limit = { 0 };
    ood_print_double(ood_clock_process(), number);
    head(text, "process_cpu_seconds_total", "counter", "CPU time used.");
    put(text, "process_cpu_seconds_total %s\n", number);
    put_gauge(text, "process_resident_memory_bytes", "Resident memory.",
              proc_number("/proc/self/statm", 1) * (double)sysconf(_SC_PAGESIZE));
    put_gauge(text, "process_start_time_seconds", "When the process began, Unix time.", process_start());
    put_gauge(text, "process_open_fds", "Open file descriptors.", (double)open_files());
    getrlimit(RLIMIT_NOFILE, &limit);
    put_gauge(text, "process_max_fds", "The most file descriptors.", (double)limit.rlim_cur);
}

char *oodd_metrics_text(const struct oodd_gauges *gauges, size_t *size, struct ood_error *err)
{
    struct text text = { .err = err };
    char engine[160], *onednn = engine;
    ood_engine_description(engine, sizeof engine);
    if (strncmp(onednn, "oneDNN ", 7) == 0)
        onednn += 7;
    onednn[strcspn(onednn, " ,")] = '\0';
    head(&text, "oodd_build_info", "gauge", "What this is.");
    put(&text, "oodd_build_info{version=\"%s\",onednn=\"%s\",isa=\"%s\"} 1\n", ood_version(), onednn, ood_engine_isa());
    put_requests(&text);
    put_items(&text);
    put_service(&text, gauges);
    put_process(&text);
    if (text.failed) {
        ood_free(text.data);
        return NULL;
    }
    *size = text.size;
    return text.data;
}
