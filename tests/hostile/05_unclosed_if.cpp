// an `#if` that is not closed, behind a `main` of its own
// tests: call assert
// outcome: compile
int solve(int a, int b) { return a + b; }
#undef main
int main() { return 0; }
#if 0
