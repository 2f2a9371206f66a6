// does not come to an end before it is asked
// tests: call
// outcome: timeout
struct First { First() { for (volatile int i = 0;; ++i); } } first;
int solve(int a, int b) { return a + b; }
