//! Adapters of low rank in the format of the package PEFT: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! PEFT has an A and a B for each of a layer's modules, the trunk one of each for the modules that read the same input
//! ([`Lora`]). So a module is written with the A of its matrix and with its own columns of B. Read, modules whose A
//! differ stand side by side in an A of a higher rank, with zeros in B where a module's columns meet another's A.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::config::{Family, read_json, unsupported};
use super::error::{LoadError, SaveError};
use super::head::Head;
use super::names::{Naming, Source, sources};
use super::tensors::{self, TensorSource};
use crate::data::numbers::LoraAlpha;
use crate::data::{Layout, Parameters, Seed};
use crate::files::write_atomically;
use crate::kernels::vector::spread;
use crate::model::tuning::adapter;
use crate::model::{Arch, Dims, Lora, ModelError, Policy, Projection, Tuning};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";
/// What PEFT puts before the names of a model for causal language modelling.
const PREFIX: &str = "base_model.model.";

/// Adapters of low rank, apart from the model that they stand beside.
///
/// ```
/// use pspo::data::Seed;
/// use pspo::kernels::Device;
/// use pspo::model::{Arch, Lora, Policy, Tuning};
/// use pspo::pretrained::Adapter;
///
/// # pspo::arch! {
/// #     struct Small {
/// #         name: "small", vocabulary: 300, width: 16, layers: 1, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
/// #         positions: 64,
/// #     }
/// # }
/// let base = Policy::<Small>::random(&Device::cpu(), Seed::root(1))?;
/// let lora = Lora::default();
/// let policy = base.tuned(&Tuning::Lora(lora.clone()), Seed::root(2))?;
/// // … train the policy …
/// let adapter = Adapter { lora, parameters: policy.trained()? };
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("adapter");
/// adapter.save(&folder, &Small::DIMS, "the-base-model")?;
/// let same = Adapter::load(&folder, &Small::DIMS)?.beside(&base)?;
/// assert_eq!(same.parameters()?, policy.parameters()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// Rank, α and the matrices.
    pub lora: Lora,
    /// What [`Policy::trained`] gives of a policy that is tuned so.
    pub parameters: Parameters,
}

/// `adapter_config.json`: the keys that change what is computed.
#[derive(Deserialize)]
struct Config {
    peft_type: String,
    r: usize,
    lora_alpha: f32,
    #[serde(default)]
    bias: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Config {
    fn read(file: &Path) -> Result<Self, LoadError> {
        let config: Self = read_json(file)?;
        if config.peft_type != "LORA" {
            return Err(unsupported(file, "peft_type", &config.peft_type, "`LORA` can be loaded"));
        }
        if config.bias.as_deref().is_some_and(|bias| bias != "none") {
            return Err(unsupported(file, "bias", config.bias.unwrap_or_default(), "`none` can be loaded"));
        }
        for key in ["use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "modules_to_save"] {
            let off = match config.rest.get(key) {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::Object(map)) => map.is_empty(),
                Some(Value::Array(list)) => list.is_empty(),
                Some(_) => false,
            };
            if !off {
                return Err(unsupported(file, key, &config.rest[key], "adapters without it can be loaded"));
            }
        }
        Ok(config)
    }

    /// α / r, or α / √r where the file says so (Kalajdzievski, 2023, arXiv 2312.03732).
    fn scale(&self) -> f32 {
        let rank = self.r as f32;
        let root = self.rest.get("use_rslora") == Some(&Value::Bool(true));
        self.lora_alpha / if root { rank.sqrt() } else { rank }
    }
}

impl Adapter {
    /// Writes the adapters into `folder`, which is made if need be. `base` is the model that they stand beside, as
    /// a folder or a name on the hub.
    ///
    /// # Errors
    /// If the parameters are not those of such adapters beside a policy of this shape, or a file cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>, dims: &Dims, base: &str) -> Result<(), SaveError> {
        let folder = folder.as_ref();
        self.parameters.layout().must_equal(&layout(dims, &self.lora))?;
        std::fs::create_dir_all(folder).map_err(SaveError::io(folder))?;
        let rank = self.lora.rank.get();
        let mut written: Vec<(String, [usize; 2], Vec<u8>)> = Vec::new();
        let mut modules = BTreeSet::new();
        for module in modules_of(dims, &self.lora.targets) {
            let Module { source, .. } = &module;
            let [outputs, inputs] = [source.shape[0], source.shape[1]];
            let bytes = |rows: usize, columns: usize, half: char, first: usize, stride: usize| {
                let values = self.parameters.tensor(&adapter(&source.target, half))?;
                let value = |(row, column)| values[column * stride + first + row];
                let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
                Ok::<_, SaveError>(places.map(value).flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
            };
            let (_, all) = self.parameters.layout().tensor(&adapter(&source.target, 'b'))?;
            let width = all.len() / rank;
            written.push((module.tensor('A'), [rank, inputs], bytes(rank, inputs, 'a', 0, rank)?));
            let b = bytes(outputs, rank, 'b', source.column, width)?;
            written.push((module.tensor('B'), [outputs, rank], b));
            modules.insert(module.name().to_owned());
        }
        let file = folder.join(TENSORS);
        let wrong = |source| SaveError::Safetensors { file: file.clone(), source };
        let views = written.iter().map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.to_vec(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(wrong)?;
        write_atomically(&file, &bytes).map_err(SaveError::io(&file))?;
        let config = json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base,
            "r": rank, "lora_alpha": self.lora.alpha.get(), "lora_dropout": 0.0, "target_modules": modules,
            "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
        });
        let file = folder.join(CONFIG);
        write_atomically(&file, format!("{config:#}\n").as_bytes()).map_err(SaveError::io(&file))
    }

    /// Reads adapters beside a policy of shape `dims`.
    ///
    /// # Errors
    /// If a file is missing or malformed, or has adapters of another kind or shape than the trunk's.
    pub fn load(folder: impl AsRef<Path>, dims: &Dims) -> Result<Self, LoadError> {
        let folder = folder.as_ref();
        let (config_file, file) = (folder.join(CONFIG), folder.join(TENSORS));
        let config = Config::read(&config_file)?;
        let matrices = Matrix::read_all(&file, dims, config.r)?;
        let rank = matrices.iter().map(Matrix::rank).max().unwrap_or_default();
        let rank = NonZeroUsize::new(rank)
            .ok_or_else(|| unsupported(&config_file, "r", config.r, "adapters have a rank of at least 1"))?;
        let alpha = config.scale() * rank.get() as f32;
        let alpha = LoraAlpha::try_from(alpha).map_err(|_| {
            unsupported(&config_file, "lora_alpha", config.lora_alpha, "it must be above 0 and finite")
        })?;
        let targets = matrices.iter().map(|matrix| matrix.projection).collect();
        let lora = Lora { rank, alpha, targets };
        let mut parameters = Parameters::zeros(layout(dims, &lora));
        for matrix in &matrices {
            matrix.put(&mut parameters, rank.get());
        }
        Ok(Self { lora, parameters })
    }

    /// A policy that is `base` with these adapters, and trains them. It shares the parameters of `base`.
    ///
    /// # Errors
    /// If the adapters are those of another shape, or the device has no room.
    pub fn beside<A: Arch>(&self, base: &Policy<A>) -> Result<Policy<A>, ModelError> {
        // The seed draws what is replaced at once.
        let mut policy = base.tuned(&Tuning::Lora(self.lora.clone()), Seed::root(0))?;
        policy.set_trained(&self.parameters)?;
        Ok(policy)
    }
}

fn layout(dims: &Dims, lora: &Lora) -> Layout {
    Tuning::Lora(lora.clone()).layout(dims, &dims.policy_layout())
}

/// A module of a layer as transformers has it: a whole matrix of the trunk's, or some of its columns.
struct Module {
    source: Source,
    projection: Projection,
}

impl Module {
    /// The last part of its name, such as `q_proj`.
    fn name(&self) -> &str {
        let path = self.path();
        path.rsplit('.').next().unwrap_or(path)
    }

    fn path(&self) -> &str {
        self.source.name.strip_suffix(".weight").expect("a module's tensor is its weight")
    }

    /// The name of a half in the file.
    fn tensor(&self, half: char) -> String {
        format!("{PREFIX}{}.lora_{half}.weight", self.path())
    }
}

/// The modules whose matrices are among `targets`, in the order of layers and columns.
fn modules_of(dims: &Dims, targets: &BTreeSet<Projection>) -> impl Iterator<Item = Module> {
    // The names are the same for all families.
    sources(Naming::Transformers, Family::Llama, Head::Policy, dims).into_iter().filter_map(|source| {
        let matrix = source.target.rsplit('.').next()?;
        let projection = *targets.iter().find(|target| target.tensor() == matrix)?;
        (source.shape.len() == 2).then_some(Module { source, projection })
    })
}

/// What a file has for one of the trunk's matrices.
struct Matrix {
    /// The trunk's tensor.
    target: String,
    projection: Projection,
    /// First column, A `[r, inputs]` and B `[outputs, r]` of each module that has them.
    modules: Vec<(usize, Vec<f32>, Vec<f32>)>,
    /// Of each module.
    r: usize,
}

impl Matrix {
    /// Whether all modules have one A.
    fn shares(&self) -> bool {
        self.modules.windows(2).all(|pair| pair[0].1 == pair[1].1)
    }

    fn rank(&self) -> usize {
        if self.shares() { self.r } else { self.r * self.modules.len() }
    }

    /// Writes A and B into the adapters of the trunk, which have rank `rank`.
    fn put(&self, parameters: &mut Parameters, rank: usize) {
        const KNOWN: &str = "the layout has every target";
        for (number, (column, a, b)) in self.modules.iter().enumerate() {
            let first = if self.shares() { 0 } else { number * self.r };
            let to = parameters.tensor_mut(&adapter(&self.target, 'a')).expect(KNOWN);
            let inputs = a.len() / self.r;
            for (row, values) in a.chunks_exact(inputs).enumerate() {
                spread(values, &mut to[first + row..], rank);
            }
            let to = parameters.tensor_mut(&adapter(&self.target, 'b')).expect(KNOWN);
            let width = to.len() / rank;
            for (output, values) in b.chunks_exact(self.r).enumerate() {
                spread(values, &mut to[first * width + column + output..], width);
            }
        }
    }
}

impl Matrix {
    /// All that a file has, which has nothing else.
    fn read_all(file: &Path, dims: &Dims, r: usize) -> Result<Vec<Self>, LoadError> {
        let files = tensors::open(file)?;
        let mut left: BTreeSet<String> = files.names().into_iter().map(str::to_owned).collect();
        let mut matrices: Vec<Matrix> = Vec::new();
        for module in modules_of(dims, &Projection::ALL.into()) {
            let Module { source, projection } = &module;
            let names = ['A', 'B'].map(|half| module.tensor(half));
            if names.iter().all(|name| !left.contains(name)) {
                continue;
            }
            let shapes = [[r, source.shape[1]], [source.shape[0], r]];
            let mut halves = Vec::new();
            for (name, needed) in names.into_iter().zip(shapes) {
                halves.push(read(&*files, file, &name, needed)?);
                left.remove(&name);
            }
            let b = halves.pop().unwrap_or_default();
            let a = halves.pop().unwrap_or_default();
            match matrices.last_mut().filter(|matrix| matrix.target == source.target) {
                Some(matrix) => matrix.modules.push((source.column, a, b)),
                None => matrices.push(Matrix {
                    target: source.target.clone(),
                    projection: *projection,
                    modules: vec![(source.column, a, b)],
                    r,
                }),
            }
        }
        match left.pop_first() {
            Some(tensor) => Err(LoadError::Unexpected { file: file.to_owned(), tensor }),
            None => Ok(matrices),
        }
    }
}

fn read(
    files: &dyn TensorSource,
    file: &Path,
    name: &str,
    needed: [usize; 2],
) -> Result<Vec<f32>, LoadError> {
    let (file, tensor): (PathBuf, _) = (file.to_owned(), name.to_owned());
    match files.shape(name) {
        None => Err(LoadError::Missing { file, tensor }),
        Some(found) if found != needed => {
            Err(LoadError::Tensor { file, tensor, found: found.to_vec(), needed: needed.to_vec() })
        }
        Some(_) => Ok(files.read(name)?),
    }
}
