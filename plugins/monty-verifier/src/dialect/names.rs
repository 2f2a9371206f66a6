//! Tables of names: what CPython has, and what of it monty has with the same meaning.

/// Builtins of CPython 3.10 to 3.14 that are no exceptions, in order.
const BUILTINS: &str = "Ellipsis NotImplemented abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable \
    chr classmethod compile complex copyright credits delattr dict dir divmod enumerate eval exec exit \
    filter float format frozenset getattr globals hasattr hash help hex id input int isinstance \
    issubclass iter len license list locals map max memoryview min next object oct open ord pow print \
    property quit range repr reversed round set setattr slice sorted staticmethod str sum super tuple \
    type vars zip";

/// Exceptions of CPython whose names do not end in `Error` or `Warning`.
const OTHER_EXCEPTIONS: &str = "BaseException BaseExceptionGroup Exception ExceptionGroup GeneratorExit \
    KeyboardInterrupt StopAsyncIteration StopIteration SystemExit";

/// Builtins that mean the same in monty, as far as `walk` allows their use.
const SHARED_BUILTINS: &str = "abs all any bin bool chr dict divmod enumerate filter float frozenset hex int isinstance len list \
    map max min oct ord pow print range repr reversed round set sorted str sum tuple type zip";

/// Exceptions that mean the same in monty.
const SHARED_EXCEPTIONS: &str = "ArithmeticError AssertionError AttributeError BaseException Exception IndexError KeyError \
    KeyboardInterrupt LookupError MemoryError NameError NotImplementedError OSError OverflowError \
    RecursionError RuntimeError StopIteration SystemExit TimeoutError TypeError UnboundLocalError \
    ValueError ZeroDivisionError";

/// Exceptions that monty does not raise where CPython goes on; a handler for any other could hide that
/// something is missing.
const SAFE_TO_CATCH: &str = "ArithmeticError AssertionError IndexError KeyError LookupError OverflowError ValueError \
    ZeroDivisionError";

/// What the builtin types have, by the name that monty gives the type.
const ATTRIBUTES: &[(&str, &str)] = &[
    (
        "int",
        "as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer \
             numerator real to_bytes",
    ),
    (
        "bool",
        "as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer \
              numerator real to_bytes",
    ),
    ("float", "as_integer_ratio conjugate from_number fromhex hex imag is_integer real"),
    (
        "str",
        "capitalize casefold center count encode endswith expandtabs find format format_map index \
             isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace \
             istitle isupper join ljust lower lstrip maketrans partition removeprefix removesuffix replace \
             rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title \
             translate upper zfill",
    ),
    ("list", "append clear copy count extend index insert pop remove reverse sort"),
    ("tuple", "count index"),
    ("dict", "clear copy fromkeys get items keys pop popitem setdefault update values"),
    (
        "set",
        "add clear copy difference difference_update discard intersection intersection_update \
             isdisjoint issubset issuperset pop remove symmetric_difference symmetric_difference_update \
             union update",
    ),
    ("frozenset", "copy difference intersection isdisjoint issubset issuperset symmetric_difference union"),
    ("range", "count index start step stop"),
    ("NoneType", ""),
    ("function", ""),
];

/// Methods that mean the same in monty.
const SHARED_METHODS: &str = "append extend insert pop remove index count sort reverse clear copy get keys \
    values items setdefault update split rsplit join strip lstrip rstrip replace upper lower find rfind \
    rindex startswith endswith isdigit isalpha isalnum islower isupper isspace title capitalize swapcase \
    zfill ljust rjust partition rpartition splitlines format add discard union intersection \
    difference symmetric_difference issubset issuperset isdisjoint removeprefix removesuffix";

/// What may be imported, by module. monty's other modules differ in places that a program may see: `re`
/// in what a pattern matches, `itertools` in what is lazy, `json` and `datetime` in their errors.
const MODULES: &[(&str, &str)] = &[
    (
        "math",
        "acos asin atan atan2 ceil comb copysign cos degrees e exp fabs factorial floor gcd inf isfinite \
         isinf isqrt lcm log log10 log2 perm pi pow radians sin sqrt tan tau trunc",
    ),
    ("typing", "Any Callable Dict Iterable Iterator List Optional Sequence Set Tuple Union"),
    ("functools", "reduce"),
    ("collections", "Counter defaultdict deque"),
];

/// What takes all elements of an argument at once, of the modules above.
pub(super) const TAKERS: &[&str] = &["Counter", "defaultdict", "deque", "reduce"];

fn has(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|each| each == word)
}

/// A name that CPython knows without anything bound to it, dunders included.
pub(crate) fn is_cpython_builtin(name: &str) -> bool {
    let exception = name.ends_with("Error") || name.ends_with("Warning") || has(OTHER_EXCEPTIONS, name);
    has(BUILTINS, name) || exception || is_dunder(name)
}

pub(super) fn is_shared_builtin(name: &str) -> bool {
    has(SHARED_BUILTINS, name) || has(SHARED_EXCEPTIONS, name) || name == "__name__"
}

pub(super) fn is_safe_to_catch(name: &str) -> bool {
    has(SAFE_TO_CATCH, name)
}

/// Whether `__name__` and the like.
pub(super) fn is_dunder(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

/// Whether CPython's `type_name` has the attribute; `None` for a type that is not in the table.
pub(crate) fn has_attribute(type_name: &str, attribute: &str) -> Option<bool> {
    let (_, attributes) = ATTRIBUTES.iter().find(|(name, _)| *name == type_name)?;
    Some(is_dunder(attribute) || has(attributes, attribute))
}

/// Whether `attribute` means the same in monty on whatever object: it is a shared method, or no builtin
/// type has it.
pub(super) fn is_shared_attribute(attribute: &str) -> bool {
    // A list in monty, an iterator of `Counter` in CPython.
    let differs = is_dunder(attribute) || attribute == "elements";
    let builtin = ATTRIBUTES.iter().any(|(_, attributes)| has(attributes, attribute));
    !differs && (has(SHARED_METHODS, attribute) || !builtin)
}

/// Whether this is a member of `math` that gives floats.
pub(super) fn makes_floats(member: &str) -> bool {
    const INTEGERS: &str = "ceil comb factorial floor gcd isqrt lcm perm trunc";
    module("math").is_some_and(|members| has(members, member)) && !has(INTEGERS, member)
}

/// Whether this is a member of `math` that gives integers which a float cannot hold.
pub(super) fn makes_large_integers(member: &str) -> bool {
    has("comb factorial perm", member)
}

/// Whether a program may import the module, and what of it.
pub(super) fn module(name: &str) -> Option<&'static str> {
    MODULES.iter().find(|(module, _)| *module == name).map(|(_, members)| *members)
}

/// Whether `member` of an importable module means the same in monty.
pub(super) fn is_shared_member(members: &str, member: &str) -> bool {
    has(members, member)
}
