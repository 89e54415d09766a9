//! Replays the kept corpus of every fuzz target. An input that was ever a finding is in it.
#![cfg(test)]

mod checks;

use std::path::Path;

use checks::CHECKS;

#[test]
fn the_kept_corpus_of_every_target_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (target, check) in CHECKS {
        let inputs = std::fs::read_dir(folder.join(target)).expect(target);
        let mut count = 0;
        for input in inputs {
            let path = input.expect("a file").path();
            println!("{}", path.display());
            check(&std::fs::read(&path).expect("bytes"));
            count += 1;
        }
        assert!(count > 0, "{target} has no corpus");
    }
}
