//! Counting up to a limit, over and over.

use crate::rtl::{Builder, Expr, lit, mux};

/// A counter of `step`s that knows, as registered state, whether the present one reaches its limit.
///
/// `begin` starts a count up to `limits[0]`; `moves` counts, and after the last one starts over. `limits[1]` is the limit while it counts:
/// the same, unless the limit comes with `begin`.
pub(super) fn lap(
    m: &mut Builder,
    name: &str,
    step: u32,
    limits: [&Expr; 2],
    begin: &Expr,
    moves: &Expr,
) -> Expr {
    let [first, limit] = limits;
    let steps = |n: u32| lit(u64::from(n * step), limit.width());
    m.comment(&format!(
        "Of {name}: what is counted with the next one, and whether the present one is the last."
    ));
    let next = m.reg(&format!("{name}_next"), limit.width());
    let last = m.reg_reset(&format!("{name}_last"), 1, 0);
    let over = m.named(&format!("{name}_over"), &(moves & &last));
    m.set_if(&next, &(begin | &over), &steps(2));
    m.set_if(&next, moves, &(&next + &steps(1)));
    let alone = mux(begin, &first.eq(&steps(1)), &limit.eq(&steps(1)));
    m.set_if(&last, &(begin | &over), &alone);
    m.set_if(&last, moves, &next.eq(limit));
    last
}
