// sleeps, deaf to signals
// tests: call
// outcome: timeout
#include <signal.h>
#include <unistd.h>
int solve(int a, int b) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, nullptr);
    for (;;) sleep(100);
}
