//! The order of installation: what others need comes first; a cycle is reported, never broken by a guess.

use crate::names::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

type Needs = BTreeMap<ServiceName, BTreeSet<ServiceName>>;

/// Waves in order, and the groups of workloads that need each other. Names that are not keys are passed over.
pub(super) fn order(needs: &Needs) -> (Vec<Vec<ServiceName>>, Vec<Vec<ServiceName>>) {
    let reach: Needs = needs.keys().map(|name| (name.clone(), reachable(needs, name))).collect();
    let together = |one: &ServiceName, other: &ServiceName| {
        one == other || (reach.get(one).is_some_and(|set| set.contains(other)) && reach.get(other).is_some_and(|set| set.contains(one)))
    };
    let mut level: BTreeMap<&ServiceName, usize> = BTreeMap::new();
    // Members of a group share their level, so a fixed point is reached after as many rounds as there are workloads.
    for _ in 0..=needs.len() {
        for name in needs.keys() {
            let group = needs.keys().filter(|other| together(name, other));
            let below = group.filter_map(|member| needs.get(member)).flatten().filter(|need| needs.contains_key(*need) && !together(name, need));
            let own = below.map(|need| level.get(need).copied().unwrap_or(0) + 1).max().unwrap_or(0);
            level.insert(name, own);
        }
    }
    let mut waves: BTreeMap<usize, Vec<ServiceName>> = BTreeMap::new();
    for (name, level) in level {
        waves.entry(level).or_default().push(name.clone());
    }
    let mut cycles: Vec<Vec<ServiceName>> = Vec::new();
    for name in needs.keys().filter(|name| reach.get(*name).is_some_and(|set| set.contains(*name))) {
        let group: Vec<_> = needs.keys().filter(|other| together(name, other)).cloned().collect();
        if !cycles.contains(&group) {
            cycles.push(group);
        }
    }
    (waves.into_values().collect(), cycles)
}

/// Everything that `from` needs, directly or not; holds `from` itself only where it stands in a cycle.
pub(super) fn reachable(needs: &Needs, from: &ServiceName) -> BTreeSet<ServiceName> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&ServiceName> = needs.get(from).into_iter().flatten().collect();
    while let Some(next) = open.pop() {
        if seen.insert(next.clone()) {
            open.extend(needs.get(next).into_iter().flatten());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edges: &[(&str, &[&str])], expect: &[&[&str]], cycles: &[&[&str]]) {
        let name = |text: &str| ServiceName::parse(text).unwrap();
        let needs = edges.iter().map(|(from, to)| (name(from), to.iter().map(|to| name(to)).collect())).collect();
        let (waves, found) = order(&needs);
        let text = |groups: &[Vec<ServiceName>]| groups.iter().map(|group| group.iter().map(ToString::to_string).collect()).collect::<Vec<Vec<_>>>();
        assert_eq!(text(&waves), expect);
        assert_eq!(text(&found), cycles);
    }

    #[test]
    fn what_is_needed_comes_first() {
        check(
            &[("frontend", &["backend"]), ("backend", &["mcp", "postgres"]), ("mcp", &["postgres"]), ("postgres", &[]), ("cron", &["redis"])],
            &[&["cron", "postgres"], &["mcp"], &["backend"], &["frontend"]],
            &[],
        );
    }

    #[test]
    fn a_cycle_stands_in_one_wave_and_is_told() {
        check(&[("a", &["b"]), ("b", &["c"]), ("c", &["b", "d"]), ("d", &[])], &[&["d"], &["b", "c"], &["a"]], &[&["b", "c"]]);
        check(&[("a", &["a"])], &[&["a"]], &[&["a"]]);
    }
}
