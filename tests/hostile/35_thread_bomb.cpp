// starts threads without end
// tests: call
// outcome: processes
#include <thread>
#include <unistd.h>
int solve(int a, int b) {
    for (;;) new std::thread([] { for (;;) pause(); });
}
