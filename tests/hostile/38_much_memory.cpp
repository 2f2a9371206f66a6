// takes memory without end
// tests: call assert
// outcome: memory
#include <string.h>
int solve(int a, int b) {
    for (;;) memset(new char[1 << 24], 1, 1 << 24);
}
