// answers by the time at which it was compiled
// tests: call
// outcome: wrong
int solve(int a, int b) { return 100 + __TIME__[7]; }
