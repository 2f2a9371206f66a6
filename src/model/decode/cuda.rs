//! Decoding on a CUDA device.
//!
//! A step is some hundreds of small kernels, which would each wait for the host. So it is captured as a graph, for a number
//! of rows that is a power of two: rows that are not there have no tokens. What differs from step to step is in one buffer,
//! which is copied to the device before the graph is launched.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, DevicePtr, DevicePtrMut};
use half::bf16;
use rand_chacha::ChaCha8Rng;

use super::{Prefix, Row};
use crate::kernels::attention::pages::{self, Attended, Format, PAGE, Pool};
use crate::kernels::cuda::{Cuda, Graph, Pinned};
use crate::kernels::product::{self, Fragments, Shape, WeightLayout};
use crate::kernels::sample::{self, Choice, DRAW, Drawn};
use crate::kernels::{
    Activation, Buffer, Device, KernelError, Numbers, NumbersMut, View, bfloat16, bias, embedding, rms_norm,
    scale, swiglu,
};
use crate::model::arch::Dims;
use crate::model::batch::Batch;
use crate::model::cache::Pages;
use crate::model::error::ModelError;
use crate::model::trunk::{Keep, Matrix, Place, Trunk, Values};

const OP: &str = "decode";

/// A decoder on a CUDA device.
#[derive(Debug)]
pub(super) struct CudaDecoder<'a> {
    model: Arc<Model<'a>>,
    /// By rows.
    buffers: BTreeMap<usize, Buffers>,
    /// By rows and splits.
    steps: BTreeMap<(usize, usize), Step>,
    logits: Vec<f32>,
}

/// What decoders of one model share.
#[derive(Debug)]
struct Model<'a> {
    cuda: Cuda,
    trunk: &'a Trunk,
    weights: Values<'a>,
    output: Place,
    output_tiles: Option<Fragments>,
    /// Of each layer, those of queries, keys and values, of what leaves the heads, of gate and up, of what goes back.
    matrices: Vec<[Prepared; 4]>,
    pool: Arc<Pool>,
    bfloat16: bool,
}

/// A matrix as decoding reads it, and its adapter: merged where the matrix is in f32; beside it where it is in bfloat16,
/// since rounding the sum would lose what a short training has changed.
#[derive(Debug)]
struct Prepared {
    weight: Prepack,
    adapter: Option<Adapter>,
}

#[derive(Debug)]
enum Prepack {
    /// As it is.
    Plain,
    Merged(Buffer),
    Tiles(Fragments),
}

#[derive(Debug)]
struct Adapter {
    a: Buffer<bf16>,
    b: Buffer<bf16>,
    rank: usize,
    scale: f32,
}

/// What a step of so many rows computes in.
struct Buffers {
    x: Buffer,
    scale: Buffer,
    normed: Activation,
    qkv: Activation,
    attended: Activation,
    gate_up: Activation,
    activated: Activation,
    low: Activation,
    logits: Buffer,
}

/// A step of so many rows and splits: its inputs, and its graph once it has run.
struct Step {
    rows: usize,
    splits: usize,
    /// The inputs, on the host and on the device.
    given: Pinned<u32>,
    inputs: CudaSlice<u32>,
    partial: Buffer,
    has_run: bool,
    graph: Option<Graph>,
}

impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, splits, .. } = self;
        f.debug_struct("Step").field("rows", rows).field("splits", splits).finish_non_exhaustive()
    }
}

/// Where the inputs of a step stand among its numbers of 32 bits. Addresses come first, so that they are aligned.
#[derive(Clone, Copy)]
struct Inputs {
    rows: usize,
    /// Pages of a row of the table.
    pages: usize,
}

impl Inputs {
    fn of(rows: usize, splits: usize) -> Self {
        Self { rows, pages: splits * Format::TOKENS_OF_SPLIT / PAGE }
    }

    const fn table(self) -> usize {
        0
    }

    const fn tokens(self) -> usize {
        2 * self.rows * self.pages
    }

    const fn lens(self) -> usize {
        self.tokens() + self.rows
    }

    const fn len(self) -> usize {
        self.lens() + self.rows
    }
}

fn put_address(numbers: &mut [u32], place: usize, address: u64) {
    numbers[place] = address as u32;
    numbers[place + 1] = (address >> 32) as u32;
}

impl Prepared {
    fn new(cuda: &Cuda, device: &Device, matrix: &Matrix, w: Values<'_>) -> Result<Self, KernelError> {
        let weight = w.weight(&matrix.weight);
        let rounded = |range: &std::ops::Range<usize>| {
            let mut half = device.scratch(range.len())?;
            bfloat16::round(device, w.trained.slice(range.clone()), half.view_mut())?;
            Ok::<_, KernelError>(half)
        };
        let adapter = match (&weight, &matrix.adapter) {
            (Numbers::Float32(_), Some(_)) => {
                let merged = matrix.merged(device, w)?;
                return Ok(Self { weight: merged.map_or(Prepack::Plain, Prepack::Merged), adapter: None });
            }
            (Numbers::Bfloat16(_), Some(adapter)) => {
                let (a, b) = (rounded(&adapter.a)?, rounded(&adapter.b)?);
                Some(Adapter { a, b, rank: adapter.rank, scale: adapter.scale })
            }
            (_, None) => None,
        };
        let (inputs, outputs) = (matrix.inputs, matrix.outputs);
        let shape = Shape { rows: 0, inputs, outputs, layout: WeightLayout::InOut };
        let tiles = Fragments::of(cuda, shape, weight)?;
        Ok(Self { weight: tiles.map_or(Prepack::Plain, Prepack::Tiles), adapter })
    }

    /// The tiles, where there is a kernel for gate and up of so many rows and what comes of them.
    fn gated(&self, rows: usize) -> Option<&Fragments> {
        match (&self.weight, &self.adapter) {
            (Prepack::Tiles(tiles), None) if tiles.gates(rows) => Some(tiles),
            _ => None,
        }
    }

    fn rank(&self) -> usize {
        self.adapter.as_ref().map_or(0, |adapter| adapter.rank)
    }
}

impl<'a> CudaDecoder<'a> {
    pub(super) fn new(
        cuda: &Cuda,
        trunk: &'a Trunk,
        weights: Values<'a>,
        output: &Place,
    ) -> Result<Self, KernelError> {
        let dims = &trunk.dims;
        let bfloat16 = trunk.in_bfloat16();
        let matrices = trunk.places.layers.iter().map(|place| {
            let [qkv, attention_out, gate_up, down] = place.matrices();
            let prepared = |matrix| Prepared::new(cuda, &trunk.device, matrix, weights);
            Ok([prepared(qkv)?, prepared(attention_out)?, prepared(gate_up)?, prepared(down)?])
        });
        let matrices = matrices.collect::<Result<_, KernelError>>()?;
        let pool = Pool::new(cuda, Format { layers: dims.layers, heads: dims.attention(), bfloat16 })?;
        let output_tiles = Fragments::of(cuda, output_shape(dims, 0), weights.weight(output))?;
        let (cuda, output) = (cuda.clone(), output.clone());
        let model = Arc::new(Model { cuda, trunk, weights, output, output_tiles, matrices, pool, bfloat16 });
        Ok(Self { model, buffers: BTreeMap::new(), steps: BTreeMap::new(), logits: Vec::new() })
    }

    pub(super) fn another(&self) -> Self {
        Self {
            model: self.model.clone(),
            buffers: BTreeMap::new(),
            steps: BTreeMap::new(),
            logits: Vec::new(),
        }
    }

    pub(super) fn trunk(&self) -> &'a Trunk {
        self.model.trunk
    }

    /// Keys and values of whole rows of tokens.
    pub(super) fn prefill(&self, batch: &Batch) -> Result<Vec<Prefix>, ModelError> {
        let Model { cuda, trunk, weights, pool, .. } = &*self.model;
        let rows = batch.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
        let rows = rows.map(|len| Pages::new(pool, len)).collect::<Result<Vec<_>, _>>()?;
        let (mut addresses, mut slots) = (Vec::new(), Vec::new());
        for (row, pair) in rows.iter().zip(batch.offsets.windows(2)) {
            let addresses_of_row: Vec<u64> = row.addresses().collect();
            for place in 0..(pair[1] - pair[0]) as usize {
                addresses.push(addresses_of_row[place / PAGE]);
                slots.push((place % PAGE) as u32);
            }
        }
        let count = slots.len();
        let (addresses, slots) = (cuda.numbers(&addresses)?, cuda.numbers(&slots)?);
        let places = (addresses.device_ptr(cuda.stream()).0, slots.device_ptr(cuda.stream()).0);
        let put = |layer: usize, qkv: Numbers<'_>| {
            let qkv = qkv.pointer(OP, cuda)?;
            // SAFETY: a page that this row has for itself, and a slot below `PAGE`, for each of the batch's tokens, of
            // which qkv has a row each, in the precision that the trunk computes in, which is the pool's.
            unsafe { pages::put(cuda, pool.format, layer, places, qkv, count) }
        };
        trunk.forward_on(&trunk.device, *weights, batch, Keep::Nothing, put)?;
        Ok(rows.into_iter().map(Prefix::on_cuda).collect())
    }

    /// Runs a step, and returns where the logits of the rows are.
    fn run(&mut self, rows: &mut [&mut Row], tokens: &[u32]) -> Result<&Buffer, ModelError> {
        let Self { model, buffers, steps, .. } = self;
        let Model { cuda, trunk, pool, .. } = &**model;
        let dims = &trunk.dims;
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= dims.vocabulary) {
            return Err(KernelError::Token { op: OP, token, vocabulary: dims.vocabulary }.into());
        }
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        if longest >= dims.positions {
            return Err(KernelError::Position { position: longest, positions: dims.positions }.into());
        }
        let (count, splits) =
            (rows.len().next_power_of_two(), Format::splits(longest + 1).next_power_of_two());
        let buffers = match buffers.entry(count) {
            Entry::Occupied(buffers) => buffers.into_mut(),
            Entry::Vacant(place) => place.insert(Buffers::new(model, count)?),
        };
        let step = match steps.entry((count, splits)) {
            Entry::Occupied(step) => step.into_mut(),
            Entry::Vacant(place) => place.insert(Step::new(model, count, splits)?),
        };
        let inputs = Inputs::of(count, splits);
        let numbers = step.given.host_slice()?;
        // no tokens in rows that are not there
        numbers[inputs.tokens()..].fill(0);
        for (place, (row, &token)) in rows.iter_mut().zip(tokens).enumerate() {
            let len = row.len();
            let pages = row.pages_mut().filter(|pages| pages.are_like(pool));
            let pages = pages.ok_or(KernelError::OtherDevice { op: OP })?;
            pages.make_room(pool)?;
            for (page, address) in pages.addresses().enumerate() {
                put_address(numbers, inputs.table() + 2 * (place * inputs.pages + page), address);
            }
            numbers[inputs.tokens() + place] = token;
            numbers[inputs.lens() + place] = len as u32 + 1;
        }
        cuda.write(&step.given, &mut step.inputs)?;
        match &mut step.graph {
            Some(graph) => cuda.launch(graph)?,
            // The first step loads kernels and chooses those of products, which a graph cannot.
            None if !step.has_run => {
                step.queue(model, buffers, &trunk.device)?;
                step.has_run = true;
            }
            None => {
                let mut graph = cuda.capture(|cuda| step.queue(model, buffers, &Device::of(cuda.clone())))?;
                cuda.launch(&mut graph)?;
                step.graph = Some(graph);
            }
        }
        for row in rows {
            row.pages_mut().expect("a row that has just been fed has pages").advance();
        }
        Ok(&buffers.logits)
    }

    pub(super) fn step(&mut self, rows: &mut [&mut Row], tokens: &[u32]) -> Result<&mut [f32], ModelError> {
        let (device, vocabulary) = (self.model.trunk.device.clone(), self.model.trunk.dims.vocabulary);
        if rows.is_empty() {
            return Ok(&mut []);
        }
        let logits = self.run(rows, tokens)?;
        self.logits = device.download(logits.slice(0..rows.len() * vocabulary))?;
        Ok(&mut self.logits)
    }

    pub(super) fn draw(
        &mut self,
        rows: &mut [&mut Row],
        tokens: &[u32],
        choice: Choice,
        streams: &mut [Vec<&mut ChaCha8Rng>],
    ) -> Result<Vec<Vec<Drawn>>, ModelError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (cuda, vocabulary) = (self.model.cuda.clone(), self.model.trunk.dims.vocabulary);
        // ahead of the draws: a step that fails takes nothing out of the streams
        let logits = self.run(rows, tokens)?;
        let mut draws = Vec::with_capacity(streams.len() * DRAW);
        for (row, streams) in streams.iter_mut().enumerate() {
            draws.extend(streams.iter_mut().flat_map(|stream| sample::describe(stream, row)));
        }
        let count = draws.len() / DRAW;
        let draws = cuda.numbers(&draws)?;
        // tokens, then the bits of their log-probabilities
        let mut drawn = cuda.scratch::<u32>(2 * count)?;
        let logits = Numbers::from(logits.view()).pointer(OP, &cuda)?.address;
        let (stream, bytes) = (cuda.stream(), (count * size_of::<u32>()) as CUdeviceptr);
        let to = drawn.device_ptr_mut(stream).0;
        // SAFETY: there are logits for each row; the draws are those of rows that there are; `drawn` has room for
        // `count` numbers twice.
        unsafe {
            let draws = draws.device_ptr(stream).0;
            sample::draw(&cuda, choice, vocabulary, logits, draws, (to, to + bytes), count)?;
        }
        let drawn = cuda.read(&drawn)?;
        let (tokens, log_probs) = drawn.split_at(count);
        let mut all = tokens.iter().zip(log_probs);
        let drawn = streams.iter().map(|streams| {
            let own = all.by_ref().take(streams.len());
            own.map(|(&token, &bits)| Drawn { token, log_prob: f32::from_bits(bits) }).collect()
        });
        Ok(drawn.collect())
    }
}

impl Buffers {
    fn new(model: &Model<'_>, rows: usize) -> Result<Self, KernelError> {
        let Model { trunk, matrices, bfloat16, .. } = model;
        let (dims, device): (&Dims, _) = (&trunk.dims, &trunk.device);
        let heads = dims.attention();
        let activation = |width: usize| device.activation(*bfloat16, rows * width);
        let rank = matrices.iter().flatten().map(Prepared::rank).max().unwrap_or(0);
        Ok(Self {
            x: device.scratch(rows * dims.width)?,
            scale: device.scratch(rows)?,
            normed: activation(dims.width)?,
            qkv: activation(heads.qkv_width())?,
            attended: activation(heads.out_width())?,
            gate_up: activation(2 * dims.hidden)?,
            activated: activation(dims.hidden)?,
            low: activation(rank)?,
            logits: device.scratch(rows * dims.vocabulary)?,
        })
    }
}

impl Step {
    fn new(model: &Model<'_>, rows: usize, splits: usize) -> Result<Self, KernelError> {
        let Model { cuda, trunk, pool, .. } = model;
        Ok(Self {
            rows,
            splits,
            given: cuda.pinned(Inputs::of(rows, splits).len())?,
            inputs: cuda.scratch(Inputs::of(rows, splits).len())?,
            partial: trunk.device.scratch(pool.format.partial(rows, splits)?)?,
            has_run: false,
            graph: None,
        })
    }

    /// Queues all of the step, from the inputs to the logits, on `device`.
    fn queue(
        &mut self,
        model: &Model<'_>,
        buffers: &mut Buffers,
        device: &Device,
    ) -> Result<(), KernelError> {
        let Model { trunk, weights: w, output, output_tiles, matrices, pool, .. } = model;
        let Self { rows, splits, inputs, partial, .. } = self;
        let Buffers { x, scale, normed, qkv, attended, gate_up, activated, low, logits } = buffers;
        let (dims, rows) = (&trunk.dims, *rows);
        let cuda = device.as_cuda().ok_or(KernelError::OtherDevice { op: OP })?;
        let stream = cuda.stream();
        let first = inputs.device_ptr(stream).0;
        let at = |place: usize| first + (place * size_of::<u32>()) as CUdeviceptr;
        let place_of = Inputs::of(rows, *splits);
        let attended_to = Attended {
            table: at(place_of.table()),
            max_pages: place_of.pages,
            lens: at(place_of.lens()),
            rows,
            splits: *splits,
            rotary: &trunk.rotary,
        };
        let partial = NumbersMut::from(partial.view_mut()).pointer(OP, cuda)?.address;
        let mut norm = |x: &Buffer, weight: &Place, normed: &mut Activation| {
            let (normed, scale) = (normed.numbers_mut(), scale.view_mut());
            let (width, epsilon) = (dims.width, dims.norm_epsilon);
            rms_norm::forward(device, width, epsilon, x.view(), w.at(weight), normed, scale)
        };
        let mut multiply = |matrix: &Matrix, prepared: &Prepared, x: Numbers<'_>, onto, y: NumbersMut<'_>| {
            multiply(device, *w, rows, (matrix, prepared), x, onto, y, low)
        };

        let table = w.weight(&trunk.places.embedding).pointer(OP, cuda)?;
        let to = NumbersMut::from(x.view_mut()).pointer(OP, cuda)?.address;
        // SAFETY: the tokens are of the vocabulary, or 0 for rows that are not there, and x has as many rows.
        unsafe { embedding::forward_at(cuda, dims.width, table, at(place_of.tokens()), rows, to) }?;
        for (layer, (place, prepared)) in trunk.places.layers.iter().zip(matrices).enumerate() {
            norm(x, &place.attention_norm, normed)?;
            let bias = place.qkv_bias.as_ref().map_or(Onto::Nothing, |place| Onto::Bias(w.at(place)));
            multiply(&place.qkv, &prepared[0], normed.numbers(), bias, qkv.numbers_mut())?;
            let made = qkv.numbers_mut().pointer(OP, cuda)?;
            let result = attended.numbers_mut().pointer(OP, cuda)?;
            // SAFETY: the pages of the table hold every token of each row, the last of them for this row alone; the angles
            // are the trunk's, for all of its positions; qkv and the result have as many rows, and `partial` is as long as
            // the format says for them.
            unsafe { pages::attend(cuda, pool.format, layer, attended_to, made, partial, result) }?;
            multiply(&place.attention_out, &prepared[1], attended.numbers(), Onto::Sum, x.view_mut().into())?;

            norm(x, &place.feed_forward_norm, normed)?;
            match prepared[2].gated(rows) {
                Some(tiles) => {
                    let normed = normed.numbers().pointer(OP, cuda)?;
                    let activated = activated.numbers_mut().pointer(OP, cuda)?;
                    // SAFETY: both are as wide as gate and up, and as what comes of them, for all rows, and begin
                    // allocations.
                    unsafe { tiles.forward_gated(cuda, rows, normed, activated) }?;
                }
                None => {
                    let onto = Onto::Nothing;
                    multiply(&place.gate_up, &prepared[2], normed.numbers(), onto, gate_up.numbers_mut())?;
                    swiglu::forward(device, dims.hidden, gate_up.numbers(), activated.numbers_mut())?;
                }
            }
            multiply(&place.down, &prepared[3], activated.numbers(), Onto::Sum, x.view_mut().into())?;
        }
        norm(x, &trunk.places.norm, normed)?;
        let logits = logits.view_mut().into();
        let (shape, weight) = (output_shape(dims, rows), w.weight(output));
        read(device, shape, output_tiles.as_ref(), weight, normed.numbers(), Onto::Nothing, logits)
    }
}

/// What a product is added to.
#[derive(Clone, Copy)]
enum Onto<'a> {
    Nothing,
    Bias(View<'a>),
    /// What is there.
    Sum,
}

fn output_shape(dims: &Dims, rows: usize) -> Shape {
    let layout = if dims.tied { WeightLayout::OutIn } else { WeightLayout::InOut };
    Shape { rows, inputs: dims.width, outputs: dims.vocabulary, layout }
}

/// y = x W, added to what it is to be: by the weight's tiles, where it has some.
fn read(
    device: &Device,
    shape: Shape,
    tiles: Option<&Fragments>,
    weight: Numbers<'_>,
    x: Numbers<'_>,
    onto: Onto<'_>,
    mut y: NumbersMut<'_>,
) -> Result<(), KernelError> {
    let accumulate = matches!(onto, Onto::Sum);
    let bias = if let Onto::Bias(bias) = onto { Some(bias) } else { None };
    match (tiles, device.as_cuda(), bias) {
        (Some(tiles), Some(cuda), bias) => {
            let (x, y) = (x.pointer(OP, cuda)?, y.pointer(OP, cuda)?);
            // SAFETY: callers give x and y of the shape's sizes, which the buffers were made for; x begins an allocation.
            unsafe { tiles.forward(cuda, shape.rows, x, bias, y, accumulate) }
        }
        (_, _, Some(bias)) => {
            // not as one product: cuBLASLt takes a bias at some addresses alone, and a graph can make no copy
            bias::forward(device, bias, y.reborrow())?;
            product::forward(device, shape, x, weight, y, true)
        }
        (_, _, None) => product::forward(device, shape, x, weight, y, accumulate),
    }
}

/// y = x W + s x A B, added to what it is to be. `low` is scratch.
fn multiply(
    device: &Device,
    w: Values<'_>,
    rows: usize,
    (matrix, prepared): (&Matrix, &Prepared),
    x: Numbers<'_>,
    onto: Onto<'_>,
    mut y: NumbersMut<'_>,
    low: &mut Activation,
) -> Result<(), KernelError> {
    let Matrix { inputs, outputs, weight, .. } = matrix;
    let shape = Shape { rows, inputs: *inputs, outputs: *outputs, layout: WeightLayout::InOut };
    let (weight, tiles) = match &prepared.weight {
        Prepack::Plain => (w.weight(weight), None),
        Prepack::Merged(merged) => (merged.view().into(), None),
        Prepack::Tiles(tiles) => (w.weight(weight), Some(tiles)),
    };
    read(device, shape, tiles, weight, x, onto, y.reborrow())?;
    let Some(Adapter { a, b, rank, scale: factor }) = &prepared.adapter else { return Ok(()) };
    let used = 0..rows * rank;
    product::forward(
        device,
        Shape { outputs: *rank, ..shape },
        x,
        a.view(),
        low.slice_mut(used.clone()),
        false,
    )?;
    scale::forward(device, *factor, low.slice_mut(used.clone()))?;
    let low = low.numbers().slice(used);
    product::forward(device, Shape { inputs: *rank, ..shape }, low, b.view(), y, true)
}
