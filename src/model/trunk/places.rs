//! Where a trunk's tensors are: among what is trained, or among what is not.

use std::ops::Range;

use crate::data::{Layout, LayoutError};
use crate::kernels::{Buffer, Numbers, View, ViewMut};
use crate::model::arch::{Dims, EMBEDDING};
use crate::model::precision::{Precision, Spot};
use crate::model::tensors::Tensors;
use crate::model::tuning::{Projection, Tuning, adapter};

/// A tensor's place among a model's parameters.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Among what is trained; and where its gradient stands, which is where it is in the layout.
    Trained(Spot, Range<usize>),
    /// Among what is not.
    Frozen(Spot),
}

/// A model's parameters: what is trained, and what is not, where that is not all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    pub(crate) trained: &'a Tensors,
    pub(crate) frozen: Option<&'a Tensors>,
}

impl<'a> Values<'a> {
    /// A tensor that is in f32 in every model: not one of the matrices.
    pub(crate) fn at(self, place: &Place) -> View<'a> {
        match self.weight(place) {
            Numbers::Float32(view) => view,
            Numbers::Bfloat16(_) => unreachable!("`Precision::rounds` takes matrices alone"),
        }
    }

    /// A tensor that may be in bfloat16.
    pub(crate) fn weight(self, place: &Place) -> Numbers<'a> {
        match place {
            Place::Trained(spot, _) => self.trained.at(spot),
            Place::Frozen(spot) => self.frozen.expect("a place is frozen where values are").at(spot),
        }
    }
}

impl Place {
    /// Where the gradient of what is here goes; nowhere, if it is not trained.
    pub(crate) fn gradient<'a>(&self, dw: &'a mut Buffer) -> Option<ViewMut<'a>> {
        Some(dw.slice_mut(self.range()?.clone()))
    }

    /// Where that stands in the gradient.
    pub(crate) fn range(&self) -> Option<&Range<usize>> {
        match self {
            Self::Trained(_, range) => Some(range),
            Self::Frozen(_) => None,
        }
    }
}

/// Finds tensors by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finder<'a> {
    /// Of the trained tensors.
    pub(crate) trained: &'a Layout,
    /// Of all tensors, adapters apart: those that are not trained are where they are in it.
    pub(crate) whole: &'a Layout,
    /// Of both.
    pub(crate) precision: Precision,
}

impl Finder<'_> {
    pub(crate) fn place(self, name: &str) -> Result<Place, LayoutError> {
        match self.precision.spot(self.trained, name) {
            Ok((spot, range)) => Ok(Place::Trained(spot, range)),
            Err(_) => Ok(Place::Frozen(self.precision.spot(self.whole, name)?.0)),
        }
    }
}

/// Where the trunk's tensors lie.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) embedding: Place,
    pub(crate) layers: Vec<LayerPlaces>,
    pub(crate) norm: Place,
}

#[derive(Debug)]
pub(crate) struct LayerPlaces {
    pub(crate) attention_norm: Place,
    pub(crate) qkv: Matrix,
    pub(crate) qkv_bias: Option<Place>,
    pub(crate) attention_out: Matrix,
    pub(crate) feed_forward_norm: Place,
    pub(crate) gate_up: Matrix,
    pub(crate) down: Matrix,
}

/// A matrix, with its adapter where it has one.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: Place,
    pub(crate) adapter: Option<Adapter>,
}

/// An adapter of low rank, whose halves are trained.
#[derive(Debug)]
pub(crate) struct Adapter {
    pub(crate) rank: usize,
    /// α / r.
    pub(crate) scale: f32,
    // Beside adapters and a head nothing is trained, so all of that is in f32, and where it is in the layout.
    /// `[inputs, rank]`
    pub(crate) a: Range<usize>,
    /// `[rank, outputs]`
    pub(crate) b: Range<usize>,
}

impl Places {
    pub(crate) fn new(dims: &Dims, finder: Finder<'_>, tuning: &Tuning) -> Result<Self, LayoutError> {
        let layers = (0..dims.layers).map(|layer| {
            let name = |part: &str| format!("trunk.layers.{layer}.{part}");
            let place = |part: &str| finder.place(&name(part));
            let matrix = |projection: Projection| {
                let [inputs, outputs] = projection.sizes(dims);
                let matrix = name(projection.tensor());
                let adapter = match tuning {
                    Tuning::Lora(lora) if lora.targets.contains(&projection) => Some(Adapter {
                        rank: lora.rank.get(),
                        scale: lora.scale(),
                        a: finder.trained.range(&adapter(&matrix, 'a'))?,
                        b: finder.trained.range(&adapter(&matrix, 'b'))?,
                    }),
                    _ => None,
                };
                Ok(Matrix { inputs, outputs, weight: finder.place(&matrix)?, adapter })
            };
            Ok(LayerPlaces {
                attention_norm: place("attention_norm")?,
                qkv: matrix(Projection::Qkv)?,
                qkv_bias: dims.qkv_bias.then(|| place("qkv_bias")).transpose()?,
                attention_out: matrix(Projection::AttentionOut)?,
                feed_forward_norm: place("feed_forward_norm")?,
                gate_up: matrix(Projection::GateUp)?,
                down: matrix(Projection::Down)?,
            })
        });
        Ok(Self {
            embedding: finder.place(EMBEDDING)?,
            layers: layers.collect::<Result<_, _>>()?,
            norm: finder.place("trunk.norm")?,
        })
    }

    /// The lowest layer below which nothing is trained.
    pub(crate) fn lowest(&self) -> usize {
        match self.embedding {
            Place::Trained(..) => 0,
            Place::Frozen(_) => {
                let trained = |layer: &LayerPlaces| layer.is_trained();
                self.layers.iter().position(trained).unwrap_or(self.layers.len())
            }
        }
    }
}

impl LayerPlaces {
    fn is_trained(&self) -> bool {
        matches!(self.attention_norm, Place::Trained(..))
            || self.matrices().iter().any(|matrix| matrix.adapter.is_some())
    }

    /// Those of [`Projection::ALL`].
    pub(crate) fn matrices(&self) -> [&Matrix; 4] {
        [&self.qkv, &self.attention_out, &self.gate_up, &self.down]
    }
}
