// includes a file without end
// tests: call stdio
// outcome: compile
#include "/dev/random"
int solve(int a, int b) { return a + b; }
