//! What must hold for any text and any URI.

use super::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use proptest::prelude::*;

fn parameter() -> impl Strategy<Value = String> {
    let names = Parameter::ALL.iter().map(|parameter| parameter.name());
    let names: Vec<&str> = names.chain(["x", "Y", ""]).collect();
    let names = prop::sample::select(names);
    let words = "auto|native|netcat|direct|1|0|-7";
    let values = prop_oneof![8 => "/[a-z ~]{0,2}(%[2-7][0-9a-f])?", 8 => words, 1 => "[ -~é]{0,6}"];
    // Half of the parameters have a value that suits them, lest hardly any URI be right.
    (names, values, any::<bool>()).prop_map(|(name, value, suited)| match (suited, name) {
        (true, "proxy" | "mode") => format!("{name}=auto"),
        (true, name) if name.starts_with("no_") => format!("{name}=1"),
        (true, "tls_priority") => format!("{name}=NORMAL"),
        (_, name) => format!("{name}={}", value.replace(' ', "%20")),
    })
}

prop_compose! {
    /// What looks much like a URI.
    fn near_uri()(
        driver in prop_oneof![4 => "qemu|test|remote", 1 => "[a-zA-Z1][a-z0-9.+-]{0,4}"],
        transport in prop_oneof![8 => "(\\+(tls|tcp|unix|ssh|SSH))?", 1 => "\\+(ext|libssh|x)"],
        user in "([a-z]{1,3}(%40)?@)?",
        host in prop_oneof![2 => "", 8 => "[a-zA-Z0-9._-]{0,8}", 2 => "\\[(fe80)?::[0-9a-f]{1,4}(%25e0)?\\]", 1 => "[ -~]{0,5}"],
        port in prop_oneof![4 => "", 2 => ":[1-9][0-9]{0,3}", 1 => ":[0-9]{0,6}"],
        path in prop_oneof![2 => "/session", 2 => "/system", 2 => "(/[a-z:;~]{0,3}(%[2-7][0-9a-f])?){0,3}", 1 => "[ -~]{0,5}"],
        query in prop::collection::vec(parameter(), 0..4),
        separator in "[&;]",
    ) -> String {
        format!("{driver}{transport}://{user}{host}{port}{path}?{}", query.join(&separator))
    }
}

fn holds_for(text: &str) -> Result<(), TestCaseError> {
    let Ok(uri) = Uri::parse(text) else { return Ok(()) };
    let printed = uri.to_string();
    let again = Uri::parse(&printed);
    prop_assert_eq!(again.as_ref(), Ok(&uri), "{}", printed);
    let user = User { home: "/home/u".into(), runtime: "/run/user/7".into() };
    for surroundings in [Surroundings::default(), Surroundings { user: Some(user) }] {
        for readonly in [false, true] {
            let way = uri.way(&surroundings, readonly);
            let lines = explain(&uri, &surroundings, readonly, &|path| path.len() % 2 == 0);
            prop_assert_eq!(way.as_ref().err(), lines.as_ref().err());
            if let Ok(Way::Command(command)) = way {
                prop_assert!(!command.program.is_empty());
                let nul = |text: &String| text.contains('\0');
                prop_assert!(!command.arguments.iter().any(nul));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_does_harm(text in ".{0,40}") {
        holds_for(&text)?;
    }

    #[test]
    fn what_is_read_and_written_is_the_same(text in near_uri()) {
        holds_for(&text)?;
    }
}

/// Otherwise the properties would say nothing.
#[test]
fn texts_that_look_like_uris_often_are() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut text = || near_uri().new_tree(&mut runner).expect("a text").current();
    let read = (0..1000).filter(|_| Uri::parse(&text()).is_ok()).count();
    assert!((100..900).contains(&read), "{read} of 1000");
}
