// fills its folder, and the program’s own file
// tests: call
// outcome: wrong runtime
#include <fstream>
#include <string>
#include <unistd.h>
int solve(int a, int b) {
    unlink("/tmp/main");
    std::ofstream("/tmp/main") << "#!/bin/sh\nexit 0\n";
    for (int i = 0; i < 1000; ++i) std::ofstream("/tmp/" + std::to_string(i)) << std::string(1 << 20, 'x');
    std::ofstream("/etc/written") << 1;
    std::ofstream("/usr/x") << 1;
    return 4;
}
