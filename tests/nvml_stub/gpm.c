/* GPU performance monitoring: a sample knows its GPU, its GPU instance and its time, and metrics
   follow from two of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stub.h"

#define WHOLE 0xffffffffu
#define UNSCRIPTED 0xfffffffffffffffeull
#define NOT_A_NUMBER 0xffffffffffffffffull
#define CYCLES_PER_SECOND 1.98e9

struct sample {
  int gpu;
  unsigned instance;
  double seconds;
};
struct metric {
  unsigned id;
  int code;
  double value;
  const char *names[3];
};
struct metrics {
  unsigned version, count;
  struct sample *first, *second;
  struct metric metric[];
};
struct support {
  unsigned version, supported;
};

static int allocated; /* how many samples there are now */

int nvmlGpmStubSamples(void) { return allocated; }

int nvmlGpmQueryDeviceSupport(Device device, struct support *support) {
  BEGIN(NO_ARGUMENT)
  support->supported = (unsigned)NUMBER(1);
  return SUCCESS;
}

int nvmlGpmSampleAlloc(struct sample **sample) {
  BEGIN_SYSTEM
  *sample = calloc(1, sizeof **sample);
  allocated++;
  return SUCCESS;
}

int nvmlGpmSampleFree(struct sample *sample) {
  BEGIN_SYSTEM
  free(sample);
  allocated--;
  return SUCCESS;
}

static int take(int gpu, unsigned instance, struct sample *sample) {
  *sample = (struct sample){gpu, instance, stub_seconds()};
  return SUCCESS;
}

int nvmlGpmSampleGet(Device device, struct sample *sample) {
  BEGIN(NO_ARGUMENT)
  return take(gpu, WHOLE, sample);
}

/* A GPU has the instances that a value is scripted for: `0 nvmlGpmMigSampleGet:3 value 1`. */
int nvmlGpmMigSampleGet(Device device, unsigned instance, struct sample *sample) {
  BEGIN(instance)
  if (!stub_number(gpu, __func__, (int)instance, 0)) return INVALID_ARGUMENT;
  return take(gpu, instance, sample);
}

/* The mean, or the value at the second sample for what counts since the machine was started. */
static double value_of(const struct metrics *metrics, unsigned id) {
  int gpu = metrics->first->gpu;
  double from = metrics->first->seconds, to = metrics->second->seconds;
  double busy = (stub_busy_seconds(gpu, to) - stub_busy_seconds(gpu, from)) / (to - from);
  if (id == 255 || id == 256) return 1e9 * to;
  if (id == 248) return CYCLES_PER_SECOND * to;
  if (id > 248) return CYCLES_PER_SECOND * stub_busy_seconds(gpu, to) / (double)(id - 240);
  if (id == 20 || id == 21 || id == 60 || id == 61) return 1000 * busy;
  return 100 * busy / (id < 30 ? id : 30);
}

static int is_supported(unsigned id) {
  return (id >= 1 && id <= 13) || id == 20 || id == 21 || (id >= 30 && id <= 36) ||
         (id >= 40 && id <= 46) || id == 50 || id == 60 || id == 61 || (id >= 248 && id <= 260);
}

static void answer(const struct metrics *metrics, struct metric *metric) {
  const char *symbol = "nvmlGpmMetricsGet";
  int gpu = metrics->first->gpu;
  u64 scripted = stub_number(gpu, symbol, (int)metric->id, UNSCRIPTED);
  metric->code = SUCCESS;
  if (scripted == NOT_A_NUMBER)
    metric->value = NAN;
  else if (scripted != UNSCRIPTED)
    metric->value = (double)scripted;
  else if (is_supported(metric->id))
    metric->value = value_of(metrics, metric->id);
  else
    metric->code = NOT_SUPPORTED;
  int code = stub_error(gpu, symbol, (int)metric->id);
  if (code) metric->code = code;
}

int nvmlGpmMetricsGet(struct metrics *metrics) {
  if (!stub_users) return UNINITIALIZED;
  if (!metrics->first || !metrics->second || metrics->version != 1) return INVALID_ARGUMENT;
  if (metrics->first->gpu != metrics->second->gpu ||
      metrics->first->instance != metrics->second->instance)
    return INVALID_ARGUMENT;
  int instance = (int)metrics->first->instance; /* the argument of the log; -1 the whole GPU */
  int code = stub_enter(metrics->first->gpu, __func__, instance);
  if (code) return code;
  /* `nvmlGpmMetricsGet:1000 value N`: a driver that refuses all for the metric N. */
  u64 unknown = stub_number(metrics->first->gpu, __func__, 1000, UNSCRIPTED);
  for (unsigned i = 0; i < metrics->count; i++)
    if (metrics->metric[i].id == unknown) return INVALID_ARGUMENT;
  for (unsigned i = 0; i < metrics->count; i++) answer(metrics, &metrics->metric[i]);
  return SUCCESS;
}
