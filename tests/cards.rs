//! What the cards tell users is true: each example is read, under the card's name.

use pspo::plugin::{
    self, Card, Kind, LabelerConfig, PrmConfig, SplitterConfig, ValueInitConfig, VerifierConfig, cards,
};
use pspo_command_verifier as _;
use pspo_cpp_verifier as _;
use pspo_monte_carlo_labeler as _;
use pspo_monty_verifier as _;
use pspo_oracle_prm as _;
use pspo_prior_value_init as _;
use pspo_python_verifier as _;
use pspo_statement_splitter as _;
use pspo_unconfined_verifier as _;
use serde_json::Value;

/// The example as a config file would have it, read and written again.
fn read(card: &Card) -> Result<Value, Box<dyn std::error::Error>> {
    let table = toml::from_str(card.example)?;
    fn same<T: serde::de::DeserializeOwned + serde::Serialize>(
        kind: Kind,
        table: Value,
    ) -> Result<Value, Box<dyn std::error::Error>> {
        Ok(serde_json::to_value(plugin::build::<T>(kind, table)?)?)
    }
    match card.kind {
        Kind::StepSplitter => same::<Box<dyn SplitterConfig>>(card.kind, table),
        Kind::Verifier => same::<Box<dyn VerifierConfig>>(card.kind, table),
        Kind::Labeler => same::<Box<dyn LabelerConfig>>(card.kind, table),
        Kind::ProcessRewardModel => same::<Box<dyn PrmConfig>>(card.kind, table),
        Kind::ValueInit => same::<Box<dyn ValueInitConfig>>(card.kind, table),
        kind => Err(format!("read the examples of a {kind} here").into()),
    }
}

#[test]
fn examples_are_configs_of_their_cards() {
    for card in cards() {
        let config = read(card).unwrap_or_else(|error| panic!("the {} `{}`: {error}", card.kind, card.name));
        assert_eq!(config["type"], card.name, "the example of the {} `{}`", card.kind, card.name);
    }
}

#[test]
fn every_plugin_point_is_implemented_here_and_outside() {
    let has = |kind, here| cards().iter().any(|card| card.kind == kind && (card.krate == "pspo") == here);
    for kind in [Kind::StepSplitter, Kind::Verifier, Kind::Labeler, Kind::ProcessRewardModel, Kind::ValueInit]
    {
        assert!(has(kind, true), "no {kind} comes with pspo");
        assert!(has(kind, false), "no crate brings a {kind}");
    }
}
