// an array that is larger than the memory that it may have
// tests: call stdio
// outcome: runtime memory
char a[1536u << 20];
int solve(int b, int c) { return a[b] + c; }
int main() { return a[1]; }
