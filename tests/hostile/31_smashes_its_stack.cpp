// writes over the harness’s stack
// tests: call assert
// outcome: wrong runtime tamper timeout
int solve(int a, int b) {
    volatile char here[8];
    for (int i = 0; i < 4096; ++i) here[i] = 3;
    return 4;
}
