use pspo::data::{ProblemSet, Seed};
use pspo::kernels::Device;
use pspo::model::{Policy, Tokenizer};
use pspo::reward::DenseReward;
use pspo::steps::Lines;
use pspo::trainer::TrainerError;
use pspo::value::FromPolicy;
use pspo::verify::AnswerMatch;

pspo::arch! {
    struct Small {
        name: "small", vocabulary: 300, width: 32, layers: 1, heads: 2, kv_heads: 1, head_size: 16, hidden: 64,
        positions: 128,
    }
}

fn main() -> Result<(), TrainerError> {
    let tokenizer = Tokenizer::train(["a"], 300)?;
    let policy = Policy::<Small>::random(&Device::cpu(), Seed::root(0))?;
    pspo::trainer::builder(&policy, &tokenizer)
        .problems(ProblemSet::default())
        .splitter(Lines::python())
        .verifier(AnswerMatch::default())
        .dense_rewards(DenseReward::default())
        .value_init(FromPolicy::default())
        .build()?;
    Ok(())
}
