//! What the comparison of instruction counts says and lets pass.
#![forbid(unsafe_code)]

#[path = "../instructions/figures.rs"]
mod figures;

use figures::{ACCEPT, Figure, Figures};

fn figures(made_with: &str, counts: &[(&str, f64)]) -> Figures {
    let figure = |(name, instructions): &(&str, f64)| Figure {
        name: (*name).to_owned(),
        instructions: *instructions,
    };
    Figures { made_with: made_with.to_owned(), figures: counts.iter().map(figure).collect() }
}

#[test]
fn figures_come_back_as_they_were_written() {
    let written = figures("rustc 1, x86_64", &[("head/usual, whole", 1234.5), ("tag/made", 3.0)]);
    assert_eq!(written.to_string().parse(), Ok(written));
    assert!("12 head".parse::<Figures>().is_err());
    assert!("made with: x\nhead 12".parse::<Figures>().is_err());
}

#[test]
fn a_rise_of_more_than_the_bound_is_told_and_fails() {
    let committed = figures("a", &[("head", 1000.0), ("tag", 10.0)]);
    assert!(committed.compare(&figures("a", &[("head", 1049.0), ("tag", 10.0)])).is_good());
    let comparison = committed.compare(&figures("a", &[("head", 1060.0), ("tag", 10.0)]));
    let text = comparison.to_string();
    assert!(!comparison.is_good());
    assert!(text.contains("FAILED head: 6.0 % more instructions (1000.0 before, now 1060.0"));
    assert!(text.contains(ACCEPT) && !text.contains("FAILED tag"), "{text}");
}

#[test]
fn what_is_cheaper_passes_with_a_hint() {
    let cheaper = figures("a", &[("head", 1000.0)]).compare(&figures("a", &[("head", 940.0)]));
    assert!(cheaper.is_good() && cheaper.to_string().contains("to keep it"));
    let same = figures("a", &[("head", 1000.0)]).compare(&figures("a", &[("head", 960.0)]));
    assert!(same.is_good() && !same.to_string().contains("to keep it"));
}

#[test]
fn another_compiler_is_told_and_allowed_more() {
    let committed = figures("a", &[("head", 1000.0)]);
    let lax = committed.compare(&figures("b", &[("head", 1240.0)]));
    assert!(lax.is_good() && lax.to_string().contains("only more than 25 % fails"));
    assert!(!committed.compare(&figures("b", &[("head", 1260.0)])).is_good());
}

#[test]
fn what_appears_or_vanishes_fails() {
    let (one, two) = (figures("a", &[("head", 1.0)]), figures("a", &[("head", 1.0), ("tag", 1.0)]));
    assert!(one.compare(&two).to_string().contains("FAILED tag: has no committed figure"));
    assert!(two.compare(&one).to_string().contains("FAILED tag: is no longer counted"));
}
