/* Strings, formatting and scanning, wide characters, regular expressions, dates, streams in memory.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <locale.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

static void memory_functions(void) {
  /* Every alignment and small size against a plain loop. */
  static unsigned char a[200], b[200], c[200];
  unsigned checked = 0;
  for (size_t from = 0; from < 17; ++from) {
    for (size_t to = 0; to < 17; ++to) {
      for (size_t n = 0; n < 130; n += 1 + n / 16) {
        for (size_t i = 0; i < 200; ++i) a[i] = b[i] = (unsigned char)(i * 7 + n);
        memcpy(c, a, 200);
        memmove(a + to, a + from, n);
        for (size_t i = 0; i < n; ++i) b[to + i] = c[from + i];
        if (memcmp(a, b, 200) != 0) printf("memmove %zu %zu %zu\n", from, to, n);
        memset(a + to, 0x5a, n);
        for (size_t i = 0; i < n; ++i) b[to + i] = 0x5a;
        if (memcmp(a, b, 200) != 0) printf("memset %zu %zu\n", to, n);
        ++checked;
      }
    }
  }
  printf("memory functions: %u cases\n", checked);
}

int main(void) {
  memory_functions();
  char buffer[200];
  printf("%5d|%-5d|%05d|%+d|%x|%#o|%c|%10.3s|%*d\n", 42, 42, 42, 42, 255, 8, 'z', "abcdef", 6, 7);
  printf("%lld %llu %zu %hhd %ld\n", -9223372036854775807LL, 18446744073709551615ULL, sizeof buffer,
         300, 1L << 40);
  printf("%f %e %g %10.2f|%-10.1e|%a\n", 3.14159, 12345.678, 0.0001, 2.71828, 99999.0, 0.5);
  int i;
  double d;
  char word[20];
  printf("%d ", sscanf("17 2.5 words here", "%d %lf %19s", &i, &d, word));
  printf("%d %g %s\n", i, d, word);
  strcpy(buffer, "one,two,,three");
  for (char *rest = buffer, *part; (part = strsep(&rest, ",")) != NULL;) printf("[%s]", part);
  printf(" %s %s %zu\n", strstr("haystack with needle", "needle"), strrchr("a/b/c", '/'),
         strspn("aabbc", "ab"));
  printf("%ld %lu %s\n", strtol("-0x1f", NULL, 0), strtoul("777", NULL, 8), strerror(2));

  regex_t expression;
  regmatch_t match[3];
  regcomp(&expression, "([a-z]+)@([a-z.]+)", REG_EXTENDED);
  const char* mail = "write to someone@example.org today";
  printf("%d ", regexec(&expression, mail, 3, match, 0));
  printf("%.*s\n", (int)(match[2].rm_eo - match[2].rm_so), mail + match[2].rm_so);
  regfree(&expression);

  struct tm day = {.tm_year = 112, .tm_mon = 1, .tm_mday = 29, .tm_hour = 12};
  strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S %a %j", &day);
  printf("%s %ld\n", buffer, (long)timegm(&day));

  char* text = NULL;
  size_t size = 0;
  FILE* stream = open_memstream(&text, &size);
  for (int k = 0; k < 1000; ++k) fprintf(stream, "%d,", k);
  fclose(stream);
  printf("%zu %.20s\n", size, text);
  free(text);

  setlocale(LC_ALL, "C.UTF-8");
  wchar_t wide[20];
  printf("%zu ", mbstowcs(wide, "gr\xc3\xbc\xc3\x9f", 20));
  printf("%zu %d\n", wcslen(wide), toupper('q'));
  char copy[30];
  snprintf(copy, sizeof copy, "%s", "cut off at thirty characters exactly here");
  printf("%zu %s\n", strlen(copy), copy);
  return 0;
}
