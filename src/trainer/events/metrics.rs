//! The metrics of the trainer's own events. Their names are stable: a release that changes one says so.
//!
//! Other names may be used beside them. Rates and shares are from 0 to 1. All means are over real
//! tokens, lines or responses: nothing is padded, so nothing of padding is in them.

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in events.
    pub name: &'static str,
    /// Its unit, in words.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $unit:literal, $meaning:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "` (", $unit, "): ", $meaning)]
            pub const $constant: &str = $name;
        )*
        /// All of them.
        pub const ALL: &[Metric] = &[$(Metric { name: $name, unit: $unit, meaning: $meaning }),*];
    };
}

metrics! {
    LOSS = "loss", "nats per token, or squared error",
        "The training loss of SFT, or of the PRM (equation 2).";
    LEARNING_RATE = "learning_rate", "1", "Step size of the optimizer at this step.";
    GRADIENT_NORM = "gradient_norm", "1", "Norm of the whole gradient, before it is clipped.";
    TOKENS = "tokens", "tokens", "Response tokens that this step learned from.";

    REWARD = "reward", "reward per response", "Mean outcome reward: R_UT of code, graded or not, R_RM of other prompts.";
    PASS_RATE = "pass_rate", "share of responses", "Responses to code problems that pass all visible tests.";
    DENSE_REWARD = "dense_reward", "reward per response",
        "Mean of λ Σ R_PRM (equation 3), without the outcome.";
    KL = "kl", "nats per response",
        "Mean of Σ_t (log π − log π_ref) over rollouts: k1 of policy and reference.";
    KL_COEFFICIENT = "kl_coefficient", "1", "β at this step; it moves if it is adaptive.";
    RETURN = "return", "reward per token", "Mean of the returns that the critic learns.";
    ADVANTAGE = "advantage", "reward per token", "Mean advantage before whitening.";

    POLICY_LOSS = "policy_loss", "reward per token", "PPO's clipped objective, mean over epochs.";
    VALUE_LOSS = "value_loss", "squared reward", "The critic's clipped squared error, mean over epochs.";
    ENTROPY = "entropy", "nats per token", "Mean entropy of the policy's next-token distribution.";
    CLIP_FRACTION = "clip_fraction", "share of tokens", "Tokens whose ratio lay outside the clip range.";
    UPDATE_KL = "update_kl", "nats per token", "KL of the policy before the update and after it (k3).";
    EXPLAINED_VARIANCE = "explained_variance", "at most 1", "1 − Var(return − value) / Var(return).";
    SAMPLER_GAP = "sampler_gap", "nats",
        "Largest difference of the sampler's and the trainer's log-probability of one token.";

    RESPONSE_TOKENS = "response_tokens", "tokens per response",
        "Mean length, the end-of-sequence token included.";
    TRUNCATED = "truncated", "share of responses", "Responses that reached the length limit.";
    LINES = "lines", "lines per response", "Mean number of steps.";
    COMMENT_RATIO = "comment_ratio", "share of lines", "Lines that are nothing but a comment.";
    VERIFIER_ERRORS = "verifier_errors", "responses", "Programs that the verifier could not judge.";

    RESPONSES_CORRECT = "responses/correct", "responses", "Labelled responses that pass.";
    RESPONSES_REVISED = "responses/revised", "responses",
        "Failing responses with a prefix that could be completed.";
    RESPONSES_WRONG = "responses/wrong", "responses", "Failing responses without such a prefix.";
    PROMPTS_EASY = "prompts/easy", "prompts", "Prompts whose responses are all Correct.";
    PROMPTS_MEDIUM = "prompts/medium", "prompts", "Prompts of mixed responses.";
    PROMPTS_HARD = "prompts/hard", "prompts", "Prompts whose responses are all Wrong.";
    COMPLETIONS = "completions_per_response", "completions", "What the labels of one response cost.";

    LABEL_ACCURACY = "label_accuracy", "share of lines",
        "Held-out lines of code whose score has the label's sign.";
    FIRST_ERROR_F1 = "first_error_f1", "0 to 1",
        "Harmonic mean of first-error accuracy on failing and on correct responses.";
    AUROC = "auroc", "0 to 1", "Chance that a held-out good line scores above a bad one.";
    PASS_AT_1 = "pass_at_1", "share of samples", "Held-out samples that pass all tests, mean over problems.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::events::{Body, Event};

    #[test]
    fn every_name_is_one_and_no_two_are_the_same() {
        let values = ALL.iter().map(|metric| (metric.name.to_owned(), 0.0)).collect();
        Event::new("rl", 0, Body::Metrics(values)).check().unwrap();
    }
}
