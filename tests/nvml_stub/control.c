#include "control.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_RULES 512
#define STEP_NANOSECONDS 2000000

enum verb { ERROR, VALUE, DELAY };

struct rule {
  char gpu[8], call[96], text[96];
  enum verb verb;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[MOST_RULES];
static int rule_count;
static unsigned gpus = 8, unscripted_gpus = 8;
static double stopped_at = -1;
static unsigned scripts;
static struct stat read_from;

__attribute__((constructor)) static void begin(void) {
  const char *count = getenv("NVML_STUB_GPUS");
  if (count) gpus = unscripted_gpus = (unsigned)atoi(count);
}

static void parse(FILE *file) {
  char line[256], verb[16];
  scripts++;
  rule_count = 0;
  gpus = unscripted_gpus;
  stopped_at = -1;
  while (fgets(line, sizeof line, file) && rule_count < MOST_RULES) {
    struct rule *rule = &rules[rule_count];
    if (sscanf(line, "gpus %u", &gpus) == 1 || sscanf(line, "time %lf", &stopped_at) == 1)
      continue;
    if (sscanf(line, "%7s %95s %15s %95[^\n]", rule->gpu, rule->call, verb, rule->text) != 4)
      continue;
    rule->verb = *verb == 'e' ? ERROR : *verb == 'v' ? VALUE : DELAY;
    rule_count++;
  }
}

static void refresh(void) {
  const char *path = getenv("NVML_STUB_CONTROL");
  struct stat now;
  if (!path || stat(path, &now)) return;
  if (now.st_ino == read_from.st_ino && now.st_size == read_from.st_size &&
      !memcmp(&now.st_mtim, &read_from.st_mtim, sizeof now.st_mtim))
    return;
  FILE *file = fopen(path, "r");
  if (!file) return;
  parse(file);
  fclose(file);
  read_from = now;
}

/* The last matching rule's text, or 0. */
static int find(int gpu, const char *symbol, int argument, enum verb verb, char text[96]) {
  char index[8], exact[128];
  int found = 0;
  snprintf(index, sizeof index, gpu == NO_GPU ? "-" : "%d", gpu);
  snprintf(exact, sizeof exact, "%s:%d", symbol, argument);
  pthread_mutex_lock(&lock);
  if (verb == DELAY) refresh(); /* once for each call, and while it waits; not for each field */
  for (int i = rule_count - 1; i >= 0 && !found; i--) {
    const struct rule *rule = &rules[i];
    if (rule->verb != verb) continue;
    if (strcmp(rule->gpu, index) && strcmp(rule->gpu, "*")) continue;
    if (strcmp(rule->call, symbol) && strcmp(rule->call, exact) && strcmp(rule->call, "*")) continue;
    strcpy(text, rule->text);
    found = 1;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

static void log_call(int gpu, const char *symbol, int argument) {
  const char *path = getenv("NVML_STUB_CALLS");
  if (!path) return;
  char line[160];
  int length = snprintf(line, sizeof line, "%d %s %d\n", gpu, symbol, argument);
  int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  if (write(file, line, (size_t)length) < 0) perror("nvml stub");
  close(file);
}

static double monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int stub_enter(int gpu, const char *symbol, int argument) {
  char text[96];
  if (!getenv("NVML_STUB_CONTROL")) return 0;
  log_call(gpu, symbol, argument);
  double started = monotonic();
  while (find(gpu, symbol, argument, DELAY, text) && monotonic() - started < atof(text))
    nanosleep(&(struct timespec){0, STEP_NANOSECONDS}, 0);
  return stub_error(gpu, symbol, argument);
}

int stub_error(int gpu, const char *symbol, int argument) {
  char text[96];
  return find(gpu, symbol, argument, ERROR, text) ? atoi(text) : 0;
}

unsigned long long stub_number(int gpu, const char *symbol, int argument,
                               unsigned long long otherwise) {
  char text[96];
  if (!getenv("NVML_STUB_CONTROL")) return otherwise;
  return find(gpu, symbol, argument, VALUE, text) ? strtoull(text, 0, 0) : otherwise;
}

void stub_text(int gpu, const char *symbol, const char *otherwise, char *buffer, unsigned length) {
  char text[96];
  int scripted = find(gpu, symbol, NO_ARGUMENT, VALUE, text);
  snprintf(buffer, length, "%s", scripted ? text : otherwise);
}

unsigned stub_gpus(void) {
  pthread_mutex_lock(&lock);
  refresh();
  unsigned count = gpus;
  pthread_mutex_unlock(&lock);
  return count;
}

double stub_seconds(void) { return stopped_at >= 0 ? stopped_at : monotonic(); }

unsigned stub_scripts(void) { return scripts; }
