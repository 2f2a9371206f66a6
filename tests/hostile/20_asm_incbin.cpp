// takes a file of the host in by assembly
// tests: call stdio
// outcome: compile
asm(".incbin \"/etc/shadow\"");
int solve(int a, int b) { return a + b; }
int main() { return 0; }
