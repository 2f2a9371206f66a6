// does not come to an end
// tests: call assert
// outcome: timeout
int solve(int a, int b) { for (volatile int i = 0;; ++i); }
