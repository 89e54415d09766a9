//! Where a second stands in a list of seconds: ascending, no two the same, most without a gap. So
//! it is not further from the last than the two are apart, and nearer by as many as are missing.

use super::time::Second;

/// So many places are looked at one by one.
const FEW: usize = 4;

/// The place of a second in a list of `len`, of which `at` tells those that it has; or the place at
/// which it would stand.
#[inline]
pub(super) fn find(
    len: usize,
    second: Second,
    at: impl Fn(usize) -> Option<Second>,
) -> Result<usize, usize> {
    let last = len.checked_sub(1).and_then(|last| Some((last, at(last)?)));
    let Some((last, newest)) = last else { return Err(0) };
    if newest <= second {
        return if newest == second { Ok(last) } else { Err(len) };
    }
    let apart = usize::try_from(newest.0.abs_diff(second.0)).unwrap_or(usize::MAX);
    let first = last.saturating_sub(apart);
    // The last is after it: that ends the walk, if nothing does before.
    for place in first..first + FEW {
        if let Some(there) = at(place).filter(|there| *there >= second) {
            return if there == second { Ok(place) } else { Err(place) };
        }
    }
    search(first + FEW, last, second, at)
}

/// As [`find`], between two places.
#[cold]
fn search(
    from: usize,
    until: usize,
    second: Second,
    at: impl Fn(usize) -> Option<Second>,
) -> Result<usize, usize> {
    let (mut from, mut until) = (from, until);
    while from < until {
        let middle = usize::midpoint(from, until);
        if at(middle).is_some_and(|there| there < second) {
            from = middle + 1;
        } else {
            until = middle;
        }
    }
    if at(from) == Some(second) { Ok(from) } else { Err(from) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_second_is_found_as_a_binary_search_finds_it(
            seconds in prop::collection::btree_set(prop_oneof![0_i64..40, any::<i64>()], 0..40),
            asked in prop::collection::vec(prop_oneof![-2_i64..42, any::<i64>()], 20),
        ) {
            let seconds: Vec<_> = seconds.into_iter().map(Second).collect();
            for second in asked.into_iter().map(Second).chain(seconds.iter().copied()) {
                let found = find(seconds.len(), second, |at| seconds.get(at).copied());
                prop_assert_eq!(found, seconds.binary_search(&second));
            }
        }
    }
}
