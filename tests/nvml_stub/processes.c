/* Processes. `GPU nvmlDeviceGet…RunningProcesses_v3 value N` puts N into a list. `GPU pid:I value
   PID` (1000 + I), `memory:I` (bytes, 1 GiB), `instance:I` (of MIG, none), `sm:I` (percent) and
   `sampled:I` (microseconds, the stub's time) tell of the I-th of whichever list; from the first
   without `sm` on they are idle. */
#include "stub.h"

#define NOBODY 0xffffffffu
#define MOST 1024
#define IDLE 0xfffffffffffffffeull

struct process {
  unsigned pid;
  u64 used_bytes;
  unsigned gpu_instance, compute_instance;
};

static unsigned pid(int gpu, int number) {
  return (unsigned)stub_number(gpu, "pid", number, 1000 + (u64)number);
}

static int processes(int gpu, const char *symbol, unsigned *count, struct process *answer) {
  unsigned there = (unsigned)stub_number(gpu, symbol, NO_ARGUMENT, 0), room = *count;
  *count = there;
  if (there > room || (there && !answer)) return INSUFFICIENT_SIZE;
  for (int i = 0; i < (int)there; i++) {
    unsigned instance = (unsigned)stub_number(gpu, "instance", i, NOBODY);
    answer[i] = (struct process){pid(gpu, i), stub_number(gpu, "memory", i, 1 << 30), instance,
                                 instance};
  }
  return SUCCESS;
}

#define PROCESSES(symbol)                                              \
  int symbol(Device device, unsigned *count, struct process *answer) { \
    BEGIN(NO_ARGUMENT)                                                 \
    return processes(gpu, __func__, count, answer);                    \
  }
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v2)

struct sample {
  unsigned pid;
  u64 microseconds;
  unsigned sm, memory, encoder, decoder;
};

int nvmlDeviceGetProcessUtilization(Device device, struct sample *samples, unsigned *count,
                                    u64 since) {
  BEGIN(NO_ARGUMENT)
  unsigned room = *count, there = 0;
  for (int i = 0; i < MOST; i++) {
    u64 sm = stub_number(gpu, "sm", i, IDLE);
    if (sm == IDLE) break;
    u64 sampled = stub_number(gpu, "sampled", i, (u64)(stub_seconds() * 1e6));
    if (sampled <= since) continue;
    if (there < room && samples)
      samples[there] = (struct sample){pid(gpu, i), sampled, (unsigned)sm, 0, 0, 0};
    there++;
  }
  *count = there;
  if (!there) return NOT_FOUND;
  return there > room || !samples ? INSUFFICIENT_SIZE : SUCCESS;
}
