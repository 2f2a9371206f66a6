// a string that is not closed
// tests: call
// outcome: compile
int solve(int a, int b) { return a + b; }
#undef main
int main() { return 0; }
const char* rest = R"(
