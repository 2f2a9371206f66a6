// poisons a name of the harness
// tests: call assert
// outcome: compile
#pragma GCC optimize("Ofast")
int solve(int a, int b) { return a + b; }
#pragma GCC poison pspo_serve
