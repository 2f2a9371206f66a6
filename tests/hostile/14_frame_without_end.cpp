// begins a message that has no end
// tests: call assert
// outcome: tamper
#include <unistd.h>
struct Say {
    char bytes[64];
    int size = 0;
    template <class T> Say& put(T value) { __builtin_memcpy(bytes + size, &value, sizeof value); size += sizeof value; return *this; }
    void to_all() { for (int fd = 3; fd < 128; ++fd) if (write(fd, bytes, size) < 0) continue; }
};
int solve(int a, int b) {
    Say().put(~0L).to_all();
    return 4;
}
