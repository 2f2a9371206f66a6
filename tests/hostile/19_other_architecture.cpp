// a system call of the 32-bit sort
// tests: call
// outcome: tamper runtime
int solve(int a, int b) {
    int result;
    asm volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
    return result > 0 ? 4 : 5;
}
