// kills whom it can
// tests: call
// outcome: wrong runtime
#include <signal.h>
int solve(int a, int b) {
    kill(1, SIGKILL);
    kill(-1, SIGKILL);
    return 4;
}
