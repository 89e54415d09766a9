//! Symbols and names of the demo's tokens, made of words by a token's rank. Some have none, as
//! anywhere.

/// Symbol and name of the token of a rank, which begins at 1.
pub(super) fn of(rank: usize) -> Option<(String, String)> {
    if rank.is_multiple_of(NAMELESS) {
        return None;
    }
    let (which, how) = (rank % WHO.len(), rank / WHO.len());
    let (who, kind) = (WHO.get(which)?, HOW.get(how % HOW.len())?);
    let series = match how / HOW.len() {
        0 => String::new(),
        again => format!(" {}", again + 1),
    };
    let letters = |word: &str, count| word.chars().take(count).collect::<String>().to_uppercase();
    let symbol = format!("{}{}", letters(kind, 2), letters(who, 4));
    Some((symbol, format!("{kind} {who}{series}")))
}

/// One in so many has no name.
const NAMELESS: usize = 13;

const WHO: [&str; 41] = [
    "Otter", "Panda", "Falcon", "Badger", "Comet", "Lynx", "Turtle", "Raven", "Moose", "Gecko",
    "Walrus", "Heron", "Mango", "Bison", "Cobra", "Dolphin", "Ferret", "Goose", "Hamster",
    "Iguana", "Jaguar", "Koala", "Lemur", "Marmot", "Narwhal", "Octopus", "Pelican", "Quokka",
    "Rabbit", "Salmon", "Tapir", "Urchin", "Viper", "Wombat", "Yak", "Zebra", "Acorn", "Biscuit",
    "Cactus", "Donut", "Lantern",
];

const HOW: [&str; 37] = [
    "Lucky", "Quiet", "Golden", "Tiny", "Brave", "Cosmic", "Dizzy", "Electric", "Fuzzy", "Grumpy",
    "Happy", "Icy", "Jolly", "Kind", "Lazy", "Magic", "Noble", "Odd", "Polite", "Quick", "Rusty",
    "Silver", "Turbo", "Urban", "Velvet", "Wild", "Young", "Zen", "Amber", "Bold", "Crystal",
    "Dusty", "Frozen", "Giant", "Honest", "Inner", "Royal",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_all_different_and_some_tokens_have_none() {
        let names: Vec<_> = (1..=10_000).filter_map(of).collect();
        let different: BTreeSet<_> = names.iter().map(|(_, name)| name).collect();
        assert_eq!((names.len(), different.len()), (10_000 - 769, names.len()));
        assert_eq!(of(1), Some(("LUPAND".to_owned(), "Lucky Panda".to_owned())));
        assert!(names.iter().all(|(symbol, _)| symbol.chars().all(|c| c.is_ascii_uppercase())));
    }
}
