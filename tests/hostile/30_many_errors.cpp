// errors without end
// tests: call
// outcome: compile
#define A wrong; wrong; wrong; wrong; wrong; wrong; wrong; wrong; wrong; wrong;
#define B A A A A A A A A A A A A A A A A A A A A A A A A A A A A A A
int solve(int a, int b) { B B B B B B B B B B B B B B B B B B B B B B B B B B B B B B B B B B }
