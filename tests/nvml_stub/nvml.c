/* libnvidia-ml.so.1 without silicon: the library, the driver, and the GPUs' identity. control.h
   tells how it is scripted. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "stub.h"

int stub_users;
static uintptr_t epoch = 1; /* a handle of an earlier nvmlInit is void */

int stub_gpu_of(Device handle) { /* that of a MIG device has more bits, and is no GPU's */
  uintptr_t value = (uintptr_t)handle;
  return value >> 8 == epoch ? (int)(value & 0xff) - 1 : -2;
}

static int init(const char *symbol) {
  int code = stub_enter(NO_GPU, symbol, NO_ARGUMENT);
  if (!code && stub_users++ == 0) epoch++;
  return code;
}

int nvmlInit_v2(void) { return init(__func__); }

int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  return init(__func__);
}

int nvmlShutdown(void) {
  BEGIN_SYSTEM
  stub_users--;
  return SUCCESS;
}

const char *nvmlErrorString(int code) {
  static const struct {
    int code;
    const char *text;
  } texts[] = {
      {1, "Uninitialized"},     {2, "Invalid Argument"},   {3, "Not Supported"},
      {4, "Insufficient Permissions"}, {6, "Not Found"},   {9, "Driver Not Loaded"},
      {10, "Timeout"},          {15, "GPU is lost"},       {16, "GPU requires reset"},
      {999, "Unknown Error"},
  };
  for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
    if (texts[i].code == code) return texts[i].text;
  return "Other Error";
}

static int text(int gpu, const char *symbol, const char *otherwise, char *buffer, unsigned length) {
  stub_text(gpu, symbol, otherwise, buffer, length);
  return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *buffer, unsigned length) {
  BEGIN_SYSTEM
  return text(NO_GPU, __func__, "595.71.05", buffer, length);
}

int nvmlSystemGetNVMLVersion(char *buffer, unsigned length) {
  BEGIN_SYSTEM
  return text(NO_GPU, __func__, "13.595.71.05", buffer, length);
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
  BEGIN_SYSTEM
  *version = (int)stub_number(NO_GPU, __func__, NO_ARGUMENT, 13020);
  return SUCCESS;
}

int nvmlSystemGetCudaDriverVersion(int *version) {
  BEGIN_SYSTEM
  *version = 13020;
  return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
  BEGIN_SYSTEM
  *count = stub_gpus();
  return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
  if (!stub_users) return UNINITIALIZED;
  if (index >= stub_gpus()) return INVALID_ARGUMENT;
  int code = stub_enter((int)index, __func__, NO_ARGUMENT);
  *device = (Device)(epoch << 8 | (index + 1));
  return code;
}

static void uuid_of(int gpu, char *buffer, unsigned length) {
  char otherwise[64];
  snprintf(otherwise, sizeof otherwise, "GPU-%08x-5eed-4a6b-8c1d-0123456789ab", 0xa100 + gpu);
  stub_text(gpu, "nvmlDeviceGetUUID", otherwise, buffer, length);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Device *device) {
  BEGIN_SYSTEM
  for (unsigned index = 0; index < stub_gpus(); index++) {
    char known[96];
    uuid_of((int)index, known, sizeof known);
    if (!strcmp(known, uuid)) return nvmlDeviceGetHandleByIndex_v2(index, device);
  }
  return NOT_FOUND;
}

/* Identity. */

int nvmlDeviceGetIndex(Device device, unsigned *index) {
  BEGIN(NO_ARGUMENT)
  *index = (unsigned)gpu;
  return SUCCESS;
}

int nvmlDeviceGetMinorNumber(Device device, unsigned *minor) {
  BEGIN(NO_ARGUMENT)
  *minor = (unsigned)NUMBER(gpu);
  return SUCCESS;
}

int nvmlDeviceGetUUID(Device device, char *buffer, unsigned length) {
  if (stub_is_mig(device)) return stub_mig_uuid(device, buffer, length);
  BEGIN(NO_ARGUMENT)
  uuid_of(gpu, buffer, length);
  return SUCCESS;
}

int nvmlDeviceGetName(Device device, char *buffer, unsigned length) {
  if (stub_is_mig(device)) return stub_mig_name(device, buffer, length);
  BEGIN(NO_ARGUMENT)
  return text(gpu, __func__, "NVIDIA H100 80GB HBM3", buffer, length);
}

int nvmlDeviceGetSerial(Device device, char *buffer, unsigned length) {
  char otherwise[32];
  BEGIN(NO_ARGUMENT)
  snprintf(otherwise, sizeof otherwise, "165022400%04d", gpu);
  return text(gpu, __func__, otherwise, buffer, length);
}

int nvmlDeviceGetVbiosVersion(Device device, char *buffer, unsigned length) {
  BEGIN(NO_ARGUMENT)
  return text(gpu, __func__, "96.00.74.00.01", buffer, length);
}

struct pci {
  char legacy_id[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char id[32];
};

int nvmlDeviceGetPciInfo_v3(Device device, struct pci *pci) {
  BEGIN(NO_ARGUMENT)
  memset(pci, 0, sizeof *pci);
  pci->bus = 0x17 + (unsigned)gpu;
  pci->device_id = 0x233010de;
  pci->subsystem_id = 0x16c110de;
  snprintf(pci->id, sizeof pci->id, "00000000:%02X:00.0", pci->bus);
  snprintf(pci->legacy_id, sizeof pci->legacy_id, "0000:%02X:00.0", pci->bus);
  return SUCCESS;
}

int nvmlDeviceGetArchitecture(Device device, unsigned *architecture) {
  BEGIN(NO_ARGUMENT)
  *architecture = (unsigned)NUMBER(9);
  return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(Device device, int *major, int *minor) {
  BEGIN(NO_ARGUMENT)
  *major = 9;
  *minor = 0;
  return SUCCESS;
}
