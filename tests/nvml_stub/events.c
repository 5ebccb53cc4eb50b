/* Events. `GPU event:N value XID` delivers that Xid, for N from 0 to 3, once for each script that
   says so, to a wait on a set in which the GPU is registered. A call `- misuse` in the log is a set
   or a call that nvmlShutdown or nvmlEventSetFree found in its way. */
#include <stdlib.h>
#include <time.h>

#include "stub.h"

#define MOST_GPUS 64
#define NUMBERS 4
#define NONE 0xfffffffffffffffeull
#define STEP_MILLISECONDS 10
#define XID_CRITICAL_ERROR 8
#define TIMEOUT 10

struct set {
  Device registered[MOST_GPUS];
};
typedef struct set *Set;

struct event {
  Device device;
  u64 type, data;
  unsigned gpu_instance, compute_instance;
};

static int sets, calls; /* that exist, and that are under way in one */
static unsigned delivered[MOST_GPUS][NUMBERS]; /* the script that was last obeyed */

static void misuse(void) { stub_enter(NO_GPU, "misuse", NO_ARGUMENT); }

void stub_events_shutdown(void) {
  if (__atomic_load_n(&sets, __ATOMIC_SEQ_CST) || __atomic_load_n(&calls, __ATOMIC_SEQ_CST)) misuse();
}

int nvmlEventSetCreate(Set *set) {
  BEGIN_SYSTEM
  *set = calloc(1, sizeof **set);
  __atomic_add_fetch(&sets, 1, __ATOMIC_SEQ_CST);
  return SUCCESS;
}

int nvmlEventSetFree(Set set) {
  BEGIN_SYSTEM
  if (__atomic_load_n(&calls, __ATOMIC_SEQ_CST)) misuse();
  __atomic_sub_fetch(&sets, 1, __ATOMIC_SEQ_CST);
  free(set);
  return SUCCESS;
}

static int enter_register(const char *symbol, Device device, Set set) {
  int gpu = stub_gpu_of(device);
  if (!stub_users) return UNINITIALIZED;
  if (gpu < 0 || gpu >= (int)stub_gpus()) return INVALID_ARGUMENT;
  int code = stub_enter(gpu, symbol, NO_ARGUMENT);
  if (!code) set->registered[gpu] = device;
  return code;
}

int nvmlDeviceRegisterEvents(Device device, u64 types, Set set) {
  (void)types;
  __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  int code = enter_register(__func__, device, set);
  __atomic_sub_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  return code;
}

static int due(Set set, struct event *event) {
  for (int gpu = 0; gpu < MOST_GPUS; gpu++) {
    if (!set->registered[gpu]) continue;
    for (int number = 0; number < NUMBERS; number++) {
      u64 xid = stub_number(gpu, "event", number, NONE);
      if (xid == NONE || delivered[gpu][number] == stub_scripts()) continue;
      delivered[gpu][number] = stub_scripts();
      *event = (struct event){set->registered[gpu], XID_CRITICAL_ERROR, xid, 0xffffffff, 0xffffffff};
      return 1;
    }
  }
  return 0;
}

static int enter_wait(const char *symbol, Set set, struct event *event, unsigned milliseconds) {
  if (!stub_users) return UNINITIALIZED;
  int code = stub_enter(NO_GPU, symbol, NO_ARGUMENT);
  if (code) return code;
  for (unsigned waited = 0; !due(set, event); waited += STEP_MILLISECONDS) {
    if (waited >= milliseconds) return TIMEOUT;
    nanosleep(&(struct timespec){0, STEP_MILLISECONDS * 1000000}, 0);
  }
  return SUCCESS;
}

int nvmlEventSetWait_v2(Set set, struct event *event, unsigned milliseconds) {
  __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  int code = enter_wait(__func__, set, event, milliseconds);
  __atomic_sub_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  return code;
}
