//! The plugins in a program, as their cards tell of them.
//!
//! Prints a Markdown table of those that come with pspo and of those of the crates in `plugins/`, each with a
//! config that names it; the book shows it.

use pspo::plugin::{Kind, cards};

// A crate that nothing here names would be dropped by the linker, its cards with it.
use pspo_command_verifier as _;
use pspo_cpp_verifier as _;
use pspo_monte_carlo_labeler as _;
use pspo_monty_verifier as _;
use pspo_oracle_prm as _;
use pspo_prior_value_init as _;
use pspo_python_verifier as _;
use pspo_statement_splitter as _;
use pspo_unconfined_verifier as _;

/// The table of a config file that a plugin of this kind is named in.
fn table(kind: Kind) -> &'static str {
    match kind {
        Kind::StepSplitter => "splitter",
        Kind::Verifier => "verifier",
        Kind::Labeler => "labeler",
        Kind::ProcessRewardModel => "prm",
        Kind::ValueInit => "value_init",
        _ => "another table",
    }
}

fn main() {
    println!("| plugin | what it does | crate |\n|---|---|---|");
    for card in cards() {
        println!(
            "| `[{}]`<br>`type = \"{}\"` | {} | `{}` |",
            table(card.kind),
            card.name,
            card.summary,
            card.krate
        );
    }
    for card in cards() {
        println!("\n```toml\n[{}]\n{}\n```", table(card.kind), card.example.trim());
    }
}
