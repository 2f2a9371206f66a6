// a binary that nearly fills the folder in which it is to run
// tests: call stdio
// outcome: compile
int a[3 << 20] = {1};
int solve(int b, int c) { return a[b] + c; }
int main() { return a[1]; }
