/* A fork after which the program finds the environment and the files of the session that goes on.
 */
#include <stdio.h>
#include <zrt.h>

#include "posix.h"

int zfork(void) {
  fflush(NULL);
  const int result = zvm_fork();
  zvm_nvram_again();
  return result;
}
