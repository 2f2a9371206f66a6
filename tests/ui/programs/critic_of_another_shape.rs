use pspo::model::{Policy, Tokenizer};
use pspo::prm::TrainedPrm;
use pspo::trainer::TrainerError;

pspo::arch! {
    struct Small {
        name: "small", vocabulary: 300, width: 32, layers: 1, heads: 2, kv_heads: 1, head_size: 16, hidden: 64,
        positions: 128,
    }
}

pspo::arch! {
    struct Large {
        name: "large", vocabulary: 300, width: 64, layers: 1, heads: 4, kv_heads: 1, head_size: 16, hidden: 64,
        positions: 128,
    }
}

fn start(policy: &Policy<Small>, tokenizer: &Tokenizer, prm: &TrainedPrm<Large>) -> Result<(), TrainerError> {
    pspo::trainer::builder(policy, tokenizer).critic_from(prm)?;
    Ok(())
}

fn main() {}
