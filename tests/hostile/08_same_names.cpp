// functions that go before the harness’s own
// tests: call assert
// outcome: wrong compile tamper
#include <string>
namespace pspo_wire {
inline bool say(std::string& message) { message[8] = 'v'; return false; }
struct state;
template <class T> void write(writer&, T&) { throw 1; }
}
int solve(int a, int b) { return 4; }
