// forks without end
// tests: call assert
// outcome: processes timeout
#include <unistd.h>
int solve(int a, int b) {
    for (;;) fork();
}
