//! What the critic V_ψ starts from (section 5 of the method): nothing, the policy or the PRM. A critic of
//! an earlier run is read by [`trainer::FromCheckpoint`](crate::trainer::FromCheckpoint).

pub mod fresh;
pub mod from_policy;
pub mod from_prm;
#[cfg(test)]
mod tests;

pub use fresh::Fresh;
pub use from_policy::FromPolicy;
pub use from_prm::{FromPrm, at_level};
