pspo::arch! {
    struct Uneven {
        name: "uneven", vocabulary: 300, width: 64, layers: 1, heads: 3, kv_heads: 1, head_size: 16, hidden: 64,
        positions: 128,
    }
}

fn main() {}
