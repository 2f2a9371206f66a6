// a namespace that is not closed
// tests: call assert
// outcome: compile
int solve(int a, int b) { return a + b; }
namespace rest {
