// embeds a file of the host
// tests: call
// outcome: compile wrong
const unsigned char bytes[] = {
#embed "/etc/passwd"
};
int solve(int a, int b) { return bytes[0]; }
