//! The trunk, heads and output layer against the same computation composed of dfdx's own ops, whose
//! gradients dfdx derives: values, and the gradient of every parameter.

use dfdx::prelude::*;

use pspo::data::numbers::Temperature;
use pspo::data::{Parameters, Seed, Sequence};
use pspo::kernels;
use pspo::kernels::rotary::Scaling;
use pspo::model::tensor::{OnTape, Vector, vector};
use pspo::model::{Arch, Batch, Dims, Policy, ScalarModel, backward, init};
use rand::RngExt;

pspo::arch! {
    struct Grouped {
        name: "grouped", vocabulary: 11, width: 24, layers: 2, heads: 6, kv_heads: 2, head_size: 4, hidden: 20,
        positions: 16, rope_theta: 100.0, norm_epsilon: 1e-3,
    }
}

pspo::arch! {
    struct Biased {
        name: "biased", vocabulary: 11, width: 16, layers: 2, heads: 4, kv_heads: 2, head_size: 4, hidden: 12,
        positions: 16, rope_scaling: Scaling::Linear { factor: 2.0 }, tied: true, qkv_bias: true,
    }
}

pspo::arch! {
    struct Tied {
        name: "tied", vocabulary: 9, width: 16, layers: 1, heads: 2, kv_heads: 2, head_size: 8, hidden: 12,
        positions: 16, tied: true,
    }
}

const WARM: Temperature = Temperature::new(0.7);

type Matrix<T = OnTape> = Tensor<(usize, usize), f32, Cpu, T>;

/// A model in plain dfdx, for one row of tokens at a time. All its tensors are parts of one leaf.
struct Plain<'a> {
    dims: Dims,
    parameters: &'a Parameters,
    leaf: Vector,
}

impl<'a> Plain<'a> {
    fn new(dims: Dims, parameters: &'a Parameters) -> Self {
        Self { dims, parameters, leaf: vector(parameters.values().to_vec()) }
    }

    fn vector(&self, name: &str) -> Vector<OnTape> {
        let place = self.parameters.layout().range(name).unwrap();
        let n = place.len();
        self.leaf.retaped::<OnTape>().gather(Cpu::default().tensor_from_vec(place.collect(), (n,)))
    }

    fn matrix(&self, name: &str) -> Matrix {
        let (shape, _) = self.parameters.layout().tensor(name).unwrap();
        self.vector(name).reshape_like(&(shape[0], shape[1]))
    }

    /// x / sqrt(mean(x²) + ε) · weight, for each row of x.
    fn rms_norm(&self, x: Matrix, weight: &str) -> Matrix {
        let shape = *x.shape();
        let mean_square = x.with_empty_tape().square().mean::<(usize,), Axis<1>>();
        let scale: Matrix =
            (mean_square + self.dims.norm_epsilon).sqrt().broadcast_like::<_, Axis<1>>(&shape);
        x / scale * self.vector(weight).broadcast_like::<_, Axis<0>>(&shape)
    }

    /// Every pair (j, j + d/2) of each row turned by the row's position · θ^(−2j/d), over the scaling's factor: x cos + (x P) sin,
    /// where the matrix P swaps the halves and negates what comes from the second.
    fn rotary(&self, x: Matrix) -> Matrix {
        let (n, d) = *x.shape();
        let half = d / 2;
        let factor = match self.dims.rope_scaling {
            Scaling::Linear { factor } => factor,
            _ => 1.0,
        };
        let angle = |place: usize| {
            let (position, pair) = (place / d, place % d % half);
            position as f32 / factor * self.dims.rope_theta.powf(-2.0 * pair as f32 / d as f32)
        };
        let swap = |place: usize| match (place / d, place % d) {
            (from, to) if from == to + half => -1.0,
            (from, to) if from + half == to => 1.0,
            _ => 0.0,
        };
        let swapped = x.with_empty_tape().matmul(constant(d, d, swap));
        x * constant(n, d, |place| angle(place).cos()) + swapped * constant(n, d, |place| angle(place).sin())
    }

    /// The sum over heads of softmax(q kᵀ / √d, at places up to each row's own) v W_out.
    fn attention(&self, x: Matrix, layer: &str) -> Matrix {
        let Dims { heads, kv_heads, head_size: d, .. } = self.dims;
        let n = x.shape().0;
        let future = constant(n, n, |place| if place % n > place / n { -1e9 } else { 0.0 });
        let mut qkv = x.matmul(self.matrix(&format!("{layer}.qkv")));
        if self.dims.qkv_bias {
            let shape = *qkv.shape();
            qkv = qkv + self.vector(&format!("{layer}.qkv_bias")).broadcast_like::<_, Axis<0>>(&shape);
        }
        let (qkv, tape) = qkv.split_tape();
        let columns = |head: usize| columns(qkv.retaped(), head * d..(head + 1) * d);
        let mut sum: Option<Matrix> = None;
        for head in 0..heads {
            let shared = head / (heads / kv_heads);
            let q = self.rotary(columns(head));
            let k = self.rotary(columns(heads + shared));
            let v = columns(heads + kv_heads + shared);
            let scores = q.matmul(transposed(k)) / (d as f32).sqrt() + future.clone();
            let out = rows(self.matrix(&format!("{layer}.attention_out")), head * d..(head + 1) * d);
            let written = scores.softmax::<Axis<1>>().matmul(v).matmul(out);
            sum = Some(match sum {
                Some(sum) => sum + written,
                None => written,
            });
        }
        // The heads began with empty tapes: the tape of what they were cut from joins theirs.
        let (sum, rest) = sum.unwrap().split_tape();
        sum.put_tape(rest.merge(tape))
    }

    /// silu(x W_gate) ⊙ (x W_up) W_down, the gate's columns before the others.
    fn feed_forward(&self, x: Matrix, layer: &str) -> Matrix {
        let hidden = self.dims.hidden;
        let both = x.matmul(self.matrix(&format!("{layer}.gate_up")));
        let gate = columns(both.with_empty_tape(), 0..hidden);
        let up = columns(both, hidden..2 * hidden);
        let silu = gate.with_empty_tape().sigmoid() * gate;
        (silu * up).matmul(self.matrix(&format!("{layer}.down")))
    }

    /// The hidden states of one row, `[tokens, width]`.
    fn hidden(&self, row: &Sequence) -> Matrix {
        let tokens = row.tokens().map(|token| token as usize);
        let mut x = rows(self.matrix("trunk.embedding"), tokens);
        for layer in 0..self.dims.layers {
            let layer = format!("trunk.layers.{layer}");
            let normed = self.rms_norm(x.with_empty_tape(), &format!("{layer}.attention_norm"));
            x = x + self.attention(normed, &layer);
            let normed = self.rms_norm(x.with_empty_tape(), &format!("{layer}.feed_forward_norm"));
            x = x + self.feed_forward(normed, &layer);
        }
        self.rms_norm(x, "trunk.norm")
    }

    /// log π of each response token, and the entropy of the distribution it was drawn from.
    fn log_probs(&self, row: &Sequence) -> (Vector<OnTape>, Vector<OnTape>) {
        let (first, n) = (row.prompt.len() - 1, row.response.len());
        let hidden = rows(self.hidden(row), first..first + n);
        let logits = if self.dims.tied {
            hidden.matmul(transposed(self.matrix("trunk.embedding")))
        } else {
            hidden.matmul(self.matrix("output.weight"))
        };
        let all = (logits / WARM.get()).log_softmax::<Axis<1>>();
        let entropy = (all.with_empty_tape().exp() * all.with_empty_tape()).sum::<(usize,), Axis<1>>() * -1.0;
        let targets: Vec<usize> = row.response.iter().map(|&token| token as usize).collect();
        (all.select(Cpu::default().tensor_from_vec(targets, (n,))), entropy)
    }

    /// The scalar head at chosen response tokens.
    fn values(&self, row: &Sequence, places: &[usize]) -> Vector<OnTape> {
        let n = places.len();
        let hidden = rows(self.hidden(row), places.iter().map(|place| row.prompt.len() + place));
        let bias: Matrix = self.vector("head.bias").broadcast_like::<_, Axis<0>>(&(n, 1));
        (hidden.matmul(self.matrix("head.weight")) + bias).reshape_like(&(n,))
    }

    fn gradient(&self, loss: Tensor<Rank0, f32, Cpu, OnTape>) -> Vec<f32> {
        loss.backward().get(&self.leaf).as_vec()
    }
}

/// Rows of a matrix. By `gather`: the gradient of dfdx's `slice` is right for one slice of a tensor alone.
fn rows(x: Matrix, places: impl Iterator<Item = usize>) -> Matrix {
    let places: Vec<usize> = places.collect();
    let n = places.len();
    x.gather(Cpu::default().tensor_from_vec(places, (n,)))
}

fn columns(x: Matrix, places: impl Iterator<Item = usize>) -> Matrix {
    transposed(rows(transposed(x), places))
}

fn transposed(x: Matrix) -> Matrix {
    x.permute::<_, Axes2<1, 0>>()
}

fn constant(rows: usize, columns: usize, value: impl Fn(usize) -> f32) -> Matrix<NoneTape> {
    Cpu::default().tensor_from_vec((0..rows * columns).map(value).collect(), (rows, columns))
}

/// Parameters none of which is 0 or 1, norms and biases included.
fn parameters(layout: pspo::data::Layout, layers: usize) -> Parameters {
    let mut parameters = init::random(layout, layers, Seed::root(3));
    let mut rng = Seed::root(3).child("noise").rng();
    parameters.values_mut().iter_mut().for_each(|value| *value += rng.random_range(-0.3..0.3_f32));
    parameters
}

fn sequences() -> [Sequence; 2] {
    [
        Sequence { prompt: vec![1, 2, 3], response: vec![4, 4, 8, 0, 6] },
        Sequence { prompt: vec![5], response: vec![7, 1] },
    ]
}

/// Coefficients that make a loss of many values, each counting otherwise.
fn coefficients(n: usize, phase: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 + phase).cos()).collect()
}

#[track_caller]
fn assert_values(ours: &[f32], plain: &[f32]) {
    assert_eq!(ours.len(), plain.len());
    for (ours, plain) in ours.iter().zip(plain) {
        assert!((ours - plain).abs() < 1e-5 * plain.abs().max(1.0), "{ours}, and {plain} in plain dfdx");
    }
}

/// Each tensor by itself, within 1e-4 of its largest gradient.
#[track_caller]
fn assert_gradients(parameters: &Parameters, ours: &[f32], plain: &[f32]) {
    assert_eq!(ours.len(), plain.len());
    for (name, _, place) in parameters.layout().iter() {
        let (ours, plain) = (&ours[place.clone()], &plain[place]);
        let largest = plain.iter().fold(0.0_f32, |largest, g| largest.max(g.abs()));
        assert!(largest > 1e-3, "{name}: the loss does not depend on it");
        for (at, (ours, plain)) in ours.iter().zip(plain).enumerate() {
            assert!((ours - plain).abs() < 1e-4 * largest, "{name}[{at}]: {ours}, and {plain} in plain dfdx");
        }
    }
}

fn policy_agrees<A: Arch>() {
    let parameters = parameters(A::DIMS.policy_layout(), A::DIMS.layers);
    let rows = sequences();
    let n: usize = rows.iter().map(|row| row.response.len()).sum();
    let (a, b) = (coefficients(n, 0.0), coefficients(n, 0.5));

    let policy = Policy::<A>::new(&kernels::Device::cpu(), &parameters).unwrap();
    let out = policy.log_probs(&Batch::responses(&A::DIMS, &rows).unwrap(), WARM).unwrap();
    let (log_probs, entropy) = (out.log_probs.as_vec(), out.entropy.as_vec());
    backward((out.log_probs * vector(a.clone()) + out.entropy * vector(b.clone())).sum()).unwrap();

    let plain = Plain::new(A::DIMS, &parameters);
    let [(first, first_entropy), (second, second_entropy)] =
        [&rows[0], &rows[1]].map(|row| plain.log_probs(row));
    assert_values(&log_probs, &[first.as_vec(), second.as_vec()].concat());
    assert_values(&entropy, &[first_entropy.as_vec(), second_entropy.as_vec()].concat());
    let cut = rows[0].response.len();
    let loss = |log_probs: Vector<OnTape>, entropy: Vector<OnTape>, a: &[f32], b: &[f32]| {
        (log_probs * vector(a.to_vec()) + entropy * vector(b.to_vec())).sum::<Rank0, _>()
    };
    let first = loss(first, first_entropy, &a[..cut], &b[..cut]);
    let second = loss(second, second_entropy, &a[cut..], &b[cut..]);
    assert_gradients(&parameters, &policy.gradient().unwrap(), &plain.gradient(first + second));
}

#[test]
fn a_policy_of_grouped_heads_agrees() {
    policy_agrees::<Grouped>();
}

#[test]
fn a_policy_with_tied_embeddings_agrees() {
    policy_agrees::<Tied>();
}

#[test]
fn a_policy_with_biases_and_scaled_positions_agrees() {
    policy_agrees::<Biased>();
}

#[test]
fn a_scalar_model_agrees() {
    let parameters = parameters(Grouped::DIMS.scalar_layout(), Grouped::DIMS.layers);
    let rows = sequences();
    let places: [&[usize]; 2] = [&[0, 2, 4], &[1]];
    let a = coefficients(4, 0.0);

    let model = ScalarModel::<Grouped>::new(&kernels::Device::cpu(), &parameters).unwrap();
    let batch = Batch::at(&Grouped::DIMS, [(&rows[0], places[0]), (&rows[1], places[1])]).unwrap();
    let values = model.values(&batch).unwrap();
    let ours = values.as_vec();
    backward((values * vector(a.clone())).sum()).unwrap();

    let plain = Plain::new(Grouped::DIMS, &parameters);
    let [first, second] = [0, 1].map(|row| plain.values(&rows[row], places[row]));
    assert_values(&ours, &[first.as_vec(), second.as_vec()].concat());
    let first = (first * vector(a[..3].to_vec())).sum::<Rank0, _>();
    let loss = first + (second * vector(a[3..].to_vec())).sum::<Rank0, _>();
    assert_gradients(&parameters, &model.gradient().unwrap(), &plain.gradient(loss));
}
