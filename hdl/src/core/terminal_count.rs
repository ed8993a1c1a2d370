//! Counters that know their terminal count a step ahead.

use crate::rtl::{Builder, Expr, lit, mux};

/// The terminal count of a counter of `step`s: whether the present one reaches the limit, as registered state.
///
/// `begin` starts a count up to `limits[0]`; `moves` counts, and after the terminal count it starts over. `limits[1]` is the limit while it counts:
/// the same, unless the limit comes with `begin`.
pub(super) fn terminal_count(
    m: &mut Builder,
    name: &str,
    step: u32,
    limits: [&Expr; 2],
    begin: &Expr,
    moves: &Expr,
) -> Expr {
    let [first, limit] = limits;
    let steps = |n: u32| lit(u64::from(n * step), limit.width());
    m.comment(&format!("Terminal count of {name}, a step ahead."));
    let next = m.reg(&format!("{name}_next"), limit.width());
    let last = m.reg_reset(&format!("{name}_last"), 1, 0);
    let wraps = m.named(&format!("{name}_wraps"), &(moves & &last));
    m.set_if(&next, &(begin | &wraps), &steps(2));
    m.set_if(&next, moves, &(&next + &steps(1)));
    let alone = mux(begin, &first.eq(&steps(1)), &limit.eq(&steps(1)));
    m.set_if(&last, &(begin | &wraps), &alone);
    m.set_if(&last, moves, &next.eq(limit));
    last
}
