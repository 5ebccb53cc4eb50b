/* nvmlDeviceGetFieldValues of an H100: it has 18 NVLinks, no fan, and no pages to retire. */
#include "stub.h"

#define LINKS 18
#define ALL_LINKS 0xffffffffu
#define UNSCRIPTED 0xfffffffffffffffeull

enum value_type { UINT = 1, ULONGLONG = 3 };

struct field {
  unsigned id, scope;
  long long timestamp, latency;
  unsigned type;
  int code;
  u64 value;
};

static u64 garbage(u64 value) { /* the union's other bytes are not defined */
  return 0xdeadbeef00000000ull | (value & 0xffffffff);
}

static void answer_field(int gpu, struct field *field) {
  const char *symbol = "nvmlDeviceGetFieldValues";
  int all = field->scope == ALL_LINKS;
  int argument = (int)(all ? field->id : 1000 * field->scope + field->id);
  u64 value = 0;
  field->type = ULONGLONG;
  field->code = SUCCESS;
  switch (field->id) {
    case 1: case 2: value = 1; field->type = UINT; break;
    case 3: case 4: case 5: case 6: break;
    case 74: value = (u64)(stub_seconds() * 1e8); break;
    case 75: case 76: case 77: case 78: case 79: case 80: case 81: break;
    case 82: value = stub_celsius(gpu) + 8; field->type = UINT; break;
    case 83: value = stub_energy_millijoules(gpu); break;
    case 94: field->type = UINT; break;
    case 91: value = LINKS; field->type = UINT; break;
    case 138: case 139: case 140: case 141:
      value = (u64)(stub_seconds() * 1e6) / (all ? 1 : LINKS);
      break;
    case 142: case 143: case 144: case 145: field->type = UINT; break;
    case 161: case 162: case 163: /* by link only */
      field->type = UINT;
      if (field->scope >= LINKS) field->code = INVALID_ARGUMENT;
      break;
    case 164:
      value = 26562;
      field->type = UINT;
      if (field->scope >= LINKS) field->code = INVALID_ARGUMENT;
      break;
    case 165:
      value = 1;
      field->type = UINT;
      if (field->scope >= LINKS) field->code = INVALID_ARGUMENT;
      break;
    case 173: case 174: case 175: case 176: case 177: case 178: case 179: case 180: case 181:
    case 182: case 183: field->type = UINT; break;
    case 185: case 186: value = stub_power_milliwatts(gpu); field->type = UINT; break;
    case 230: field->type = UINT; break;
    case 269: case 270: case 271: break;
    default: field->code = NOT_SUPPORTED;
  }
  u64 scripted = stub_number(gpu, symbol, argument, UNSCRIPTED);
  if (scripted != UNSCRIPTED) {
    value = scripted;
    field->code = SUCCESS;
  }
  int code = stub_error(gpu, symbol, argument);
  if (code) field->code = code;
  field->value = value;
  if (field->type == UINT) field->value = garbage(field->value);
}

int nvmlDeviceGetFieldValues(Device device, int count, struct field *fields) {
  BEGIN(NO_ARGUMENT)
  for (int i = 0; i < count; i++) answer_field(gpu, &fields[i]);
  return SUCCESS;
}
