// a forbidden system call, by hand
// tests: call assert
// outcome: tamper
int solve(int a, int b) {
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(101), "D"(0), "S"(0), "d"(0) : "rcx", "r11", "memory");
    return a + b;
}
