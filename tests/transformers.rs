//! Models that transformers saved: what they say of tokens, and the gradient of a loss by every tensor, as transformers
//! has them. `peers/pretrained/record_gradients.py` wrote the files.

#[path = "peers/pretrained/families.rs"]
mod families;

use std::fs::File;
use std::path::{Path, PathBuf};

use families::{Llama, LlamaTied, Qwen2};
use pspo::data::numbers::Temperature;
use pspo::data::{Parameters, Sequence};
use pspo::kernels::Device;
use pspo::model::tensor::{MeanTo, vector};
use pspo::model::{Arch, Batch, Dims, Policy, ScalarModel, backward};
use pspo::pretrained::{Head, Pretrained};
use serde::Deserialize;

/// Of a log-probability or a number, and of a tensor's gradient as a share of its norm: 32-bit floats on both sides.
const NEAR: f32 = 5e-6;

#[derive(Deserialize)]
struct Expected {
    /// Prompt and response.
    rows: Vec<(Vec<u32>, Vec<u32>)>,
    /// What is said of each response token.
    said: Vec<f32>,
    loss: f32,
}

impl Expected {
    fn rows(&self) -> Vec<Sequence> {
        let row = |(prompt, response): &(Vec<u32>, Vec<u32>)| Sequence {
            prompt: prompt.clone(),
            response: response.clone(),
        };
        self.rows.iter().map(row).collect()
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transformers").join(name)
}

fn open(name: &str) -> (Pretrained, Expected, Parameters) {
    let folder = folder(name);
    let expected = serde_json::from_reader(File::open(folder.join("expected.json")).unwrap()).unwrap();
    // A gradient has the names and shapes of what it is the gradient by.
    let gradients = Pretrained::open(folder.join("gradients")).unwrap().parameters_as_found().unwrap();
    (Pretrained::open(&folder).unwrap(), expected, gradients)
}

fn norm(values: impl IntoIterator<Item = f32>) -> f32 {
    values.into_iter().map(|value| value * value).sum::<f32>().sqrt()
}

fn same(
    (name, dims): (&str, &Dims),
    said: &[f32],
    loss: f32,
    gradient: &[f32],
    expected: &Expected,
    gradients: &Parameters,
) {
    assert_eq!(said.len(), expected.said.len());
    for (place, (got, needed)) in said.iter().zip(&expected.said).enumerate() {
        assert!((got - needed).abs() < NEAR * needed.abs().max(1.0), "{name}, {place}: {got}, not {needed}");
    }
    assert!((loss - expected.loss).abs() < NEAR * expected.loss, "{name}: {loss}, not {}", expected.loss);
    for (tensor, shape, place) in gradients.layout().iter() {
        let (got, needed) = (&gradient[place.clone()], &gradients.values()[place]);
        let columns = shape[shape.len() - 1];
        for border in borders(dims, tensor, columns).windows(2) {
            let part = border[0]..border[1];
            let of_part = |values: &[f32]| {
                values.chunks(columns).flat_map(|row| row[part.clone()].to_vec()).collect::<Vec<_>>()
            };
            let (got, needed) = (of_part(got), of_part(needed));
            let size = norm(needed.iter().copied());
            assert!(size > 1e-4, "{name}: the gradient by {tensor} {part:?} is as good as none, {size}");
            let difference = norm(got.iter().zip(&needed).map(|(got, needed)| got - needed)) / size;
            println!("{name} {tensor} {part:?}: {difference:.1e}");
            assert!(difference < NEAR, "{name}: the gradient by {tensor} {part:?} is off by {difference}");
        }
    }
}

/// Where the columns begin and end that are tensors of their own in transformers.
fn borders(dims: &Dims, tensor: &str, columns: usize) -> Vec<usize> {
    let (queries, keys) = (dims.heads * dims.head_size, dims.kv_heads * dims.head_size);
    match tensor.rsplit('.').next() {
        Some("qkv" | "qkv_bias") => vec![0, queries, queries + keys, columns],
        Some("gate_up") => vec![0, dims.hidden, columns],
        _ => vec![0, columns],
    }
}

fn policy_agrees<A: Arch>() {
    let (files, expected, gradients) = open(A::NAME);
    let policy: Policy<A> = files.policy(&Device::cpu()).unwrap();
    let batch = Batch::responses(&A::DIMS, &expected.rows()).unwrap();
    let said = policy.log_probs(&batch, Temperature::new(1.0)).unwrap().log_probs;
    let values = said.as_vec();
    let loss = backward(-said.mean()).unwrap();
    same((A::NAME, &A::DIMS), &values, loss, &policy.gradient().unwrap(), &expected, &gradients);
}

fn scalar_model_agrees<A: Arch>(name: &str) {
    let (files, expected, gradients) = open(name);
    assert_eq!(files.description().head, Head::Scalar(None));
    let model: ScalarModel<A> = files.scalar_model(&Device::cpu()).unwrap();
    let rows = expected.rows();
    let places: Vec<Vec<usize>> = rows.iter().map(|row| (0..row.response.len()).collect()).collect();
    let places = rows.iter().zip(places.iter().map(Vec::as_slice));
    let numbers = model.values(&Batch::at(&A::DIMS, places).unwrap()).unwrap();
    let values = numbers.as_vec();
    let labels = (0..values.len()).map(|place| if place % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let loss = backward((numbers - vector(labels)).square().mean()).unwrap();
    same((name, &A::DIMS), &values, loss, &model.gradient().unwrap(), &expected, &gradients);
}

#[test]
fn llama_with_grouped_queries_and_stretched_angles() {
    policy_agrees::<Llama>();
}

#[test]
fn llama_whose_output_layer_is_the_embedding_table() {
    policy_agrees::<LlamaTied>();
}

#[test]
fn qwen2_with_biases() {
    policy_agrees::<Qwen2>();
}

#[test]
fn token_classifications_of_one_label() {
    scalar_model_agrees::<LlamaTied>("llama_scalar");
    scalar_model_agrees::<Qwen2>("qwen2_scalar");
}
