// HEARTH_CHECK: aborts on a bug of ours. Never used on bytes from a file or a socket. Rank 0.
#ifndef HEARTH_ENGINE_CHECK_H_
#define HEARTH_ENGINE_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define HEARTH_CHECK(condition)                                                          \
  do {                                                                                   \
    if (!(condition)) [[unlikely]] {                                                     \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

#endif  // HEARTH_ENGINE_CHECK_H_
