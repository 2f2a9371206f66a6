//! Programs that must not compile, and what the compiler says of them.

#[test]
fn wrong_programs_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("programs/*.rs");
}
