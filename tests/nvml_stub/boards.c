/* What boards and guests differ in: on-chip memory, margin, media engines, licences. */
#include <string.h>

#include "stub.h"

int nvmlDeviceGetJpgUtilization(Device device, unsigned *percent, unsigned *microseconds) {
  BEGIN(NO_ARGUMENT)
  *percent = (unsigned)NUMBER(0);
  *microseconds = 167000;
  return SUCCESS;
}

int nvmlDeviceGetOfaUtilization(Device device, unsigned *percent, unsigned *microseconds) {
  BEGIN(NO_ARGUMENT)
  *percent = (unsigned)NUMBER(0);
  *microseconds = 167000;
  return SUCCESS;
}

struct margin {
  unsigned version;
  int degrees;
};

int nvmlDeviceGetMarginTemperature(Device device, struct margin *margin) {
  BEGIN(NO_ARGUMENT)
  margin->degrees = (int)NUMBER(89 - stub_celsius(gpu));
  return SUCCESS;
}

struct sram {
  unsigned version;
  u64 aggregate[3], uncorrected_parity, uncorrected_secded, corrected, buckets[5];
  unsigned threshold_exceeded;
};

/* :0 corrected, :1 parity, :2 SEC-DED, :3 whether there were too many. */
int nvmlDeviceGetSramEccErrorStatus(Device device, struct sram *sram) {
  BEGIN(NO_ARGUMENT)
  sram->corrected = stub_number(gpu, __func__, 0, 0);
  sram->uncorrected_parity = stub_number(gpu, __func__, 1, 0);
  sram->uncorrected_secded = stub_number(gpu, __func__, 2, 0);
  sram->threshold_exceeded = (unsigned)stub_number(gpu, __func__, 3, 0);
  return SUCCESS;
}

struct feature {
  int code;
  unsigned state;
  char info[128], product[128];
  unsigned enabled;
  struct {
    unsigned year;
    unsigned short month, day, hour, minute, second;
    unsigned char status;
  } expiry;
};
struct features {
  int supported;
  unsigned count;
  struct feature feature[3];
};

/* A guest where a value says so: 1 with a licence that ends with 2030, 2 without one, 3 with one
   that ends on the 31st of February. */
int nvmlDeviceGetGridLicensableFeatures_v4(Device device, struct features *features) {
  BEGIN(NO_ARGUMENT)
  unsigned guest = (unsigned)NUMBER(0);
  memset(features, 0, sizeof *features);
  if (!guest) return SUCCESS;
  features->supported = 1;
  features->count = 1;
  struct feature *feature = features->feature;
  feature->code = 4;
  feature->enabled = guest != 2;
  strcpy(feature->product, "NVIDIA Virtual Compute Server");
  feature->expiry.year = 2030;
  feature->expiry.month = guest == 3 ? 2 : 12;
  feature->expiry.day = 31;
  feature->expiry.status = guest == 2 ? 0 : 2;
  return SUCCESS;
}
