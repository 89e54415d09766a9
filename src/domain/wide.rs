//! Products of 256 bits and their division by powers of ten: an amount times a price, rounded. A
//! division is a multiplication by a reciprocal kept in a table, word by word: `u128`'s own `/`
//! is a call that costs several times as much, and a wider one does not exist.

use super::digits::POWERS;

/// A power of ten to divide by: Möller and Granlund, *Improved division by invariant integers*
/// (2011), algorithm 4.
#[derive(Clone, Copy, Debug)]
struct Divisor {
    /// The power, moved up so that its highest bit is set.
    high: u64,
    /// By so many bits.
    shift: u32,
    /// `⌊(2¹²⁸ − 1) / high⌋ − 2⁶⁴`.
    reciprocal: u64,
}

/// 10⁰ to 10¹⁹.
#[expect(clippy::indexing_slicing, reason = "out of bounds, a constant does not compile")]
const DIVISORS: [Divisor; POWERS.len()] = {
    let mut divisors = [Divisor::of(1); POWERS.len()];
    let mut at = 0;
    while at < POWERS.len() {
        divisors[at] = Divisor::of(POWERS[at]);
        at += 1;
    }
    divisors
};

/// The highest power that one step divides by.
const STEP: u32 = 19;

/// `a × b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide {
    low: u128,
    high: u128,
}

/// A quotient: `whole + (remainder + rest) / divisor`, with `rest` in 0..1, not 0 if `inexact`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quotient {
    /// `None` beyond 128 bits.
    pub(crate) whole: Option<u128>,
    remainder: u64,
    divisor: u64,
    inexact: bool,
}

impl Wide {
    #[inline]
    pub(crate) fn product(a: u128, b: u128) -> Self {
        let (low, high) = a.carrying_mul(b, 0);
        Self { low, high }
    }

    /// Divided by 10^`power`.
    #[inline]
    pub(crate) fn divided(mut self, power: u32) -> Quotient {
        let mut power = power;
        let mut inexact = false;
        while power > STEP {
            inexact |= self.divide(STEP) != 0;
            power -= STEP;
        }
        let remainder = self.divide(power);
        let whole = (self.high == 0).then_some(self.low);
        let divisor = POWERS.get(power as usize).copied().unwrap_or(1);
        Quotient { whole, remainder, divisor, inexact }
    }

    /// Divides by 10^`power`, [`STEP`] at most, and answers the remainder.
    #[inline]
    fn divide(&mut self, power: u32) -> u64 {
        let Some(divisor) = DIVISORS.get(power as usize) else { return 0 };
        let mut remainder = 0;
        // Rarely there.
        if self.high != 0 {
            (self.high, remainder) = divisor.divide(remainder, self.high);
        }
        (self.low, remainder) = divisor.divide(remainder, self.low);
        remainder
    }
}

impl Quotient {
    /// The whole, and what is left of the last step's division.
    #[inline]
    pub(crate) const fn parts(&self) -> (Option<u128>, u64) {
        (self.whole, self.remainder)
    }

    /// Whether anything is left behind the whole.
    #[inline]
    pub(crate) const fn is_exact(&self) -> bool {
        self.remainder == 0 && !self.inexact
    }

    /// Half to even; `rest` is 0 or more of what was divided, if `more` below its last unit.
    #[inline]
    pub(crate) const fn rounded(&self, more: bool) -> Option<u128> {
        let Some(whole) = self.whole else { return None };
        let inexact = self.inexact || more;
        let complement = self.divisor - self.remainder;
        let above = self.remainder > complement || (self.remainder == complement && inexact);
        let tie = self.remainder == complement && !inexact;
        if above || (tie && whole % 2 == 1) { whole.checked_add(1) } else { Some(whole) }
    }
}

impl Divisor {
    #[expect(clippy::cast_possible_truncation, reason = "the lowest 64 bits are what is wanted")]
    const fn of(power: u64) -> Self {
        let shift = power.leading_zeros();
        let high = power << shift;
        // Without its bit 64, which is always set.
        let reciprocal = (u128::MAX / high as u128) as u64;
        Self { high, shift, reciprocal }
    }

    /// `(remainder × 2¹²⁸ + dividend) / self`, and the remainder of that. The one given is below
    /// the power.
    #[inline]
    fn divide(&self, remainder: u64, dividend: u128) -> (u128, u64) {
        let [low, high] = words(dividend);
        let (high, remainder) = self.divide_word(remainder, high);
        let (low, remainder) = self.divide_word(remainder, low);
        (joined(high, low), remainder)
    }

    #[inline]
    fn divide_word(&self, remainder: u64, dividend: u64) -> (u64, u64) {
        let Self { high: divisor, shift, reciprocal } = *self;
        let high = (remainder << shift) | ((dividend >> 1) >> (63 - shift));
        let low = dividend << shift;
        let estimate = u128::from(reciprocal) * u128::from(high);
        let [fraction, quotient] = words(estimate.wrapping_add(joined(high, low)));
        let mut quotient = quotient.wrapping_add(1);
        let mut remainder = low.wrapping_sub(quotient.wrapping_mul(divisor));
        if remainder > fraction {
            quotient = quotient.wrapping_sub(1);
            remainder = remainder.wrapping_add(divisor);
        }
        if remainder >= divisor {
            quotient = quotient.wrapping_add(1);
            remainder -= divisor;
        }
        (quotient, remainder >> shift)
    }
}

/// The low and the high word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lowest 64 bits are what is wanted")]
const fn words(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

#[inline]
const fn joined(high: u64, low: u64) -> u128 {
    ((high as u128) << 64) | low as u128
}
