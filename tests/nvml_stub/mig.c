/* MIG: a GPU is cut if `GPU nvmlDeviceGetMigMode value 1` says so, into the devices that have a value:
   `GPU nvmlDeviceGetMigDeviceHandleByIndex:POSITION value 71` is GPU instance 7, compute instance 1. */
#include <stdint.h>
#include <stdio.h>

#include "stub.h"

#define MOST_DEVICES 7
#define GIB (1ull << 30)
#define NONE 0xffffffffull

static const char HANDLE[] = "nvmlDeviceGetMigDeviceHandleByIndex";

/* The bits of a handle: the GPU's own below, then which instance, and where it is listed. */
static Device handle_of(Device gpu, unsigned position, u64 instance) {
  return (Device)((uintptr_t)gpu | (uintptr_t)instance << 32 | (uintptr_t)(position + 1) << 48);
}
static Device gpu_of(Device device) { return (Device)((uintptr_t)device & 0xffffffff); }
static unsigned instance_of(Device device) { return (uintptr_t)device >> 32 & 0xffff; }
static unsigned position_of(Device device) { return (unsigned)((uintptr_t)device >> 48) - 1; }

int stub_is_mig(Device device) { return (uintptr_t)device >> 48 != 0; }

/* The GPU's index, if the instance is still there; otherwise minus the code to return. */
static int enter(Device device, const char *symbol) {
  int gpu = stub_gpu_of(gpu_of(device));
  if (!stub_users) return -UNINITIALIZED;
  if (!stub_is_mig(device) || gpu < 0) return -INVALID_ARGUMENT;
  unsigned position = position_of(device);
  if (stub_number(gpu, HANDLE, (int)position, NONE) != instance_of(device))
    return -INVALID_ARGUMENT;
  int code = stub_enter(gpu, symbol, (int)position);
  return code ? -code : gpu;
}
#define BEGIN_MIG                    \
  int gpu = enter(device, __func__); \
  if (gpu < 0) return -gpu;

int nvmlDeviceGetMigMode(Device device, unsigned *current, unsigned *pending) {
  BEGIN(NO_ARGUMENT)
  *current = (unsigned)NUMBER(0);
  *pending = (unsigned)stub_number(gpu, __func__, 1, *current);
  return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device device, unsigned position, Device *mig) {
  BEGIN(position)
  if (position >= MOST_DEVICES) return INVALID_ARGUMENT;
  u64 instance = stub_number(gpu, HANDLE, (int)position, NONE);
  if (!stub_number(gpu, "nvmlDeviceGetMigMode", NO_ARGUMENT, 0) || instance == NONE)
    return NOT_FOUND;
  *mig = handle_of(device, position, instance);
  return SUCCESS;
}

int nvmlDeviceGetGpuInstanceId(Device device, unsigned *id) {
  BEGIN_MIG
  *id = instance_of(device) / 10;
  return SUCCESS;
}

int nvmlDeviceGetComputeInstanceId(Device device, unsigned *id) {
  BEGIN_MIG
  *id = instance_of(device) % 10;
  return SUCCESS;
}

int stub_mig_uuid(Device device, char *buffer, unsigned length) {
  int gpu = enter(device, "nvmlDeviceGetUUID");
  if (gpu < 0) return -gpu;
  snprintf(buffer, length, "MIG-%08x-5eed-4a6b-8c1d-%012u", 0xa100 + gpu, instance_of(device));
  return SUCCESS;
}

/* How many of eight parts of the memory, by the ids that an H100 gives its instances. */
static unsigned eighths(Device device) {
  unsigned id = instance_of(device) / 10;
  return id == 0 ? 8 : id <= 2 ? 4 : id <= 6 ? 2 : 1;
}

struct attributes {
  unsigned multiprocessors, engines[5], gpu_slices, compute_slices;
  u64 megabytes;
};

/* An eighth of the memory comes with 16 SMs. */
int nvmlDeviceGetAttributes_v2(Device device, struct attributes *attributes) {
  BEGIN_MIG
  unsigned parts = eighths(device);
  *attributes = (struct attributes){
      .multiprocessors = 16 * parts, .gpu_slices = parts, .megabytes = parts * 10 * 1024};
  return SUCCESS;
}

int stub_mig_name(Device device, char *buffer, unsigned length) {
  int gpu = enter(device, "nvmlDeviceGetName");
  if (gpu < 0) return -gpu;
  unsigned parts = eighths(device), slices = parts == 8 ? 7 : parts == 4 ? 3 : parts;
  char otherwise[64];
  snprintf(otherwise, sizeof otherwise, "NVIDIA H100 80GB HBM3 MIG %ug.%ugb", slices, 10 * parts);
  char symbol[64];
  snprintf(symbol, sizeof symbol, "nvmlDeviceGetName:%u", position_of(device));
  stub_text(gpu, symbol, otherwise, buffer, length);
  return SUCCESS;
}

int stub_mig_memory(Device device, const char *symbol, u64 *total, u64 *used, u64 *free) {
  int gpu = enter(device, symbol);
  if (gpu < 0) return -gpu;
  *total = eighths(device) * 10 * GIB;
  *used = stub_number(gpu, symbol, (int)position_of(device), GIB);
  *free = *total - *used;
  return SUCCESS;
}

/* Where an instance lies: profile 19 from memory slice 4 on, if no value says otherwise
   (nvmlGpuInstanceGetInfo:INSTANCE value 100 * profile + slice). */
struct instance_info {
  Device device;
  unsigned id, profile;
  struct {
    unsigned start, size;
  } placement;
};

int nvmlDeviceGetGpuInstanceById(Device device, unsigned id, Device *instance) {
  BEGIN(id)
  *instance = handle_of(device, 0, id);
  return SUCCESS;
}

int nvmlGpuInstanceGetInfo(Device instance, struct instance_info *info) {
  int gpu = stub_gpu_of(gpu_of(instance));
  if (!stub_users) return UNINITIALIZED;
  if (gpu < 0) return INVALID_ARGUMENT;
  unsigned id = instance_of(instance);
  int code = stub_enter(gpu, __func__, (int)id);
  if (code) return code;
  u64 lies = stub_number(gpu, __func__, (int)id, 1904);
  *info = (struct instance_info){gpu_of(instance), id, (unsigned)lies / 100, {(unsigned)lies % 100, 1}};
  return SUCCESS;
}
