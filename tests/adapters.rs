//! Adapters in PEFT's format: written and read again, and read as PEFT makes them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use pspo::data::numbers::LoraAlpha;
use pspo::data::{Parameters, Seed};
use pspo::kernels::Device;
use pspo::model::{Arch, Lora, Policy, Projection, Tuning};
use pspo::pretrained::Adapter;
use safetensors::tensor::{Dtype, TensorView};

pspo::arch! {
    struct Small {
        name: "small", vocabulary: 13, width: 12, layers: 2, heads: 3, kv_heads: 1, head_size: 4, hidden: 10,
        positions: 40, qkv_bias: true,
    }
}

const DIMS: pspo::model::Dims = Small::DIMS;

fn base() -> Policy<Small> {
    Policy::random(&Device::cpu(), Seed::root(1)).unwrap()
}

/// n numbers around 0 that depend on `name`.
fn numbers(name: &str, n: usize) -> Vec<f32> {
    let start = name.bytes().map(f32::from).sum::<f32>();
    (0..n).map(|i| 0.3 * (start + i as f32).sin()).collect()
}

/// A file as PEFT writes it.
#[derive(Clone)]
struct Peft {
    config: serde_json::Value,
    tensors: BTreeMap<String, ([usize; 2], Vec<f32>)>,
}

impl Peft {
    fn new(r: usize, modules: &[(&str, [usize; 2])]) -> Self {
        let mut tensors = BTreeMap::new();
        for (layer, (module, [inputs, outputs])) in (0..2).flat_map(|l| modules.iter().map(move |m| (l, m))) {
            let module = format!("base_model.model.model.layers.{layer}.{module}");
            for (half, shape) in [('A', [r, *inputs]), ('B', [*outputs, r])] {
                let name = format!("{module}.lora_{half}.weight");
                let values = numbers(&name, shape[0] * shape[1]);
                tensors.insert(name, (shape, values));
            }
        }
        let config = serde_json::json!({
            "peft_type": "LORA", "r": r, "lora_alpha": 6, "bias": "none", "target_modules": [], "use_dora": false,
            "rank_pattern": {}, "modules_to_save": null,
        });
        Self { config, tensors }
    }

    fn write(&self, folder: &Path) {
        std::fs::write(folder.join("adapter_config.json"), self.config.to_string()).unwrap();
        let bytes: BTreeMap<_, Vec<u8>> = self
            .tensors
            .iter()
            .map(|(name, (_, values))| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let views = self.tensors.iter().map(|(name, (shape, _))| {
            (name.clone(), TensorView::new(Dtype::F32, shape.to_vec(), &bytes[name]).unwrap())
        });
        let file = safetensors::serialize(views, None).unwrap();
        std::fs::write(folder.join("adapter_model.safetensors"), file).unwrap();
    }

    fn load(&self) -> Result<Adapter, pspo::pretrained::LoadError> {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path());
        Adapter::load(folder.path(), &DIMS)
    }
}

#[test]
fn what_was_saved_comes_back() {
    for targets in [&Projection::ALL[..], &[Projection::Qkv], &[Projection::Down, Projection::AttentionOut]] {
        let lora = Lora {
            rank: NonZeroUsize::new(3).unwrap(),
            alpha: LoraAlpha::new(4.5),
            targets: targets.iter().copied().collect(),
        };
        let policy = base().tuned(&Tuning::Lora(lora.clone()), Seed::root(2)).unwrap();
        let layout = policy.trained().unwrap().layout().clone();
        let values = numbers("adapter", layout.len());
        let adapter = Adapter { lora, parameters: Parameters::new(layout, values).unwrap() };
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        adapter.save(&folder, &DIMS, "base").unwrap();
        assert_eq!(Adapter::load(&folder, &DIMS).unwrap(), adapter);
        let beside = adapter.beside(&base()).unwrap();
        assert_eq!(beside.trained().unwrap(), adapter.parameters);
        let config = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        let modules = config["target_modules"].as_array().unwrap().len();
        let parts = |target: &Projection| match target {
            Projection::Qkv => 3,
            Projection::GateUp => 2,
            _ => 1,
        };
        assert_eq!(modules, targets.iter().map(parts).sum::<usize>());
    }
}

/// W + (α / r) (B A)ᵀ of a module, as the columns from `first` on of the trunk's matrix.
fn add(merged: &mut Parameters, matrix: &str, first: usize, peft: &Peft, module: &str, scale: f32) {
    for layer in 0..2 {
        let half = |half: char| {
            &peft.tensors[&format!("base_model.model.model.layers.{layer}.{module}.lora_{half}.weight")]
        };
        let (([r, inputs], a), ([outputs, _], b)) = (half('A'), half('B'));
        let to = merged.tensor_mut(&format!("trunk.layers.{layer}.{matrix}")).unwrap();
        let columns = to.len() / inputs;
        for input in 0..*inputs {
            for output in 0..*outputs {
                let sum: f32 = (0..*r).map(|k| b[output * r + k] * a[k * inputs + input]).sum();
                to[input * columns + first + output] += scale * sum;
            }
        }
    }
}

#[test]
fn modules_with_an_a_of_their_own_are_computed_as_peft_does() {
    let peft = Peft::new(
        2,
        &[
            ("self_attn.q_proj", [12, 12]),
            ("self_attn.v_proj", [12, 4]),
            ("mlp.up_proj", [12, 10]),
            ("mlp.down_proj", [10, 12]),
        ],
    );
    for (stabilized, scale) in [(false, 3.0), (true, 6.0 / 2_f32.sqrt())] {
        let mut peft = peft.clone();
        peft.config["use_rslora"] = stabilized.into();
        let adapter = peft.load().unwrap();
        assert_eq!(adapter.lora.rank.get(), 4, "two modules of rank 2 read one input");
        let targets = [Projection::Qkv, Projection::GateUp, Projection::Down];
        assert_eq!(adapter.lora.targets, targets.into());
        let mut needed = base().parameters().unwrap();
        add(&mut needed, "qkv", 0, &peft, "self_attn.q_proj", scale);
        add(&mut needed, "qkv", 16, &peft, "self_attn.v_proj", scale);
        add(&mut needed, "gate_up", 10, &peft, "mlp.up_proj", scale);
        add(&mut needed, "down", 0, &peft, "mlp.down_proj", scale);
        let got = adapter.beside(&base()).unwrap().parameters().unwrap();
        let gap = got.values().iter().zip(needed.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap < 1e-5, "{gap}");
    }
}

#[test]
fn adapters_of_another_kind_are_refused_by_name() {
    let good = Peft::new(2, &[("self_attn.o_proj", [12, 12])]);
    good.load().unwrap();
    let error = |change: &dyn Fn(&mut Peft)| {
        let mut peft = good.clone();
        change(&mut peft);
        peft.load().unwrap_err().to_string()
    };
    for (key, value, message) in [
        ("peft_type", "IA3".into(), "`peft_type` is IA3: `LORA` can be loaded"),
        ("bias", "all".into(), "`bias` is all"),
        ("use_dora", true.into(), "`use_dora` is true"),
        ("rank_pattern", serde_json::json!({ "q_proj": 3 }), "`rank_pattern`"),
        ("modules_to_save", serde_json::json!(["lm_head"]), "`modules_to_save`"),
        ("lora_alpha", (-1).into(), "`lora_alpha` is -1: it must be above 0 and finite"),
        ("r", 3.into(), "has shape [2, 12], [3, 12] is needed"),
        ("r", (-1).into(), "invalid value"),
    ] {
        let error = error(&|peft| peft.config[key] = value.clone());
        assert!(error.contains(message), "{key}: {error}");
    }
    let name = "base_model.model.model.layers.1.self_attn.o_proj.lora_B.weight";
    let missing = error(&|peft| _ = peft.tensors.remove(name));
    assert!(missing.ends_with(&format!("tensor `{name}` is missing")), "{missing}");
    let renamed = error(&|peft| {
        let tensor = peft.tensors.remove(name).unwrap();
        peft.tensors.insert(name.replace("layers.1", "layers.2"), tensor.clone());
        peft.tensors.insert(name.to_owned(), tensor);
    });
    assert!(renamed.contains("layers.2.self_attn.o_proj.lora_B.weight` is not one"), "{renamed}");
    let nothing = error(&|peft| peft.tensors.clear());
    assert!(nothing.contains("adapters have a rank of at least 1"), "{nothing}");
    let folder = tempfile::tempdir().unwrap();
    let error = Adapter::load(folder.path(), &DIMS).unwrap_err().to_string();
    assert!(error.contains("adapter_config.json"), "{error}");
}
