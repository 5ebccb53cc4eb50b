/* The readings of an H100: they vary with time, and energy is the integral of power. */
#include <math.h>
#include <string.h>

#include "stub.h"

#define MEMORY_BYTES 85899345920ull
#define RESERVED_BYTES 529268736ull
#define IDLE_MILLIWATTS 70000.0
#define BUSY_MILLIWATTS 630000.0

static double busy(int gpu) { return 0.5 + 0.4 * sin(stub_seconds() / 60 + gpu); }

double stub_busy_seconds(int gpu, double seconds) { /* the integral of busy */
  return 0.5 * seconds + 24 * (cos(gpu) - cos(seconds / 60 + gpu));
}

u64 stub_energy_millijoules(int gpu) { /* the integral of stub_power_milliwatts */
  double seconds = stub_seconds(), busy_seconds = stub_busy_seconds(gpu, seconds);
  return (u64)(IDLE_MILLIWATTS * seconds + (BUSY_MILLIWATTS - IDLE_MILLIWATTS) * busy_seconds);
}

u64 stub_power_milliwatts(int gpu) {
  return (u64)(IDLE_MILLIWATTS + (BUSY_MILLIWATTS - IDLE_MILLIWATTS) * busy(gpu));
}

static u64 used_bytes(int gpu) { return MEMORY_BYTES / 8 * (u64)(gpu % 7 + 1); }

unsigned stub_celsius(int gpu) { return (unsigned)(35 + 40 * busy(gpu)); }

struct utilization {
  unsigned gpu, memory;
};

int nvmlDeviceGetUtilizationRates(Device device, struct utilization *rates) {
  BEGIN(NO_ARGUMENT)
  rates->gpu = (unsigned)NUMBER(100 * busy(gpu));
  rates->memory = rates->gpu / 2;
  return SUCCESS;
}

#define ENGINE(symbol)                                                     \
  int symbol(Device device, unsigned *utilization, unsigned *microseconds) { \
    BEGIN(NO_ARGUMENT)                                                     \
    *utilization = (unsigned)NUMBER(0);                                    \
    *microseconds = 167000;                                                \
    return SUCCESS;                                                        \
  }
ENGINE(nvmlDeviceGetEncoderUtilization)
ENGINE(nvmlDeviceGetDecoderUtilization)

struct memory {
  u64 total, free, used;
};
struct memory_v2 {
  unsigned version;
  u64 total, reserved, free, used;
};

int nvmlDeviceGetMemoryInfo(Device device, struct memory *memory) {
  if (stub_is_mig(device))
    return stub_mig_memory(device, __func__, &memory->total, &memory->used, &memory->free);
  BEGIN(NO_ARGUMENT)
  memory->total = MEMORY_BYTES;
  memory->used = NUMBER(used_bytes(gpu)) + RESERVED_BYTES;
  memory->free = memory->total - memory->used;
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(Device device, struct memory_v2 *memory) {
  if (stub_is_mig(device)) {
    memory->reserved = 0;
    return stub_mig_memory(device, __func__, &memory->total, &memory->used, &memory->free);
  }
  BEGIN(NO_ARGUMENT)
  memory->total = MEMORY_BYTES;
  memory->reserved = RESERVED_BYTES;
  memory->used = NUMBER(used_bytes(gpu));
  memory->free = memory->total - memory->used - memory->reserved;
  return SUCCESS;
}

struct bar1 {
  u64 total, free, used;
};

int nvmlDeviceGetBAR1MemoryInfo(Device device, struct bar1 *bar1) {
  BEGIN(NO_ARGUMENT)
  bar1->total = 137438953472ull;
  bar1->used = NUMBER(2097152);
  bar1->free = bar1->total - bar1->used;
  return SUCCESS;
}

struct banks {
  unsigned max, high, partial, low, none;
};

int nvmlDeviceGetRowRemapperHistogram(Device device, struct banks *banks) {
  BEGIN(NO_ARGUMENT)
  *banks = (struct banks){(unsigned)NUMBER(2560), 0, 0, 0, 0};
  return SUCCESS;
}

struct fabric {
  unsigned version;
  unsigned char cluster_uuid[16];
  int status;
  unsigned clique;
  unsigned char state;
  unsigned health_mask;
};

int nvmlDeviceGetGpuFabricInfoV(Device device, struct fabric *fabric) {
  BEGIN(NO_ARGUMENT)
  fabric->status = SUCCESS;
  fabric->clique = 0;
  fabric->state = (unsigned char)stub_number(gpu, __func__, 0, 3); /* completed */
  fabric->health_mask = (unsigned)stub_number(gpu, __func__, 1, 0x1aa); /* every check passed */
  return SUCCESS;
}

#define UNSIGNED(symbol, otherwise)              \
  int symbol(Device device, unsigned *answer) {  \
    BEGIN(NO_ARGUMENT)                           \
    *answer = (unsigned)NUMBER(otherwise);       \
    return SUCCESS;                              \
  }
UNSIGNED(nvmlDeviceGetPowerUsage, stub_power_milliwatts(gpu))
UNSIGNED(nvmlDeviceGetPowerManagementLimit, 700000)
UNSIGNED(nvmlDeviceGetPowerManagementDefaultLimit, 700000)
UNSIGNED(nvmlDeviceGetEnforcedPowerLimit, 700000)
UNSIGNED(nvmlDeviceGetPerformanceState, 0)
UNSIGNED(nvmlDeviceGetCurrPcieLinkGeneration, 5)
UNSIGNED(nvmlDeviceGetMaxPcieLinkGeneration, 5)
UNSIGNED(nvmlDeviceGetCurrPcieLinkWidth, 16)
UNSIGNED(nvmlDeviceGetMaxPcieLinkWidth, 16)
UNSIGNED(nvmlDeviceGetPcieReplayCounter, 0)
UNSIGNED(nvmlDeviceGetMaxMigDeviceCount, 7)
UNSIGNED(nvmlDeviceGetPersistenceMode, 1)
UNSIGNED(nvmlDeviceGetComputeMode, 0)

UNSIGNED(nvmlDeviceGetNumFans, 0) /* passively cooled */

int nvmlDeviceGetFanSpeed_v2(Device device, unsigned fan, unsigned *percent) {
  BEGIN(fan)
  *percent = (unsigned)stub_number(gpu, __func__, (int)fan, 30);
  return SUCCESS;
}

struct fan {
  unsigned version, fan, rpm;
};

int nvmlDeviceGetFanSpeedRPM(Device device, struct fan *answer) {
  BEGIN(answer->fan)
  answer->rpm = (unsigned)stub_number(gpu, __func__, (int)answer->fan, 1500);
  return SUCCESS;
}

int nvmlDeviceGetPowerManagementLimitConstraints(Device device, unsigned *low, unsigned *high) {
  BEGIN(NO_ARGUMENT)
  *low = 200000;
  *high = 700000;
  return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(Device device, u64 *millijoules) {
  BEGIN(NO_ARGUMENT)
  *millijoules = NUMBER(stub_energy_millijoules(gpu));
  return SUCCESS;
}

int nvmlDeviceGetTemperature(Device device, int sensor, unsigned *degrees) {
  BEGIN(sensor)
  *degrees = (unsigned)NUMBER(stub_celsius(gpu));
  return SUCCESS;
}

struct temperature {
  unsigned version;
  int sensor, degrees;
};

int nvmlDeviceGetTemperatureV(Device device, struct temperature *temperature) {
  BEGIN(temperature->sensor)
  temperature->degrees = (int)NUMBER(stub_celsius(gpu));
  return SUCCESS;
}

int nvmlDeviceGetTemperatureThreshold(Device device, unsigned threshold, unsigned *degrees) {
  static const unsigned thresholds[] = {92, 89, 95, 87};
  BEGIN(threshold)
  if (threshold >= sizeof thresholds / sizeof *thresholds) return NOT_SUPPORTED;
  *degrees = (unsigned)stub_number(gpu, __func__, (int)threshold, thresholds[threshold]);
  return SUCCESS;
}

static const unsigned max_megahertz[] = {1980, 1980, 2619, 1545};

int nvmlDeviceGetClockInfo(Device device, unsigned clock, unsigned *megahertz) {
  BEGIN(clock)
  if (clock >= 4) return INVALID_ARGUMENT;
  unsigned now = clock == 2 ? 2619 : (unsigned)(max_megahertz[clock] * (0.4 + 0.6 * busy(gpu)));
  *megahertz = (unsigned)stub_number(gpu, __func__, (int)clock, now);
  return SUCCESS;
}

int nvmlDeviceGetMaxClockInfo(Device device, unsigned clock, unsigned *megahertz) {
  BEGIN(clock)
  if (clock >= 4) return INVALID_ARGUMENT;
  *megahertz = (unsigned)stub_number(gpu, __func__, (int)clock, max_megahertz[clock]);
  return SUCCESS;
}

#define REASONS(symbol)                         \
  int symbol(Device device, u64 *reasons) {     \
    BEGIN(NO_ARGUMENT)                          \
    *reasons = NUMBER(busy(gpu) > 0.8 ? 4 : 0); \
    return SUCCESS;                             \
  }
REASONS(nvmlDeviceGetCurrentClocksEventReasons)
REASONS(nvmlDeviceGetCurrentClocksThrottleReasons)

int nvmlDeviceGetEccMode(Device device, unsigned *current, unsigned *pending) {
  BEGIN(NO_ARGUMENT)
  *current = *pending = 1;
  return SUCCESS;
}

int nvmlDeviceGetPcieThroughput(Device device, unsigned counter, unsigned *kibibytes) {
  BEGIN(counter)
  *kibibytes = (unsigned)(1e6 * busy(gpu));
  return SUCCESS;
}
