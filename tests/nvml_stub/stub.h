/* What the files of the stub share: codes, handles, and how each function begins. */
#ifndef STUB_H
#define STUB_H

#include "control.h"

enum {
  SUCCESS = 0,
  UNINITIALIZED = 1,
  INVALID_ARGUMENT = 2,
  NOT_SUPPORTED = 3,
  NOT_FOUND = 6,
  INSUFFICIENT_SIZE = 7,
};

typedef unsigned long long u64;
typedef void *Device;

extern int stub_users; /* nvmlInit is counted */
int stub_gpu_of(Device handle);

double stub_busy_seconds(int gpu, double until);
int stub_is_mig(Device device);
int stub_mig_uuid(Device device, char *buffer, unsigned length);
int stub_mig_name(Device device, char *buffer, unsigned length);
int stub_mig_memory(Device device, const char *symbol, u64 *total, u64 *used, u64 *free);
void stub_events_shutdown(void); /* tells of what it finds in its way */

unsigned stub_celsius(int gpu);
u64 stub_power_milliwatts(int gpu);
u64 stub_energy_millijoules(int gpu);

#define BEGIN_SYSTEM                                                    \
  if (!stub_users) return UNINITIALIZED;                                     \
  {                                                                     \
    int code = stub_enter(NO_GPU, __func__, NO_ARGUMENT);               \
    if (code) return code;                                              \
  }
#define BEGIN(argument)                                                 \
  int gpu = stub_gpu_of(device);                                             \
  if (!stub_users) return UNINITIALIZED;                                     \
  if (gpu < 0 || gpu >= (int)stub_gpus()) return INVALID_ARGUMENT;      \
  {                                                                     \
    int code = stub_enter(gpu, __func__, (int)(argument));              \
    if (code) return code;                                              \
  }
#define NUMBER(otherwise) stub_number(gpu, __func__, NO_ARGUMENT, (u64)(otherwise))

#endif
