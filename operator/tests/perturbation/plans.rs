//! The plans: each write of each scenario, with each thing that can go wrong at it.

use std::{collections::BTreeMap, fmt};

use crate::{
    faults::{Fault, Nth},
    run::{Run, run},
    scenarios,
    server::USER,
    side_by_side,
};

/// The file that lists them.
pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/perturbation/plans.txt");

/// What goes wrong where.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) scenario: &'static str,
    pub(crate) nth: Nth,
    pub(crate) fault: Fault,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Nth { step, write, time } = &self.nth;
        write!(f, "{}: {step} {write} #{time}: {}", self.scenario, self.fault)
    }
}

/// Runs every scenario with nothing going wrong.
pub(crate) fn undisturbed() -> BTreeMap<&'static str, Run> {
    let names: Vec<_> = scenarios::all().iter().map(|scenario| scenario.name).collect();
    let runs = side_by_side(&names, |name| run(scenarios::named(name), None));
    names.into_iter().zip(runs).collect()
}

/// Every plan, in the order of the scenarios, their writes and the faults.
pub(crate) fn all(undisturbed: &BTreeMap<&'static str, Run>) -> Vec<Plan> {
    let of = |scenario: &scenarios::Scenario| {
        let name = scenario.name;
        // What fails is tried again at random times.
        let lasting = undisturbed[name].writes.iter().filter(|write| !write.failed || write.nth.time == 1);
        let mut writes: Vec<Nth> =
            lasting.map(|write| write.nth.clone()).filter(|nth| nth.step >= scenario.prepares).collect();
        // Each process writes the Lease as it starts: the same everywhere.
        writes.retain(|nth| name == "create" || !nth.write.contains(" leases "));
        let user = |step| Nth { step, write: USER.to_owned(), time: 1 };
        writes.extend((scenario.prepares..scenario.steps.len()).map(user));
        // Two that go out at the same moment may change places.
        writes.sort();
        writes.into_iter().flat_map(move |nth| {
            Fault::at(&nth.write).iter().map(move |&fault| Plan { scenario: name, nth: nth.clone(), fault })
        })
    };
    scenarios::all().iter().flat_map(of).collect()
}
