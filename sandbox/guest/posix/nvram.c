/* /dev/nvram: text that says with what arguments, environment, clock and kinds of channels to
 * start.
 *
 *   # a comment
 *   [args]
 *   args = program first "second one"
 *   [env]
 *   name=HOME, value=/tmp
 *   [time]
 *   seconds=1700000000
 *   [mapping]
 *   channel=/dev/stdin, mode=char
 *   [fstab]
 *   channel=/dev/1.data.tar, mountpoint=/, access=ro
 *
 * A record is a list of key=value pairs on one line. \xHH in a value is the byte with that number,
 * for commas, quotes, spaces and newlines. A record that is not understood is skipped, like one too
 * many. Runs before there is a heap, so everything stays in the text's own buffer. */
#include <stdlib.h>
#include <string.h>

#include "images.h"
#include "posix.h"

#define MAX_PAIRS 5

struct pair {
  char *key, *value;
};

static char text[NVRAM_BYTES + 1];
static char environment_text[NVRAM_BYTES]; /* "NAME=value", made of two pairs */
static size_t environment_used;
static char *arguments[NVRAM_STRINGS], *environment[NVRAM_STRINGS];
static size_t argument_count, environment_count;

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static char* trim(char* s) {
  while (is_space(*s)) ++s;
  size_t length = strlen(s);
  while (length > 0 && is_space(s[length - 1])) s[--length] = '\0';
  return s;
}

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place: the result is never longer. */
static void unescape(char* s) {
  char* out = s;
  while (*s != '\0') {
    if (s[0] == '\\' && s[1] == 'x' && hex(s[2]) >= 0 && hex(s[3]) >= 0) {
      *out++ = (char)(hex(s[2]) * 16 + hex(s[3]));
      s += 4;
    } else {
      *out++ = *s++;
    }
  }
  *out = '\0';
}

/* Words at blanks; double quotes keep blanks in one. Escapes are undone afterwards, so \x20 stays.
 */
static void read_arguments(char* s) {
  while (argument_count < NVRAM_STRINGS) {
    while (is_space(*s)) ++s;
    if (*s == '\0') return;
    char* out = s;
    arguments[argument_count++] = s;
    bool quoted = false;
    for (; *s != '\0' && (quoted || !is_space(*s)); ++s) {
      if (*s == '"')
        quoted = !quoted;
      else
        *out++ = *s;
    }
    const bool last = *s == '\0';
    *out = '\0';
    unescape(arguments[argument_count - 1]);
    if (last) return;
    ++s;
  }
}

static const char* value_of(const struct pair* pairs, int count, const char* key) {
  for (int i = 0; i < count; ++i) {
    if (strcmp(pairs[i].key, key) == 0) return pairs[i].value;
  }
  return NULL;
}

static void add_variable(const char* name, const char* value) {
  const size_t a = strlen(name), b = strlen(value);
  if (environment_count == NVRAM_STRINGS || a + b + 2 > sizeof environment_text - environment_used)
    return;
  char* out = environment_text + environment_used;
  memcpy(out, name, a);
  out[a] = '=';
  memcpy(out + a + 1, value, b + 1);
  environment_used += a + b + 2;
  environment[environment_count++] = out;
}

/* Whether this is the session that goes on after a fork, which has its arguments and its clock. */
static bool again;

static void record(const char* section, char* line) {
  if (strcmp(section, "args") == 0) {
    if (again) return;
    char* equals = strchr(line, '=');
    if (equals == NULL) return;
    *equals = '\0';
    if (strcmp(trim(line), "args") == 0) read_arguments(equals + 1);
    return;
  }
  struct pair pairs[MAX_PAIRS];
  int count = 0;
  for (char* rest = line; rest != NULL && count < MAX_PAIRS;) {
    char* pair = rest;
    rest = strchr(rest, ',');
    if (rest != NULL) *rest++ = '\0';
    char* equals = strchr(pair, '=');
    if (equals == NULL) return;
    *equals = '\0';
    pairs[count++] = (struct pair){trim(pair), trim(equals + 1)};
    unescape(pairs[count - 1].value);
  }
  const char *name = value_of(pairs, count, "name"), *value = value_of(pairs, count, "value");
  const char *channel = value_of(pairs, count, "channel"), *mode = value_of(pairs, count, "mode");
  const char* seconds = value_of(pairs, count, "seconds");
  if (strcmp(section, "env") == 0 && name != NULL && value != NULL) {
    if (again)
      setenv(name, value, 1);
    else
      add_variable(name, value);
  }
  if (strcmp(section, "mapping") == 0 && channel != NULL && mode != NULL) {
    zvm_map_channel(channel, mode);
  }
  const char *mountpoint = value_of(pairs, count, "mountpoint"),
             *access = value_of(pairs, count, "access");
  if (strcmp(section, "fstab") == 0 && channel != NULL && mountpoint != NULL && access != NULL) {
    (again ? zvm_add_image_again : zvm_add_image)(channel, mountpoint, access,
                                                  value_of(pairs, count, "removable"));
  }
  const char* precache = value_of(pairs, count, "precache");
  if (strcmp(section, "precache") == 0 && precache != NULL && !again) {
    zvm_set_precache(strcmp(precache, "yes") == 0);
  }
  const char* verbosity = value_of(pairs, count, "verbosity");
  if (strcmp(section, "debug") == 0 && verbosity != NULL) zvm_set_verbosity(atoi(verbosity));
  if (strcmp(section, "time") == 0 && seconds != NULL && !again) {
    const int64_t start = atoll(seconds);
    zvm_clock_start(start);
    zvm_random_start((uint64_t)start);
  }
}

/* `into` has room for NVRAM_BYTES and a NUL. At the start strings of it are kept. */
static void read_nvram(char* into) {
  const int channel = zvm_find_channel("/dev/nvram");
  if (channel < 0) return;
  const long size = zvm_read_channel(channel, into, NVRAM_BYTES);
  if (size <= 0) return;
  into[size] = '\0';
  const char* section = "";
  for (char* rest = into; rest != NULL;) {
    char* line = rest;
    rest = strchr(rest, '\n');
    if (rest != NULL) *rest++ = '\0';
    char* comment = strchr(line, '#');
    if (comment != NULL) *comment = '\0';
    line = trim(line);
    const size_t length = strlen(line);
    if (length >= 2 && line[0] == '[' && line[length - 1] == ']') {
      line[length - 1] = '\0';
      section = trim(line + 1);
    } else if (length > 0) {
      record(section, line);
    }
  }
}

void zvm_nvram_start(void) { read_nvram(text); }

void zvm_nvram_again(void) {
  char* copy = malloc(NVRAM_BYTES + 1);
  if (copy == NULL) return;
  again = true;
  read_nvram(copy);
  free(copy); /* setenv has copied, and the images are unpacked */
}

size_t zvm_nvram_arguments(char*** out) {
  *out = arguments;
  return argument_count;
}

size_t zvm_nvram_environment(char*** out) {
  *out = environment;
  return environment_count;
}
