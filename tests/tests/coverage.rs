//! The page docs/coverage.md: how often each feature of a layer comes up in the random networks that cores are compared on. `MST_UPDATE_DOCS=1 cargo test -p tests --test
//! coverage` rewrites it.

use tests::cosim::campaign::{fitting, many};
use tests::coverage::Coverage;

/// Fewest layers that must have each feature.
const LEAST: u64 = 10;

#[test]
fn every_feature_comes_up_and_the_page_says_how_often() {
    let mut found = Coverage::default();
    for (core, seeds) in many() {
        fitting(&core, seeds).for_each(|(_, network, program)| found.add(&network, &program));
    }
    assert!(found.networks >= 2000);
    assert_eq!(found.rare(LEAST), [""; 0]);
    let page = format!(
        "# What random networks cover\n\n\
         Layers that have a feature, among the {} of the {} random networks of `cargo test -p tests --test cosim -- --ignored two_thousand`, \
         which runs them on the core `tiny` and on one of few inputs a pass and few sums, and compares every spike. Features are looked up in the \
         networks and in the programs that they are compiled to; a test keeps the page in step, and fails if fewer than {LEAST} layers have one of them.\n\n\
         | feature | layers |\n|---|---:|\n{found}",
        found.layers, found.networks
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/coverage.md");
    if std::env::var_os("MST_UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let shown = std::fs::read_to_string(path).unwrap_or_default();
    assert!(shown == page, "docs/coverage.md: MST_UPDATE_DOCS=1 cargo test -p tests --test coverage");
}
