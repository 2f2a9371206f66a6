// The program's side: asks nothing, answers what it is asked. A question is its number as eight bytes, the function's
// as four, and the arguments. An answer is the question's number, and a letter: `v` with the result and the arguments
// that are to come back, `x` where the arguments are none of the function's, `o` where there is too much to say.
#include <tuple>

namespace pspo_wire {

// The types of a function's first parameters, as values.
template <class... T> struct parameters {};

// How many parameters a function has beyond the arguments that it gets: the fewer, the better.
template <int N> struct rank : rank<N - 1> {};
template <> struct rank<0> {};

// That the result is of whatever type the function gives.
struct own {};

template <class Result, std::size_t... Back, class Function, class... T>
state answer(reader& from, writer& to, parameters<T...>, Function function) {
    // Within braces, values are read in order.
    std::tuple<T...> values{read<T>(from)...};
    if (from.done() != state::good) return from.went;
    std::apply([&](auto&... each) {
        using given = decltype(function(each...));
        if constexpr (std::is_void_v<given> || std::is_void_v<Result>) {
            function(each...);
            to.letter('n');
        } else {
            std::conditional_t<std::is_same_v<Result, own>, std::remove_cvref_t<given>, Result> result = function(each...);
            write<decltype(result)>(to, result);
        }
    }, values);
    (write<std::tuple_element_t<Back, std::tuple<T...>>>(to, std::get<Back>(values)), ...);
    return state::good;
}

// Answers until nobody asks any more.
template <class Answers> int serve(Answers answers) {
    for (std::string question; hear(question);) {
        reader from{question.data(), question.data() + question.size()};
        std::uint64_t number = 0;
        std::uint32_t function = 0;
        from.take(&number, sizeof number);
        from.take(&function, sizeof function);
        writer to;
        to.count(number);
        to.letter('v');
        char letter = answers(function, from, to) != state::good ? 'x' : to.bytes.size() > largest ? 'o' : 'v';
        if (letter != 'v') {
            to.bytes.resize(8);
            to.letter(letter);
        }
        if (!say(to.bytes)) break;
    }
    return 0;
}

}  // namespace pspo_wire

// What stands behind the program uses these names alone, which no macro of the program's is likely to have.
using pspo_rank = pspo_wire::rank<3>;
constexpr pspo_wire::state pspo_no_function = pspo_wire::state::malformed;
template <class Answers> int pspo_serve(Answers answers) { return pspo_wire::serve(answers); }
template <class Parameters, class Function>
pspo_wire::state pspo_answer(pspo_wire::reader& from, pspo_wire::writer& to, Parameters types, Function function) {
    return pspo_wire::answer<pspo_wire::own>(from, to, types, function);
}
