// Plain values as bytes, for both sides. Every value begins with a letter:
//   n  nothing
//   b  a truth: one byte, 0 or 1
//   i  a signed, u an unsigned integer: eight bytes, the lowest first, as all numbers here
//   g  a single, d a double
//   s  text: its length as eight bytes, then its bytes; a char is a text of one
//   [  a list, a pair, a tuple, an array, a set: the number of values as eight bytes, then they
//   {  a map: the number of pairs, then key, value, key, value
// It stands before any other code, and what it declares has names that programs do not use.
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

// The C library's, without the headers that would declare a hundred common words beside them.
extern "C" long pspo_read(int, void*, unsigned long) __asm__("read");
extern "C" long pspo_write(int, const void*, unsigned long) __asm__("write");
extern "C" char* pspo_getenv(const char*) __asm__("getenv");
extern "C" int pspo_atoi(const char*) __asm__("atoi");
extern "C" [[noreturn]] void pspo_exit_now(int) __asm__("_exit");

namespace pspo_wire {

// Bytes of a message, at most; as in channel.rs.
constexpr std::uint64_t largest = 16 << 20;

// How reading a value went: what came may be of another kind than what is read, or no value at all.
enum class state { good, misfit, malformed };

template <class T> concept is_text = std::is_same_v<T, std::string>;
template <class T> concept is_real = std::is_floating_point_v<T>;
template <class T> concept is_whole = std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>
    && !std::is_same_v<T, wchar_t> && !std::is_same_v<T, char8_t> && !std::is_same_v<T, char16_t>
    && !std::is_same_v<T, char32_t>;
template <class T> concept is_record = requires { std::tuple_size<T>::value; };
template <class T> concept is_optional = requires(T t) {
    typename T::value_type; t.has_value(); t.value(); t.reset();
};
template <class T> concept is_map = requires(T t) {
    typename T::key_type; typename T::mapped_type; t.begin(); t.end(); t.size();
};
template <class T> concept is_list = !is_text<T> && !is_map<T> && !is_record<T>
    && requires(T t, typename T::value_type value) { t.begin(); t.end(); t.size(); t.insert(t.end(), value); };

template <class T> constexpr bool crosses();
template <class T, std::size_t... I> constexpr bool all_cross(std::index_sequence<I...>) {
    return (crosses<std::remove_cv_t<std::tuple_element_t<I, T>>>() && ...);
}
// Whether a type's values are plain data.
template <class T> constexpr bool crosses() {
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, char> || is_whole<T> || is_real<T> || is_text<T>) return true;
    else if constexpr (is_record<T>) return all_cross<T>(std::make_index_sequence<std::tuple_size<T>::value>());
    else if constexpr (is_map<T>) return crosses<typename T::key_type>() && crosses<typename T::mapped_type>();
    else if constexpr (is_optional<T> || is_list<T>) return crosses<typename T::value_type>();
    else return false;
}

struct writer {
    std::string bytes;
    void put(const void* from, std::size_t size) { bytes.append(static_cast<const char*>(from), size); }
    void letter(char tag) { bytes.push_back(tag); }
    void count(std::uint64_t number) { put(&number, sizeof number); }
};

template <class T> void write(writer& to, const T& value) {
    static_assert(crosses<T>(), "a value of this type is no plain data");
    if constexpr (std::is_same_v<T, bool>) {
        to.letter('b');
        to.letter(value ? 1 : 0);
    } else if constexpr (std::is_same_v<T, char>) {
        to.letter('s');
        to.count(1);
        to.letter(value);
    } else if constexpr (is_whole<T> && std::is_signed_v<T>) {
        std::int64_t number = value;
        to.letter('i');
        to.put(&number, sizeof number);
    } else if constexpr (is_whole<T>) {
        std::uint64_t number = value;
        to.letter('u');
        to.put(&number, sizeof number);
    } else if constexpr (std::is_same_v<T, float>) {
        to.letter('g');
        to.put(&value, sizeof value);
    } else if constexpr (is_real<T>) {
        double number = static_cast<double>(value);
        to.letter('d');
        to.put(&number, sizeof number);
    } else if constexpr (is_text<T>) {
        to.letter('s');
        to.count(value.size());
        to.put(value.data(), value.size());
    } else if constexpr (is_record<T>) {
        to.letter('[');
        to.count(std::tuple_size<T>::value);
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (write<std::remove_cv_t<std::tuple_element_t<I, T>>>(to, get<I>(value)), ...);
        }(std::make_index_sequence<std::tuple_size<T>::value>());
    } else if constexpr (is_map<T>) {
        to.letter('{');
        to.count(value.size());
        for (const auto& pair : value) {
            write<typename T::key_type>(to, pair.first);
            write<typename T::mapped_type>(to, pair.second);
        }
    } else if constexpr (is_optional<T>) {
        if (value.has_value()) write<typename T::value_type>(to, value.value());
        else to.letter('n');
    } else {
        to.letter('[');
        to.count(value.size());
        for (auto&& item : value) write<typename T::value_type>(to, item);
    }
}

struct reader {
    const char* at;
    const char* end;
    state went = state::good;
    bool takes_nan = true;

    void fail(state how) {
        if (went == state::good) went = how;
        at = end;
    }
    bool take(void* to, std::size_t size) {
        if (static_cast<std::size_t>(end - at) < size) {
            fail(state::malformed);
            return false;
        }
        __builtin_memcpy(to, at, size);
        at += size;
        return true;
    }
    char letter() {
        char tag = 0;
        take(&tag, 1);
        return tag;
    }
    bool letter_is(char expected) {
        if (letter() == expected) return true;
        fail(state::misfit);
        return false;
    }
    // Every value takes a byte at least, so no more of them are announced than there are bytes.
    std::uint64_t count() {
        std::uint64_t number = 0;
        if (take(&number, sizeof number) && number > static_cast<std::uint64_t>(end - at)) {
            fail(state::malformed);
            return 0;
        }
        return number;
    }
    // That nothing is left over.
    state done() {
        if (at != end) fail(state::malformed);
        return went;
    }
};

template <class T, class Number> T ranged(reader& from) {
    Number number = 0;
    from.take(&number, sizeof number);
    if (std::in_range<T>(number)) return static_cast<T>(number);
    from.fail(state::misfit);
    return T{};
}

template <class T> T read(reader& from) {
    static_assert(crosses<T>(), "a value of this type is no plain data");
    if constexpr (std::is_same_v<T, bool>) {
        if (!from.letter_is('b')) return false;
        char truth = from.letter();
        if (truth != 0 && truth != 1) from.fail(state::malformed);
        return truth == 1;
    } else if constexpr (std::is_same_v<T, char>) {
        if (!from.letter_is('s')) return 0;
        if (from.count() != 1) {
            from.fail(state::misfit);
            return 0;
        }
        return from.letter();
    } else if constexpr (is_whole<T>) {
        char tag = from.letter();
        if (tag == 'i') return ranged<T, std::int64_t>(from);
        if (tag == 'u') return ranged<T, std::uint64_t>(from);
        from.fail(state::misfit);
        return 0;
    } else if constexpr (is_real<T>) {
        char tag = from.letter();
        auto number = [&]<class Number>(Number value) {
            from.take(&value, sizeof value);
            // Not by a comparison, which flags may let the compiler leave out.
            if (!from.takes_nan && __builtin_isnan(static_cast<double>(value))) from.fail(state::misfit);
            return static_cast<T>(value);
        };
        if (tag == 'i') return number(std::int64_t());
        if (tag == 'u') return number(std::uint64_t());
        if (tag == 'g') return number(float());
        if (tag == 'd') return number(double());
        from.fail(state::misfit);
        return 0;
    } else if constexpr (is_text<T>) {
        if (!from.letter_is('s')) return {};
        std::size_t size = from.count();
        T text(from.at, size);
        from.at += size;
        return text;
    } else if constexpr (is_record<T>) {
        T record{};
        if (!from.letter_is('[')) return record;
        if (from.count() != std::tuple_size<T>::value) {
            from.fail(state::misfit);
            return record;
        }
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            ((get<I>(record) = read<std::remove_cv_t<std::tuple_element_t<I, T>>>(from)), ...);
        }(std::make_index_sequence<std::tuple_size<T>::value>());
        return record;
    } else if constexpr (is_map<T>) {
        T map{};
        if (!from.letter_is('{')) return map;
        for (std::uint64_t left = from.count(); left > 0 && from.went == state::good; --left) {
            auto key = read<typename T::key_type>(from);
            map.insert({std::move(key), read<typename T::mapped_type>(from)});
        }
        return map;
    } else if constexpr (is_optional<T>) {
        if (from.at == from.end || *from.at != 'n') return read<typename T::value_type>(from);
        ++from.at;
        return {};
    } else {
        T list{};
        if (!from.letter_is('[')) return list;
        for (std::uint64_t left = from.count(); left > 0 && from.went == state::good; --left)
            list.insert(list.end(), read<typename T::value_type>(from));
        return list;
    }
}

// A message: its length as eight bytes, then it. What cannot be said or heard ends the process: nobody is there.
inline int channel() {
    static const int number = [] {
        const char* text = pspo_getenv("PSPO_CHANNEL");
        return text ? pspo_atoi(text) : -1;
    }();
    return number;
}

inline bool hear(void* to, std::size_t size) {
    for (char* at = static_cast<char*>(to); size > 0;) {
        long heard = pspo_read(channel(), at, size);
        if (heard <= 0) return false;
        at += heard;
        size -= static_cast<std::size_t>(heard);
    }
    return true;
}

inline bool hear(std::string& message) {
    std::uint64_t size = 0;
    if (!hear(&size, sizeof size) || size > largest) return false;
    message.resize(size);
    return hear(message.data(), size);
}

inline bool say(const std::string& message) {
    writer framed;
    framed.count(message.size());
    framed.bytes += message;
    const char* at = framed.bytes.data();
    for (std::size_t size = framed.bytes.size(); size > 0;) {
        long said = pspo_write(channel(), at, size);
        if (said <= 0) return false;
        at += said;
        size -= static_cast<std::size_t>(said);
    }
    return true;
}

}  // namespace pspo_wire
