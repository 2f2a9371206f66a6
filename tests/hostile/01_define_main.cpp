// makes a macro of `main`
// tests: call assert
// outcome: wrong compile
#define main main() { return 0; } int not_main
int solve(int a, int b) { return 4; }
