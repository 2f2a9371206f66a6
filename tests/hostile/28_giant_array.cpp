// an array that fills the disk
// tests: call stdio
// outcome: compile
int a[1ull << 32] = {1};
int solve(int b, int c) { return a[b] + c; }
int main() { return a[1]; }
