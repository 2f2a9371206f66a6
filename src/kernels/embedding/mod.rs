//! Embedding: row `tokens[i]` of the table becomes row i.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;

#[cfg(feature = "cuda")]
pub(crate) use cuda::forward_at;

use super::{Device, Indices, KernelError, Numbers, View, ViewMut, dispatch};

/// x `[n, width]` from the table `[vocabulary, width]` and n tokens.
///
/// # Errors
/// If a buffer has another length, or a token is not in the vocabulary.
pub fn forward<'a>(
    device: &Device,
    width: usize,
    table: impl Into<Numbers<'a>>,
    tokens: &Indices,
    x: ViewMut<'_>,
) -> Result<(), KernelError> {
    const OP: &str = "embedding";
    let table = table.into();
    x.expect(OP, "x", tokens.len() * width)?;
    check(OP, width, table.len(), tokens)?;
    dispatch!(device,
        cpu(_threads) => cpu::forward(width, table.host(OP)?, tokens.host(), x.host(OP)?),
        cuda(cuda) => cuda::forward(cuda, OP, width, table, tokens, x),
    )
}

/// d_table += the gradient of the table from dx `[n, width]`, in the order of the tokens.
///
/// # Errors
/// If a buffer has another length, or a token is not in the vocabulary.
pub fn backward(
    device: &Device,
    width: usize,
    tokens: &Indices,
    dx: View<'_>,
    d_table: ViewMut<'_>,
) -> Result<(), KernelError> {
    const OP: &str = "embedding, gradient";
    dx.expect(OP, "dx", tokens.len() * width)?;
    check(OP, width, d_table.len(), tokens)?;
    dispatch!(device,
        cpu(_threads) => cpu::backward(width, tokens.host(), dx.host(OP)?, d_table.host(OP)?),
        cuda(cuda) => cuda::backward(cuda, OP, width, tokens, dx, d_table),
    )
}

fn check(op: &'static str, width: usize, table: usize, tokens: &Indices) -> Result<(), KernelError> {
    let vocabulary = table / width.max(1);
    match tokens.first_from(vocabulary) {
        Some(token) => Err(KernelError::Token { op, token, vocabulary }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn gathers_and_adds_back() {
        let table = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let tokens = Device::cpu().indices(&[2, 0, 2]).unwrap();
        let mut x = [f32::NAN; 6];
        forward(&Device::cpu(), 2, View::Host(&table), &tokens, ViewMut::Host(&mut x)).unwrap();
        assert_eq!(x, [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
        let (rounded, mut wide) = (table.map(bf16::from_f32), [f32::NAN; 6]);
        let table = View::Host(&rounded[..]);
        forward(&Device::cpu(), 2, table, &tokens, ViewMut::Host(&mut wide)).unwrap();
        assert_eq!(wide, x);
        let mut d_table = [1.0; 6];
        backward(&Device::cpu(), 2, &tokens, View::Host(&x), ViewMut::Host(&mut d_table)).unwrap();
        assert_eq!(d_table, [1.0, 2.0, 1.0, 1.0, 9.0, 11.0]);
    }

    #[test]
    fn an_unknown_token_is_an_error() {
        let (tokens, mut x) = (Device::cpu().indices(&[2]).unwrap(), [0.0; 2]);
        let error = forward(&Device::cpu(), 2, View::Host(&[0.0; 4]), &tokens, ViewMut::Host(&mut x));
        assert_eq!(error.unwrap_err().to_string(), "embedding: token 2 is not in a vocabulary of 2");
    }
}
