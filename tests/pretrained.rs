//! Models saved and loaded: the same parameters come back, from either format, and what does not fit is named.

#[allow(dead_code, reason = "a part of the writer serves the tests of the readers alone")]
#[path = "tensor_files/gguf.rs"]
mod gguf;

use std::fs;
use std::path::Path;

use pspo::data::{Parameters, Seed};
use pspo::kernels::rotary::Scaling;
use pspo::model::chat::{ChatTemplate, Message, Role, SpecialTokens};
use pspo::model::{Arch, Dims, Tokenizer, init};
use pspo::pretrained::config::Family;
use pspo::pretrained::presets::Visitor;
use pspo::pretrained::{LoadError, Pretrained, Saving, save};
use serde_json::{Value, json};

pspo::arch! {
    struct Llama {
        name: "llama", vocabulary: 261, width: 24, layers: 2, heads: 6, kv_heads: 2, head_size: 4, hidden: 20,
        positions: 32, rope_theta: 5e5,
        rope_scaling: Scaling::Llama3 {
            factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_positions: 16,
        },
    }
}

pspo::arch! {
    struct Tied {
        name: "tied", vocabulary: 257, width: 16, layers: 1, heads: 2, kv_heads: 2, head_size: 8, hidden: 12,
        positions: 32, rope_scaling: Scaling::Linear { factor: 4.0 }, tied: true,
    }
}

pspo::arch! {
    struct Qwen {
        name: "qwen", vocabulary: 300, width: 16, layers: 2, heads: 4, kv_heads: 1, head_size: 4, hidden: 28,
        positions: 32, norm_epsilon: 1e-6, tied: true, qkv_bias: true,
    }
}

/// Parameters all of which differ.
fn parameters(dims: &Dims) -> Parameters {
    let mut parameters = Parameters::zeros(dims.policy_layout());
    parameters.values_mut().iter_mut().enumerate().for_each(|(place, value)| *value = place as f32 / 64.0);
    parameters
}

fn tokenizer() -> Tokenizer {
    Tokenizer::train(["x = 1\n"], 257).unwrap()
}

fn saved<A: Arch>() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &A::DIMS, &parameters(&A::DIMS), &tokenizer()).unwrap();
    folder
}

fn comes_back<A: Arch>(family: Family) {
    let folder = saved::<A>();
    let model = Pretrained::open(folder.path()).unwrap();
    assert_eq!((model.description().family, model.description().dims), (family, A::DIMS));
    assert_eq!(model.parameters::<A>().unwrap(), parameters(&A::DIMS));
    let text = "x = 1\n# é\n";
    let again = model.tokenizer().unwrap();
    assert_eq!(again.encode(text).unwrap(), tokenizer().encode(text).unwrap());
    assert_eq!(again.end(), tokenizer().end());
    // Saved over itself: each file takes the older one's place.
    save(folder.path(), &A::DIMS, &parameters(&A::DIMS), &tokenizer()).unwrap();
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
}

#[test]
fn a_saved_policy_comes_back() {
    comes_back::<Llama>(Family::Llama);
    comes_back::<Tied>(Family::Llama);
    comes_back::<Qwen>(Family::Qwen2);
}

/// The message when the saved model's `config.json` has been changed.
fn with_config<A: Arch>(change: impl FnOnce(&mut Value)) -> String {
    let folder = saved::<A>();
    let file = folder.path().join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut config);
    fs::write(&file, config.to_string()).unwrap();
    let error = Pretrained::open(folder.path()).and_then(|model| model.parameters::<A>()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(&folder.path().display().to_string()), "{error}");
    error
}

#[test]
fn a_model_of_another_shape_names_the_field_both_values_and_an_arch_that_fits() {
    let error = with_config::<Qwen>(|config| config["intermediate_size"] = json!(30));
    assert!(error.contains("`hidden` is 30, and 28 in the arch `qwen`"), "{error}");
    assert!(error.contains("hidden: 30, positions: 32"), "{error}");
    let error = with_config::<Qwen>(|config| config["max_position_embeddings"] = json!(31));
    assert!(error.contains("`positions` is 31, and 32"), "{error}");
    let error = with_config::<Llama>(|config| config["rope_scaling"]["factor"] = json!(4.0));
    assert!(error.contains("`rope_scaling` is Llama3 { factor: 4.0"), "{error}");
    let error = with_config::<Llama>(|config| config["rope_theta"] = json!(1e4));
    assert!(error.contains("`rope_theta` is 10000.0, and 500000.0"), "{error}");
    let error = with_config::<Tied>(|config| config["tie_word_embeddings"] = json!(false));
    assert!(error.contains("`tied` is false, and true"), "{error}");
}

#[test]
fn more_positions_than_the_arch_has_are_no_fault() {
    let folder = saved::<Qwen>();
    let file = folder.path().join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    config["max_position_embeddings"] = json!(4096);
    // as transformers 5 writes it
    let theta = config.as_object_mut().unwrap().remove("rope_theta");
    config["rope_parameters"] = json!({ "rope_type": "default", "rope_theta": theta });
    fs::write(&file, config.to_string()).unwrap();
    let loaded = Pretrained::open(folder.path()).unwrap().parameters::<Qwen>().unwrap();
    assert_eq!(loaded, parameters(&Qwen::DIMS));
}

#[test]
fn a_model_that_the_trunk_does_not_compute_is_refused() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 7] = [
        (|config| config["model_type"] = json!("gemma3"), "`model_type` is gemma3: `llama` and `qwen2`"),
        (|config| config["hidden_act"] = json!("gelu"), "`hidden_act` is gelu"),
        (|config| config["attention_bias"] = json!(true), "`attention_bias` is true"),
        (|config| config["rope_scaling"]["rope_type"] = json!("yarn"), "`rope_scaling` is yarn"),
        (|config| config["num_attention_heads"] = json!(0), "no size may be 0"),
        (|config| config["vocab_size"] = json!(1_u64 << 60), "no size may be above 2^24"),
        (|config| config["hidden_size"] = json!("wide"), "expected usize"),
    ];
    for (change, needed) in changes {
        let error = with_config::<Llama>(change);
        assert!(error.contains(needed), "{error}");
    }
}

#[test]
fn the_error_for_a_model_of_no_preset_is_of_the_one_it_is_most_like() {
    const SIZES: [(&str, u32); 9] = [
        ("vocab_size", 151_936),
        ("hidden_size", 1536),
        ("num_hidden_layers", 28),
        ("num_attention_heads", 12),
        ("num_key_value_heads", 2),
        ("intermediate_size", 8960),
        ("max_position_embeddings", 32_768),
        ("rope_theta", 1_000_000),
        ("head_dim", 128),
    ];
    struct Name;
    impl Visitor for Name {
        type Output = &'static str;

        fn visit<A: Arch>(self) -> &'static str {
            A::NAME
        }
    }
    let folder = saved::<Qwen>();
    let file = folder.path().join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for (key, size) in SIZES {
        config[key] = json!(size);
    }
    let mut visit = |key: &str, value: Value| {
        config[key] = value;
        fs::write(&file, config.to_string()).unwrap();
        Pretrained::open(folder.path()).unwrap().visit(Name)
    };
    assert_eq!(visit("tie_word_embeddings", json!(true)).unwrap(), "qwen2.5-coder-1.5b");
    assert_eq!(visit("tie_word_embeddings", json!(false)).unwrap(), "qwen2.5-coder-1.5b-untied");
    let error = visit("intermediate_size", json!(8961)).unwrap_err().to_string();
    assert!(error.contains("`hidden` is 8961, and 8960 in the arch `qwen2.5-coder-1.5b`"), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut spoiled = parameters(&Qwen::DIMS);
    let (_, place) = spoiled.layout().tensor("trunk.norm").unwrap();
    spoiled.values_mut()[place.start + 3] = f32::NAN;
    save(folder.path(), &Qwen::DIMS, &spoiled, &tokenizer()).unwrap();
    let error = Pretrained::open(folder.path()).unwrap().parameters::<Qwen>().unwrap_err();
    assert!(matches!(error, LoadError::NotFinite { place: 3, .. }), "{error}");
    assert!(error.to_string().contains("tensor `trunk.norm` has NaN at 3"), "{error}");
}

#[test]
fn a_token_that_begins_prompts_is_saved_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let begins = tokenizer().with_begin("x").unwrap();
    save(folder.path(), &Qwen::DIMS, &parameters(&Qwen::DIMS), &begins).unwrap();
    let read = || Pretrained::open(folder.path()).unwrap().tokenizer().unwrap();
    assert_eq!(read().prompt("1").unwrap(), tokenizer().encode("x1").unwrap());
    // Named, and not asked for, as in chat models.
    let file = folder.path().join("tokenizer_config.json");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("\"add_bos_token\": true", "\"add_bos_token\": false")).unwrap();
    assert_eq!(read().prompt("1").unwrap(), tokenizer().encode("1").unwrap());
    fs::write(&file, config.replace("\"bos_token\": \"x\"", "\"bos_token\": \"<s>\"")).unwrap();
    let error = Pretrained::open(folder.path()).unwrap().tokenizer().unwrap_err().to_string();
    assert!(error.starts_with(&file.display().to_string()) && error.contains("no token `<s>`"), "{error}");
}

/// A safetensors file with the tensors of another one that `keep` keeps, under the names that it gives.
fn rewrite(file: &Path, keep: impl Fn(&str) -> Option<&str>) {
    let bytes = fs::read(file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let kept = tensors.iter().filter_map(|(name, view)| Some((keep(name)?.to_owned(), view)));
    fs::write(file, safetensors::serialize(kept.collect::<Vec<_>>(), None).unwrap()).unwrap();
}

#[test]
fn tensors_that_are_missing_or_not_the_models_are_named() {
    let error = |keep: fn(&str) -> Option<&str>| {
        let folder = saved::<Qwen>();
        rewrite(&folder.path().join("model.safetensors"), keep);
        Pretrained::open(folder.path()).unwrap().parameters::<Qwen>().unwrap_err()
    };
    let missing = error(|name| (name != "model.layers.1.self_attn.k_proj.bias").then_some(name));
    assert!(
        matches!(&missing, LoadError::Missing { tensor, .. } if tensor == "model.layers.1.self_attn.k_proj.bias"),
        "{missing}"
    );
    let unexpected = error(|name| Some(if name == "model.norm.weight" { "model.norm.w" } else { name }));
    assert!(
        matches!(&unexpected, LoadError::Unexpected { tensor, .. } if tensor == "model.norm.w"),
        "{unexpected}"
    );
    let shape = error(|name| {
        Some(match name {
            "model.layers.0.mlp.up_proj.weight" => "model.layers.0.mlp.down_proj.weight",
            "model.layers.0.mlp.down_proj.weight" => "model.layers.0.mlp.up_proj.weight",
            name => name,
        })
    });
    assert!(
        matches!(&shape, LoadError::Tensor { found, needed, .. } if found != needed && found.len() == 2),
        "{shape}"
    );
}

#[test]
fn a_tokenizer_that_does_not_fit_is_an_error() {
    let folder = saved::<Tied>();
    let large = Tokenizer::train(["x = 1\nfor i in range(10):\n    print(i)\n"; 9], 280).unwrap();
    fs::write(folder.path().join("tokenizer.json"), large.to_json().unwrap()).unwrap();
    let error = Pretrained::open(folder.path()).unwrap().tokenizer().unwrap_err();
    assert!(matches!(error, LoadError::Vocabulary { vocabulary: 257, .. }), "{error}");
    assert!(error.to_string().contains("the tokenizer's tokens are 0 to 2"), "{error}");
    assert!(error.to_string().ends_with("the model's 0 to 256"), "{error}");
    fs::write(folder.path().join("tokenizer_config.json"), "{}").unwrap();
    let error = Pretrained::open(folder.path()).unwrap().tokenizer().unwrap_err();
    assert!(matches!(error, LoadError::NoEnd(_)), "{error}");
}

/// The tensor of a weight's columns, as `[outputs, inputs]`.
fn turned(weight: &[f32], inputs: usize, columns: std::ops::Range<usize>) -> Vec<f32> {
    let all = weight.len() / inputs;
    columns.flat_map(|column| (0..inputs).map(move |input| weight[input * all + column])).collect()
}

/// Rows as llama.cpp's converter stores them: of each head the first row of the first half, that of the second half, and so on.
fn in_turns(rows: &[f32], heads: usize, width: usize) -> Vec<f32> {
    let head = rows.len() / heads;
    rows.chunks(head)
        .flat_map(|head| {
            let (first, second) = head.split_at(head.len() / 2);
            first
                .chunks(width)
                .zip(second.chunks(width))
                .flat_map(|(a, b)| [a, b].concat())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_gguf_file_of_the_llama_family_loads() {
    pspo::arch! {
        struct Small {
            name: "small", vocabulary: 40, width: 24, layers: 1, heads: 3, kv_heads: 1, head_size: 8, hidden: 20,
            positions: 32,
        }
    }
    let expected = init::random(Small::DIMS.policy_layout(), 1, Seed::root(1));
    let tensor = |name: &str| expected.tensor(name).unwrap();
    let float = |value: f32| move |writer: &mut gguf::Writer| writer.field32(value.to_bits());
    let mut file = gguf::File::new()
        .text("general.architecture", "llama")
        .u32("llama.embedding_length", 24)
        .u32("llama.block_count", 1)
        .u32("llama.attention.head_count", 3)
        .u32("llama.attention.head_count_kv", 1)
        .u32("llama.feed_forward_length", 20)
        .u32("llama.context_length", 32)
        .key("llama.rope.freq_base", 6, float(10_000.0))
        .key("llama.attention.layer_norm_rms_epsilon", 6, float(1e-5));
    let layer = |part: &str| tensor(&format!("trunk.layers.0.{part}"));
    let (qkv, gate_up) = (layer("qkv"), layer("gate_up"));
    for (name, sides, values) in [
        ("token_embd.weight", &[24, 40][..], tensor("trunk.embedding").to_vec()),
        ("blk.0.attn_norm.weight", &[24], layer("attention_norm").to_vec()),
        ("blk.0.attn_q.weight", &[24, 24], in_turns(&turned(qkv, 24, 0..24), 3, 24)),
        ("blk.0.attn_k.weight", &[24, 8], in_turns(&turned(qkv, 24, 24..32), 1, 24)),
        ("blk.0.attn_v.weight", &[24, 8], turned(qkv, 24, 32..40)),
        ("blk.0.attn_output.weight", &[24, 24], turned(layer("attention_out"), 24, 0..24)),
        ("blk.0.ffn_norm.weight", &[24], layer("feed_forward_norm").to_vec()),
        ("blk.0.ffn_gate.weight", &[24, 20], turned(gate_up, 24, 0..20)),
        ("blk.0.ffn_up.weight", &[24, 20], turned(gate_up, 24, 20..40)),
        ("blk.0.ffn_down.weight", &[20, 24], turned(layer("down"), 20, 0..24)),
        ("output_norm.weight", &[24], tensor("trunk.norm").to_vec()),
        ("output.weight", &[24, 40], turned(tensor("output.weight"), 24, 0..40)),
    ] {
        file = file.tensor(name, sides, 0, values.iter().flat_map(|value| value.to_le_bytes()).collect());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    fs::write(&path, file.write().bytes).unwrap();
    let model = Pretrained::open(&path).unwrap();
    assert_eq!(model.description().dims, Small::DIMS);
    assert_eq!(model.parameters::<Small>().unwrap(), expected);
    assert!(model.chat_template().unwrap().is_none());

    let tokens = ["a", "<s>", "</s>"].map(str::to_owned);
    let chatty = file
        .texts("tokenizer.ggml.tokens", &tokens)
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
        .text("tokenizer.chat_template", "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}");
    fs::write(&path, chatty.write().bytes).unwrap();
    let template = Pretrained::open(&path).unwrap().chat_template().unwrap().unwrap();
    assert_eq!(template.render(&[Message::new(Role::User, "Hi")], false).unwrap(), "<s>Hi</s>");
}

#[test]
fn a_chat_template_is_saved_with_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (dims, parameters) = (&Llama::DIMS, parameters(&Llama::DIMS));
    Saving::policy(dims, &parameters).write(folder.path(), &tokenizer()).unwrap();
    assert!(Pretrained::open(folder.path()).unwrap().chat_template().unwrap().is_none());
    let tokens = SpecialTokens::new([("bos_token", "<s>"), ("eos_token", "not the tokenizer's")]);
    let template =
        ChatTemplate::new("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", tokens).unwrap();
    let saving = Saving::policy(dims, &parameters).with_chat_template(&template);
    saving.write(folder.path(), &tokenizer()).unwrap();
    let template = Pretrained::open(folder.path()).unwrap().chat_template().unwrap().unwrap();
    let said = template.render(&[Message::new(Role::User, "Hi")], false).unwrap();
    assert_eq!(said, format!("<s>Hi{}", tokenizer().end_name()), "a response ends with one token everywhere");
}
