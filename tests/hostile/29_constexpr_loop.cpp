// a constant that takes forever
// tests: call
// outcome: compile
constexpr int forever() { for (long i = 0;; ++i) if (i < 0) return 1; }
constexpr int value = forever();
int solve(int a, int b) { return value; }
