//! What the shards hold, in resident bytes: for each token and for each live pane, everything that
//! stands there because of it. Two markets, each in a process of its own, are two equations.

use std::process::Command;

use crate::panes::{Market, WINDOWS};

/// Panes that come in a second.
const PER_SECOND: u32 = 20_000;

/// Tokens, and panes of each: many tokens, and many panes.
const MARKETS: [(u32, u32); 2] = [(1_000_000, 2), (50_000, 200)];

const ASKED: &str = "--resident";

#[divan::bench(sample_count = 1, sample_size = 1)]
fn bytes_held() {
    let [few, many] = MARKETS.map(|(tokens, panes)| {
        let args = [ASKED.to_owned(), tokens.to_string(), panes.to_string()];
        let own = std::env::current_exe().unwrap();
        let said = Command::new(own).args(args).output().unwrap().stdout;
        let bytes = String::from_utf8(said).unwrap().trim().parse::<f64>().unwrap();
        println!("{tokens} tokens with {panes} panes each: {:.0} MB", bytes / 1e6);
        (bytes / f64::from(tokens), f64::from(panes))
    });
    let pane = (many.0 - few.0) / (many.1 - few.1);
    println!("{pane:.1} bytes a pane, {:.0} a token without one", few.1.mul_add(-pane, few.0));
}

/// Builds the market that the arguments ask for and says what it takes; false where they ask for
/// nothing like that.
pub(crate) fn asked() -> bool {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [asked, numbers @ ..] = &args[..] else { return false };
    if asked != ASKED {
        return false;
    }
    let [tokens, panes] = [0, 1].map(|at| numbers[at].parse::<u32>().unwrap());
    let mut market = Market::new(tokens, &WINDOWS);
    let empty = resident();
    for second in 0..tokens * panes / PER_SECOND {
        for number in second * PER_SECOND..(second + 1) * PER_SECOND {
            // Odd, and no multiple of five: every token in turn, in no order.
            let token = u64::from(number) * 2_654_435_761 % u64::from(tokens);
            market.absorb(&[market.traded(usize::try_from(token).unwrap(), number, second)]);
        }
        market.advance(second);
        market.flush();
    }
    assert_eq!(market.panes(), u64::from(tokens * panes));
    println!("{}", resident() - empty);
    true
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
