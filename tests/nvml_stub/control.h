/* The script of the stub: rules from the file that NVML_STUB_CONTROL names, read again whenever it
   is replaced, and a log of calls in the file that NVML_STUB_CALLS names.

   A line is one of
     gpus N                          how many GPUs there are (8, or NVML_STUB_GPUS; at most 254)
     time SECONDS                    stops the clock that values vary with
     GPU CALL error CODE             the call returns CODE
     GPU CALL value NUMBER|TEXT      the call answers this
     GPU CALL delay SECONDS          the call takes so long, or until the rule is gone
   GPU is an index, `*` for all, or `-` for calls that are not about a GPU. CALL is a function's
   symbol, `symbol:argument` (nvmlDeviceGetClockInfo:1, nvmlDeviceGetFieldValues:83) or `*`. A field
   of one part of the GPU, such as a link, is 1000 * part + field (nvmlDeviceGetFieldValues:2165 is
   the state of link 2); a value makes a field supported that was not. nvmlDeviceGetGpuFabricInfoV:0 and :1 are the
   fabric's state and its health mask. */
#ifndef CONTROL_H
#define CONTROL_H

#define NO_GPU (-1)
#define NO_ARGUMENT (-1)

unsigned stub_gpus(void);
double stub_seconds(void);
unsigned stub_scripts(void); /* how many were read */

/* Logs the call and takes its delay; 0 or the code it must return. */
int stub_enter(int gpu, const char *symbol, int argument);

/* The code that one field of a call must carry, without log or delay. */
int stub_error(int gpu, const char *symbol, int argument);

unsigned long long stub_number(int gpu, const char *symbol, int argument,
                               unsigned long long otherwise);
void stub_text(int gpu, const char *symbol, const char *otherwise, char *buffer, unsigned length);

#endif
