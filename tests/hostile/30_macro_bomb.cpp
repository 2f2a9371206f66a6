// a macro that grows without measure
// tests: call
// outcome: compile
#define A(x) x + x + x + x + x + x + x + x + x + x
#define B(x) A(A(A(A(A(A(A(A(x))))))))
int solve(int a, int b) { return B(a); }
