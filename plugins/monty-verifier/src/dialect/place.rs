//! Where an expression stands, for what may stand there.

/// What becomes of an expression's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anything.
    Anywhere,
    /// All its elements are taken at once, in order.
    Taken,
    /// All its elements are taken at once, and their order does not matter.
    TakenInAnyOrder,
    /// Its elements are taken one by one, with other things done between.
    Looped,
    /// Its elements are taken until one decides, and their order does not matter.
    Searched,
    /// It is compared, counted, asked for truth, or a set's method is called.
    Asked,
    /// It is assigned to a name.
    Named,
}

impl Place {
    /// Whether a set may stand here, whose order is not CPython's.
    pub fn takes_sets(self) -> bool {
        matches!(self, Self::TakenInAnyOrder | Self::Searched | Self::Asked | Self::Named)
    }

    /// Whether a generator expression, `map`, `zip` and the like may stand here, which are lists.
    pub fn takes_lazy(self) -> bool {
        matches!(self, Self::Taken | Self::TakenInAnyOrder | Self::Looped | Self::Searched)
    }

    /// Whether it can be told here that the elements were all computed at once.
    pub fn shows_eagerness(self) -> bool {
        matches!(self, Self::Looped | Self::Searched)
    }
}
