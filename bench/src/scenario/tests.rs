//! Names stand in several lists; here they are held against each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Path, SCENARIOS, Scenario};
use crate::contestant::{self, Legs, Programs};
use crate::record;

/// Everybody, and where he speaks TLS or WebSocket.
fn recipes() -> BTreeMap<String, Legs> {
    let programs =
        Programs { penstock: PathBuf::new(), itself: PathBuf::new(), nginx_module: PathBuf::new() };
    let recipes = contestant::recipes(&programs, None).unwrap();
    recipes.into_iter().map(|recipe| (recipe.name, recipe.kind.legs())).collect()
}

fn names(scenario: &Scenario) -> impl Iterator<Item = &'static str> {
    let bars = scenario.bars.iter().flat_map(|bar| bar.rivals.iter().copied().chain([bar.ours]));
    let fields = scenario.field.iter().chain(scenario.also).copied();
    let absent = scenario.without.iter().map(|(name, _)| *name);
    fields.chain(absent).chain(bars).chain([scenario.lead, scenario.reference])
}

#[test]
fn every_contestant_has_a_recipe() {
    let recipes = recipes();
    for scenario in SCENARIOS {
        for name in names(scenario) {
            assert!(recipes.contains_key(name), "{name} in {}", scenario.name);
        }
    }
}

#[test]
fn everybody_speaks_what_the_scenario_says_and_nothing_else() {
    let recipes = recipes();
    for scenario in SCENARIOS {
        for name in scenario.field.iter().chain(scenario.also) {
            // What WebSocket adds is measured beside plain tunnels.
            let is_plain = scenario.legs == Legs::WebSocket && *name == record::DEFAULT;
            let legs = if is_plain { Legs::Plain } else { scenario.legs };
            assert_eq!(recipes[*name], legs, "{name} in {}", scenario.name);
        }
        // A flood that is asked for has no pace of its own.
        let pattern = &scenario.pattern;
        assert!(scenario.legs == Legs::Plain || pattern.stream_rate.is_none(), "{}", scenario.name);
        let path = match scenario.legs {
            Legs::Plain | Legs::WebSocket => continue,
            Legs::TlsFromClient | Legs::WebSocketByTls => Path::TlsFromClient,
            Legs::TlsToOrigin => Path::TlsToOrigin,
            Legs::Vnc => Path::Vnc,
        };
        assert_eq!(scenario.path, path, "{}", scenario.name);
    }
}

#[test]
fn every_scenario_measures_whom_it_compares() {
    for scenario in SCENARIOS {
        let takes_part = |name: &str| scenario.admits(name, false);
        let named = [scenario.lead, scenario.reference];
        for name in scenario.bars.iter().map(|bar| bar.ours).chain(named) {
            assert!(takes_part(name), "{name} in {}", scenario.name);
        }
        for (name, _) in scenario.without {
            assert!(!takes_part(name), "{name} is absent from {} and in it", scenario.name);
        }
    }
}

#[test]
fn bars_compare_with_scenarios_there_are() {
    for bar in SCENARIOS.iter().flat_map(|scenario| scenario.bars) {
        let Some(name) = bar.scenario else { continue };
        let other = SCENARIOS.iter().find(|scenario| scenario.name == name).expect(name);
        assert!(bar.rivals.iter().all(|rival| other.admits(rival, false)), "{name}");
    }
}
