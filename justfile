# `just` lists the recipes; `just check` is what must pass before a change is merged.

_list:
    @just --list --unsorted

# Everything that `.ci/run` holds: format, lints, tests, kernels, docs, examples, book
check:
    .ci/run

# All tests, doctests included
test *arguments:
    cargo test --workspace {{ arguments }}

# Format the code
fmt:
    cargo fmt --all

# Clippy, without and with the feature `cuda`
lint:
    .ci/run clippy clippy-cuda

# Build the book into target/book
book:
    .ci/run book

# The benches, or those whose name contains the argument
bench *arguments:
    cargo bench --bench '*' -- {{ arguments }}

# The whole pipeline on a generated problem set, in about three minutes
quickstart *arguments:
    cargo run --release --example 01_quickstart -- {{ arguments }}
