//! A prefetch of values of any size, wherever they lie, changes nothing and never faults.
#![cfg(test)]

#[test]
fn values_of_every_size_are_as_they_were() {
    fn check<const N: usize>() {
        let value = [7_u8; N];
        memfn::prefetch(&value);
        assert_eq!(value, [7; N]);
        memfn::prefetch(&Box::new(value));
    }
    check::<0>();
    check::<1>();
    check::<63>();
    check::<64>();
    check::<65>();
    check::<84>();
    check::<192>();
    check::<100_000>();
    memfn::prefetch(&());
    memfn::prefetch(&"a str");
}
