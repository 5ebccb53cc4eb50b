/* nvmlDeviceGetSamples: rings of the last 120 samples, five a second, each the mean since the one
   before it. */
#include <math.h>

#include "stub.h"

#define DEPTH 120
#define PERIOD_MICROSECONDS 200000ull

struct sample {
  u64 microseconds, value;
};

/* Scripted, `nvmlDeviceGetSamples:TYPE value N`: every sample is N percent. */
static unsigned percent(int gpu, unsigned type, u64 microseconds) {
  double to = (double)microseconds / 1e6, from = to - (double)PERIOD_MICROSECONDS / 1e6;
  double mean = 100 * (stub_busy_seconds(gpu, to) - stub_busy_seconds(gpu, from)) / (to - from);
  if (type == 2) mean /= 2;
  if (type > 2) mean = 0;
  return (unsigned)stub_number(gpu, "nvmlDeviceGetSamples", (int)type, (u64)(mean + 0.5));
}

/* `nvmlDeviceGetSamples:0 value N`: nothing was sampled after N seconds. */
int nvmlDeviceGetSamples(Device device, unsigned type, u64 last_seen, unsigned *value_type,
                         unsigned *count, struct sample *samples) {
  BEGIN(type)
  if (type < 1 || type > 4) return NOT_SUPPORTED;
  u64 now = (u64)(stub_seconds() * 1e6), end = stub_number(gpu, __func__, 0, 0) * 1000000;
  u64 newest = (end && end < now ? end : now) / PERIOD_MICROSECONDS;
  u64 oldest = newest < DEPTH ? 1 : newest - DEPTH + 1, found = 0;
  if (last_seen / PERIOD_MICROSECONDS + 1 > oldest) oldest = last_seen / PERIOD_MICROSECONDS + 1;
  *value_type = 1; /* unsigned int */
  if (oldest > newest) return NOT_FOUND;
  if (!samples) { /* `nvmlDeviceGetSamples:1000 value N`: as if the ring were of N samples */
    *count = (unsigned)stub_number(gpu, __func__, 1000, DEPTH);
    return SUCCESS;
  }
  if (*count < newest - oldest + 1) return INSUFFICIENT_SIZE;
  for (u64 number = oldest; number <= newest; number++) {
    u64 at = number * PERIOD_MICROSECONDS;
    u64 value = 0xdeadbeef00000000ull | percent(gpu, type, at); /* half of the union is undefined */
    samples[found++] = (struct sample){at, value};
  }
  *count = (unsigned)found;
  return SUCCESS;
}
