// starts itself again with a library of its own
// tests: call
// outcome: timeout wrong runtime
#include <stdlib.h>
#include <unistd.h>
int solve(int a, int b) {
    setenv("LD_PRELOAD", "/tmp/main", 1);
    if (getenv("AGAIN")) return 4;
    setenv("AGAIN", "1", 1);
    execl("/tmp/main", "main", (char*)nullptr);
    return 4;
}
