// throws what the tests may take for their own
// tests: call assert
// outcome: runtime
#include <stdexcept>
int solve(int a, int b) { throw std::logic_error("assertion passed"); }
