//! Where a training step's time goes: each op of it by itself, on buffers of the step's sizes.

use std::hint::black_box;
use std::ops::Range;
use std::time::Instant;

use pspo::kernels::attention::Heads;
use pspo::kernels::product::{Shape, WeightLayout};
use pspo::kernels::rotary::Direction;
use pspo::kernels::token_log_prob::OutputLayer;
use pspo::kernels::{
    Buffer, Device, adamw, attention, embedding, product, rms_norm, rotary, swiglu, token_log_prob,
};
use pspo::model::{Arch, Dims, GROUP_TOKENS};
use serde_json::{Map, Value, json};

use crate::Work;
use crate::shapes::{Operations, PROMPT};

/// All ops of a step on rows of one length.
pub(crate) struct Ops {
    dims: Dims,
    device: Device,
    rows: usize,
    len: usize,
}

impl Ops {
    pub(crate) fn new<A: Arch>(rows: usize, len: usize) -> Self {
        Self { dims: A::DIMS, device: Device::cpu(), rows, len }
    }

    /// Numbers between −1 and 1.
    fn numbers(&self, len: usize) -> Buffer {
        let number = |i: usize| ((i.wrapping_mul(2_654_435_761) >> 8) % 2001) as f32 / 1000.0 - 1.0;
        self.device.upload(&(0..len).map(number).collect::<Vec<_>>()).expect("the CPU has room")
    }
}

/// Runs a piece of work a few times, and notes under a name how long it takes so many times.
pub(crate) type Clock<'a> = &'a mut dyn FnMut(&str, usize, &mut dyn FnMut());

/// Notes in `figures` the least of three runs, after one that warms up.
pub(crate) fn clock(figures: &mut Map<String, Value>) -> impl FnMut(&str, usize, &mut dyn FnMut()) {
    |name, times, work| {
        work();
        let least = (0..3).map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed().as_secs_f64()
        });
        figures.insert(name.to_owned(), json!(times as f64 * least.fold(f64::INFINITY, f64::min)));
    }
}

impl Ops {
    /// Attention and rotary positions.
    pub(crate) fn attention(&self, time: Clock<'_>) {
        let Self { ref device, dims, rows, len } = *self;
        let n = rows * len;
        let Dims { layers, head_size, .. } = dims;
        let heads = Heads { queries: dims.heads, keys: dims.kv_heads, size: head_size };
        let offsets: Vec<u32> = (0..=rows).map(|row| (row * len) as u32).collect();
        let places: Vec<u32> = (0..n).map(|token| (token % len) as u32).collect();
        let in_rows = attention::Rows::new(device, &offsets).expect("offsets rise");
        let positions = device.indices(&places).expect("the CPU has room");
        let (qkv, mut d_qkv) = (self.numbers(n * heads.qkv_width()), self.numbers(n * heads.qkv_width()));
        let (mut out, mut log_sum) = (self.numbers(n * heads.out_width()), self.numbers(n * heads.queries));
        let d_out = self.numbers(n * heads.out_width());
        time("attention, forward", layers, &mut || {
            let (out, log_sum) = (out.view_mut(), log_sum.view_mut());
            attention::forward(device, heads, &in_rows, qkv.view(), out, log_sum).expect("shapes fit");
        });
        time("attention, gradient", layers, &mut || {
            let kept = (out.view(), log_sum.view());
            let d_qkv = d_qkv.view_mut();
            attention::backward(device, heads, &in_rows, qkv.view(), kept.0, kept.1, d_out.view(), d_qkv)
                .expect("shapes fit");
        });
        let table = rotary::Table::new(device, head_size, len, 10_000.0, rotary::Scaling::None)
            .expect("the CPU has room");
        time("rotary, both", 2 * layers, &mut || {
            let (turned, stride) = (heads.queries + heads.keys, heads.qkv_width());
            rotary::rotate(device, &table, Direction::Forward, turned, stride, &positions, d_qkv.view_mut())
                .expect("shapes fit");
        });
    }
}

/// What the trunk sums gradients over by itself: here the rows of a group have as many tokens as one may.
fn groups(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(GROUP_TOKENS).map(move |start| start..n.min(start + GROUP_TOKENS))
}

impl Work for Ops {
    fn amount(&self) -> Value {
        let Self { dims, rows, len, .. } = *self;
        json!({"tokens": rows * len, "flop": Operations(dims).training(rows, len, len - PROMPT)})
    }

    /// Seconds of each op for one step, all layers together.
    fn run(&mut self) -> Value {
        let Self { ref device, dims, rows, len } = *self;
        let (n, scored) = (rows * len, rows * (len - PROMPT));
        let Dims { width, layers, hidden, head_size, vocabulary, .. } = dims;
        let heads = Heads { queries: dims.heads, keys: dims.kv_heads, size: head_size };
        let mut figures = Map::new();
        let mut time = clock(&mut figures);

        let shapes =
            [(width, heads.qkv_width()), (heads.out_width(), width), (width, 2 * hidden), (hidden, width)];
        let sizes =
            shapes.map(|(inputs, outputs)| (self.numbers(n * inputs), self.numbers(inputs * outputs)));
        let mut ys = shapes.map(|(inputs, outputs)| {
            (self.numbers(n * outputs), self.numbers(n * inputs), self.numbers(inputs * outputs))
        });
        let shape = |(inputs, outputs)| Shape { rows: n, inputs, outputs, layout: WeightLayout::InOut };
        time("products, forward", layers, &mut || {
            for ((at, (x, w)), (y, ..)) in shapes.into_iter().zip(&sizes).zip(&mut ys) {
                product::forward(device, shape(at), x.view(), w.view(), y.view_mut(), false)
                    .expect("shapes fit");
            }
        });
        time("products, gradient of the input", layers, &mut || {
            for ((at, (_, w)), (y, dx, _)) in shapes.into_iter().zip(&sizes).zip(&mut ys) {
                product::backward_input(device, shape(at), y.view(), w.view(), dx.view_mut(), false)
                    .expect("shapes fit");
            }
        });
        time("products, gradient of the weight", layers, &mut || {
            for ((at, (x, _)), (y, _, dw)) in shapes.into_iter().zip(&sizes).zip(&mut ys) {
                for group in groups(n) {
                    let shape = Shape { rows: group.len(), ..shape(at) };
                    let x = x.slice(group.start * shape.inputs..group.end * shape.inputs);
                    let y = y.slice(group.start * shape.outputs..group.end * shape.outputs);
                    product::backward_weight(device, shape, x, y, dw.view_mut()).expect("shapes fit");
                }
            }
        });
        drop((sizes, ys));

        self.attention(&mut time);

        let (gate_up, mut d_gate_up) = (self.numbers(n * 2 * hidden), self.numbers(n * 2 * hidden));
        let mut activated = self.numbers(n * hidden);
        time("SwiGLU, forward", layers, &mut || {
            swiglu::forward(device, hidden, gate_up.view(), activated.view_mut()).expect("shapes fit");
        });
        time("SwiGLU, gradient", layers, &mut || {
            swiglu::backward(device, hidden, gate_up.view(), activated.view(), d_gate_up.view_mut())
                .expect("shapes fit");
        });
        drop((gate_up, d_gate_up, activated));

        let (x, w, mut scale) = (self.numbers(n * width), self.numbers(width), self.numbers(n));
        let (mut y, mut dx, mut dw) = (self.numbers(n * width), self.numbers(n * width), self.numbers(width));
        time("norms, forward", 2 * layers + 1, &mut || {
            let (y, scale) = (y.view_mut(), scale.view_mut());
            rms_norm::forward(device, width, 1e-5, x.view(), w.view(), y, scale).expect("shapes fit");
        });
        time("norms, gradient", 2 * layers + 1, &mut || {
            for group in groups(n) {
                let rows = group.start * width..group.end * width;
                let (x, scale, y) = (x.slice(rows.clone()), scale.slice(group), y.slice(rows.clone()));
                let (dx, dw) = (dx.slice_mut(rows), dw.view_mut());
                rms_norm::backward(device, width, x, w.view(), scale, y, dx, dw).expect("shapes fit");
            }
        });
        time("copies of the residual stream", 2 * layers, &mut || {
            device.copy(x.view(), y.view_mut()).expect("shapes fit");
        });
        drop((x, y, dx));

        let layout = if dims.tied { WeightLayout::OutIn } else { WeightLayout::InOut };
        let layer = OutputLayer { width, vocabulary, layout, temperature: 1.0 };
        let (h, mut dh) = (self.numbers(scored * width), self.numbers(scored * width));
        let (w, mut dw) = (self.numbers(width * vocabulary), self.numbers(width * vocabulary));
        let targets: Vec<u32> = (0..scored).map(|i| (i * 7 % vocabulary) as u32).collect();
        let targets = device.indices(&targets).expect("the CPU has room");
        let mut results = [(); 3].map(|()| self.numbers(scored));
        let mut logits = layer.keeps(scored).then(|| self.numbers(scored * vocabulary));
        time("log-probabilities, forward", 1, &mut || {
            let [a, b, c] = &mut results;
            let (a, b, c) = (a.view_mut(), b.view_mut(), c.view_mut());
            let kept = logits.as_mut().map(Buffer::view_mut);
            token_log_prob::forward(device, layer, h.view(), w.view(), &targets, a, b, c, kept)
                .expect("shapes fit");
        });
        time("log-probabilities, gradient", 1, &mut || {
            let [a, b, c] = &results;
            let (kept, gradients) = ((b.view(), c.view()), (a.view(), a.view()));
            let (dh, dw) = (dh.view_mut(), dw.view_mut());
            token_log_prob::backward(
                device,
                layer,
                h.view(),
                w.view(),
                &targets,
                kept,
                gradients,
                &groups(scored).collect::<Vec<_>>(),
                dh,
                Some(dw),
                logits.as_mut().map(Buffer::view_mut),
            )
            .expect("shapes fit");
        });
        let mut x = self.numbers(n * width);
        let tokens: Vec<u32> = (0..n).map(|i| (i * 31 % vocabulary) as u32).collect();
        let tokens = device.indices(&tokens).expect("the CPU has room");
        time("embeddings, both", 1, &mut || {
            embedding::forward(device, width, w.view(), &tokens, x.view_mut()).expect("tokens fit");
            embedding::backward(device, width, &tokens, x.view(), dw.view_mut()).expect("tokens fit");
        });

        let parameters = Operations(dims).layer_weights() as usize + 2 * width * vocabulary;
        let parameters = if dims.tied { parameters - width * vocabulary } else { parameters };
        let [g, mut p, mut m, mut v] = [(); 4].map(|()| self.numbers(parameters));
        device.fill_zero(v.view_mut()).expect("the CPU's own");
        let step = adamw::Step {
            learning_rate: 1e-4,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.0,
            gradient_scale: 1.0,
            number: 1,
        };
        time("AdamW with the norm", 1, &mut || {
            black_box(adamw::squared_norm(device, g.view()).expect("the CPU's own"));
            let (p, m, v) = (p.view_mut(), m.view_mut(), v.view_mut());
            adamw::step(device, step, g.view(), p, m, v).expect("shapes fit");
        });
        drop(time);
        Value::Object(figures)
    }
}
