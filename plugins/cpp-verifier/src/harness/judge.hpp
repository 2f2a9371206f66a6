// The tests' side, which is trusted: the functions under test are stubs that ask the program's process. It says `c` with
// a function's number and arguments to ask, `w` with the assertion that failed, `t` where an answer is no answer, `x`
// where it is one of another type, and `d` when the tests have ended by themselves.
#include <assert.h>

namespace pspo_wire {

[[noreturn]] inline void conclude(char letter, const std::string& text = {}) {
    say(letter + text);
    pspo_exit_now(1);
}

// Whether the tests speak of NaN. Those that do not mean a number: of NaN every comparison is false, also one that is to
// find what is too far from the expected.
inline bool nan_is_meant = false;

struct question {
    writer asks;
    std::string heard;
    reader from{nullptr, nullptr};

    explicit question(std::uint32_t function) {
        asks.letter('c');
        asks.put(&function, sizeof function);
    }
    void ask() {
        if (!say(asks.bytes) || !hear(heard)) pspo_exit_now(1);
        from = {heard.data(), heard.data() + heard.size()};
    }
    template <class T> T get() {
        if constexpr (std::is_void_v<T>) {
            check(from.letter_is('n') ? state::good : from.went);
        } else {
            from.takes_nan = nan_is_meant;
            T value = read<T>(from);
            check(from.went);
            return value;
        }
    }
    void end() { check(from.done()); }
    static void check(state went) {
        if (went != state::good) conclude(went == state::misfit ? 'x' : 't');
    }
};

// Destroyed when `main` has returned; whatever else ends the process does not come here.
struct at_the_end {
    ~at_the_end() { say("d"); }
};
inline at_the_end ends;

}  // namespace pspo_wire

// What `assert` calls, here in the C library's stead.
extern "C" void __assert_fail(const char* expression, const char*, unsigned line, const char*) noexcept {
    pspo_wire::conclude('w', "line " + std::to_string(line) + ": " + expression);
}
